//! Checks that no Rust file is too long to be read as a whole.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 700;

/// Returns a sentence for each Rust file that is too long.
pub(super) fn broken(root: &Path) -> Vec<String> {
    let files = ["crates", "examples", "xtask"].iter().flat_map(|folder| rust_files(&root.join(folder)));
    let lengths = files.filter_map(|file| Some((fs::read_to_string(&file).ok()?.lines().count(), file)));
    let too_long = lengths.filter(|(lines, _)| *lines > MAX_LINES);
    too_long.map(|(lines, file)| sentence(lines, file.strip_prefix(root).unwrap_or(&file))).collect()
}

fn sentence(lines: usize, file: &Path) -> String {
    format!("`{}` has {lines} lines, expected at most {MAX_LINES}: split it", file.display())
}

/// Returns the Rust files in a folder and all folders below it.
pub(super) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => rust_files(&path),
            Some(extension) if extension == "rs" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}
