//! No file grows so long that nobody reads it.

use std::fs;
use std::path::{Path, PathBuf};

const MOST_LINES: usize = 700;

/// A sentence for each Rust file that is too long.
pub(super) fn broken(root: &Path) -> Vec<String> {
    let files = ["crates", "examples", "xtask"].iter().flat_map(|folder| rust_files(&root.join(folder)));
    let lengths = files.filter_map(|file| Some((fs::read_to_string(&file).ok()?.lines().count(), file)));
    let too_long = lengths.filter(|(lines, _)| *lines > MOST_LINES);
    too_long.map(|(lines, file)| sentence(lines, file.strip_prefix(root).unwrap_or(&file))).collect()
}

fn sentence(lines: usize, file: &Path) -> String {
    format!("`{}` has {lines} lines, more than {MOST_LINES}: split it", file.display())
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => rust_files(&path),
            Some(extension) if extension == "rs" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}
