//! Checks that every crate that is published says what it is, carries the texts of its licences, and includes no file
//! that is not packed with it.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::lengths::rust_files;

/// The fields of a manifest that registries show.
const FIELDS: [&str; 8] =
    ["authors", "categories", "description", "documentation", "keywords", "license", "readme", "repository"];

/// Files in the folder of a crate, which cargo packs with it.
const FILES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// Returns a sentence for each missing field and file of a published crate.
pub(super) fn broken(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    packages.iter().filter(|package| is_published(package)).flat_map(broken_by).collect()
}

/// Whether a package may be published: `publish = false` is an empty list of registries here.
fn is_published(package: &Value) -> bool {
    package["publish"].as_array().is_none_or(|registries| !registries.is_empty())
}

fn broken_by(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let folder = Path::new(package["manifest_path"].as_str().unwrap_or_default()).parent();
    let is_empty = |field: &Value| match field {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    let fields = FIELDS.iter().filter(|field| is_empty(&package[**field]));
    let fields =
        fields.map(|field| format!("`{name}` is published without `{field}`: add it to its manifest"));
    let needed = FILES.iter().copied().chain(package["readme"].as_str());
    let missing = needed.filter(|file| folder.is_none_or(|folder| !folder.join(file).is_file()));
    let files = missing.map(|file| format!("`{name}` is published without the file `{file}`"));
    let includes = folder.into_iter().flat_map(|folder| outside(folder, &folder.join("src")));
    let includes =
        includes.map(|include| format!("`{name}` is published without a file that it includes: {include}"));
    fields.chain(files).chain(includes).collect()
}

/// Returns the files outside of a crate's folder that its sources include.
fn outside(folder: &Path, sources: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for source in rust_files(sources) {
        let text = fs::read_to_string(&source).unwrap_or_default();
        let places =
            ["include_str!(\"", "include_bytes!(\""].into_iter().flat_map(|begin| text.split(begin).skip(1));
        for path in places.filter_map(|rest| rest.split('"').next()) {
            let target = resolved(&source.with_file_name(path));
            if !target.starts_with(folder) {
                found.push(format!("`{path}` in `{}`", source.display()));
            }
        }
    }
    found
}

/// Returns a path without `..`, as far as its text tells.
fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_included_file_outside_of_the_crate_is_found() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
        let crates = resolved(&crates);
        assert_eq!(outside(&crates.join("cli"), &crates.join("cli/src")), [""; 0]);
        let pictures = outside(&crates.join("cli/src"), &crates.join("cli/src/commands/demo"));
        assert_eq!(pictures.len(), 3, "{pictures:?}");
    }

    #[test]
    fn a_published_crate_needs_every_field_and_file() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/rxon/Cargo.toml");
        let complete = json!({
            "name": "rxon", "manifest_path": manifest, "publish": null, "readme": "README.md", "authors": ["we"],
            "categories": ["a"], "description": "d", "documentation": "u", "keywords": ["k"], "license": "l",
            "repository": "r",
        });
        let check = |package: &Value| broken(&json!({ "packages": [package] }));
        assert_eq!(check(&complete), [""; 0]);
        for field in FIELDS {
            let mut package = complete.clone();
            package[field] = Value::Null;
            assert_eq!(
                check(&package),
                [format!("`rxon` is published without `{field}`: add it to its manifest")]
            );
        }
        let mut elsewhere = complete.clone();
        elsewhere["manifest_path"] = json!("/nowhere/Cargo.toml");
        assert_eq!(check(&elsewhere).len(), 3);
        elsewhere["publish"] = json!([]);
        assert_eq!(check(&elsewhere), [""; 0]);
    }
}
