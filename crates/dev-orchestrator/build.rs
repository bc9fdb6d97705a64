//! Makes a table of the files of the page, which the library contains.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("src/page/assets");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    collect(&folder, &mut files)?;
    // By name as a text: the library searches in this order.
    let mut names = BTreeMap::new();
    for file in &files {
        let name = file.strip_prefix(&folder)?.to_str().ok_or("the name of a file of the page is no text")?;
        let path = file.to_str().ok_or("the path of the page is no text")?;
        names.insert(name.replace('\\', "/"), path);
    }
    let mut table = String::from("&[\n");
    for (name, path) in names {
        writeln!(table, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    table.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("page_files.rs"), table)?;
    Ok(())
}

/// Adds the files in a folder and all folders below it, except hidden ones.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() {
            collect(&path, files)?;
        } else if !is_hidden {
            files.push(path);
        }
    }
    Ok(())
}
