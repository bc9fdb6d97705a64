//! Tests that the documents agree with the code.

mod configuration;
mod development;
mod examples;
mod links;

use std::path::PathBuf;

/// Returns the path of a file in the repository.
fn file(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("`{path}`: {error}"))
}
