//! The blueprints that the server is started with.

use std::fs;
use std::path::PathBuf;

use anyhow::anyhow;
use avtomatika_dev::Blueprint;

use crate::exit::Failure;

/// The largest file, in bytes: a blueprint is written by hand.
const MAX_SIZE: u64 = 1024 * 1024;

/// Reads the files: JSON if the name ends in `.json`, else TOML.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Blueprint>, Failure> {
    let mut blueprints: Vec<Blueprint> = Vec::with_capacity(files.len());
    for file in files {
        let wrong = |problem: String| Failure::usage(anyhow!("--blueprint `{}`: {problem}", file.display()));
        let size = fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
        if size > MAX_SIZE {
            return Err(wrong(format!("it has {size} bytes, expected {MAX_SIZE} at most")));
        }
        let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        let is_json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let blueprint = if is_json { Blueprint::from_json(&text) } else { Blueprint::from_toml(&text) };
        let blueprint = blueprint.map_err(|error| wrong(error.to_string()))?;
        if blueprints.iter().any(|other| other.name() == blueprint.name()) {
            return Err(wrong(format!("another file has the name `{}` already", blueprint.name())));
        }
        blueprints.push(blueprint);
    }
    Ok(blueprints)
}
