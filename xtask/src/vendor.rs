//! `cargo xtask vendor`: compares the libraries of the page with those of the npm registry.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::output::print_line;
use crate::registry;
use crate::workspace::Workspace;

/// The libraries, below the root of the workspace.
const FOLDER: &str = "crates/dev-orchestrator/src/page/assets/vendor";

/// What lists them.
const LIST: &str = "vendored.json";

/// A file of a package.
#[derive(Debug)]
struct Vendored {
    /// Its name here.
    file: String,
    /// The package and its version, such as `preact 11.2.0`.
    package: String,
    /// The address of the package's archive.
    url: String,
    /// The path of the file in the archive.
    path: String,
    sha256: String,
    licence_file: String,
}

/// Compares the files with the list, and both with the registry.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let folder = workspace.root().join(FOLDER);
    let list = list(&folder)?;
    let mut problems = differences(&folder, &list);
    let downloads = workspace.target().join("vendor");
    fs::create_dir_all(&downloads)
        .map_err(|error| Failure::new(format!("cannot make `{}`: {error}", downloads.display())))?;
    let mut archives: BTreeMap<&str, PathBuf> = BTreeMap::new();
    for entry in &list {
        let archive = downloads.join(format!("{}.tgz", archives.len()));
        if !archives.contains_key(entry.url.as_str()) {
            registry::download(&entry.url, &archive)?;
            archives.insert(&entry.url, archive);
        }
        problems.extend(difference_from_registry(entry, &archives[entry.url.as_str()]));
    }
    end(&problems, list.len())
}

/// Returns a sentence for each file that differs from the list, without the network.
pub(crate) fn broken(root: &Path) -> Vec<String> {
    let folder = root.join(FOLDER);
    match list(&folder) {
        Ok(list) => differences(&folder, &list),
        Err(failure) => vec![failure.to_string()],
    }
}

fn end(problems: &[String], files: usize) -> Result {
    if problems.is_empty() {
        print_line(&format!("{files} files are those of the npm registry"));
        return Ok(());
    }
    Err(Failure::new(problems.join("\n")))
}

fn list(folder: &Path) -> Result<Vec<Vendored>> {
    let file = folder.join(LIST);
    let failure = |problem: String| Failure::new(format!("`{}`: {problem}", file.display()));
    let text = fs::read(&file).map_err(|error| failure(error.to_string()))?;
    let list: Value = serde_json::from_slice(&text).map_err(|error| failure(error.to_string()))?;
    let entries = list["files"].as_array().ok_or_else(|| failure("no list `files`".to_owned()))?;
    entries.iter().map(|entry| vendored(entry).map_err(failure)).collect()
}

fn vendored(entry: &Value) -> std::result::Result<Vendored, String> {
    let text = |name: &str| {
        let text = entry[name].as_str().map(str::to_owned);
        text.ok_or_else(|| format!("an entry without the text `{name}`: {entry}"))
    };
    Ok(Vendored {
        file: text("file")?,
        package: format!("{} {}", text("name")?, text("version")?),
        url: text("url")?,
        path: text("path")?,
        sha256: text("sha256")?,
        licence_file: text("licence_file")?,
    })
}

fn differences(folder: &Path, list: &[Vendored]) -> Vec<String> {
    let changed = list.iter().filter_map(|entry| difference_from_list(folder, entry));
    let without_licence = list.iter().filter(|entry| !folder.join(&entry.licence_file).is_file());
    let licences = without_licence.map(|entry| {
        format!("`{}/{}` is missing: the licence of {}", FOLDER, entry.licence_file, entry.package)
    });
    let files = fs::read_dir(folder).into_iter().flatten().flatten().filter(|file| file.path().is_file());
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let unlisted = names.filter(|name| name != LIST && list.iter().all(|entry| entry.file != *name));
    let unlisted = unlisted.map(|name| format!("`{FOLDER}/{name}` is not listed in `{LIST}`"));
    changed.chain(licences).chain(unlisted).collect()
}

fn difference_from_list(folder: &Path, entry: &Vendored) -> Option<String> {
    let Vendored { file, package, sha256, .. } = entry;
    let content = match fs::read(folder.join(file)) {
        Ok(content) => content,
        Err(error) => return Some(format!("`{FOLDER}/{file}` of {package} cannot be read: {error}")),
    };
    let found = registry::sha256(&content);
    (found != *sha256).then(|| {
        format!("`{FOLDER}/{file}` was changed: its SHA-256 is {found}, `{LIST}` has {sha256} for {package}")
    })
}

fn difference_from_registry(entry: &Vendored, archive: &Path) -> Option<String> {
    let Vendored { file, package, path, sha256, url, .. } = entry;
    match registry::read(archive, path).map(|content| registry::sha256(&content)) {
        Ok(found) if found == *sha256 => None,
        Ok(found) => Some(format!(
            "`{FOLDER}/{file}` is not that of the registry: `{path}` in {url} has the SHA-256 {found}, `{LIST}` has \
             {sha256} for {package}"
        )),
        Err(failure) => Some(format!("`{path}` is not in {url}: {failure}")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A folder with one library, and its archive.
    fn folder(name: &str) -> (PathBuf, PathBuf, Vec<Vendored>) {
        let folder = std::env::temp_dir().join(format!("xtask-vendor-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("package")).unwrap();
        for file in ["library.js", "licence.txt", "package/library.mjs"] {
            fs::write(folder.join(file), "export const answer = 42;\n").unwrap();
        }
        let sha256 = registry::sha256(b"export const answer = 42;\n");
        let list = serde_json::json!({ "files": [{
            "file": "library.js", "name": "library", "version": "1.0.0", "url": "https://registry.npmjs.org/library.tgz",
            "path": "package/library.mjs", "sha256": sha256, "licence_file": "licence.txt",
        }, {
            "file": "licence.txt", "name": "library", "version": "1.0.0", "url": "https://registry.npmjs.org/library.tgz",
            "path": "package/library.mjs", "sha256": sha256, "licence_file": "licence.txt",
        }]});
        fs::write(folder.join(LIST), list.to_string()).unwrap();
        let archive = folder.join("package/library.tgz");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&folder).arg("-czf").arg(&archive).arg("package/library.mjs");
        assert!(tar.status().unwrap().success());
        let list = self::list(&folder).unwrap();
        (folder, archive, list)
    }

    #[test]
    fn a_library_that_is_that_of_the_registry_is_accepted() {
        let (folder, archive, list) = folder("same");
        assert_eq!(differences(&folder, &list), Vec::<String>::new());
        assert_eq!(difference_from_registry(&list[0], &archive), None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn each_difference_is_named() {
        let (folder, archive, mut list) = folder("changed");
        fs::write(folder.join("library.js"), "export const answer = 43;\n").unwrap();
        fs::write(folder.join("stranger.js"), "").unwrap();
        let changed = differences(&folder, &list);
        assert_eq!(changed.len(), 2, "{changed:?}");
        assert!(
            changed[0].contains("library.js` was changed") && changed[0].contains("library 1.0.0"),
            "{changed:?}"
        );
        assert!(changed[1].contains("stranger.js` is not listed"), "{changed:?}");

        list[0].sha256 = registry::sha256(b"export const answer = 43;\n");
        let sentence = difference_from_registry(&list[0], &archive).unwrap();
        assert!(
            sentence.contains("not that of the registry") && sentence.contains(&list[0].sha256),
            "{sentence}"
        );
        list[0].path = "package/other.mjs".to_owned();
        let sentence = difference_from_registry(&list[0], &archive).unwrap();
        assert!(sentence.contains("`package/other.mjs` is not in https://registry.npmjs.org/"), "{sentence}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_entry_that_lacks_something_is_named() {
        let message = vendored(&serde_json::json!({ "file": "a.js" })).unwrap_err();
        assert!(message.contains("without the text `name`"), "{message}");
    }
}
