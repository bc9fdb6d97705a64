//! Checks that names cannot lead out of a task's directory. Pure: no file is touched.

use std::path::{Component, Path, PathBuf};

use crate::files::error::{FileError, FileErrorKind, shown};

/// The longest task id that is used unchanged as a name. File systems take 255 bytes, and suffixes are added to names.
const MAX_ID: usize = 128;

/// Returns the name of a task's directory. That is the task id if it is plain (at most 128 of `A-Z a-z 0-9 - _ .`), else
/// the plain characters of its beginning and a hash of the whole id.
pub(in crate::files) fn of_task(task_id: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=MAX_ID).contains(&task_id.len()) && !task_id.starts_with('.') && task_id.bytes().all(is_plain) {
        return task_id.to_owned();
    }
    let beginning: String = task_id
        .chars()
        .filter(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_'))
        .take(32)
        .collect();
    let digest = rxon::signing::digest(task_id.as_bytes());
    format!("{beginning}~{}", &digest[..16])
}

/// Returns the path below the task's directory that a name stands for. An absolute path must lie below one of `roots`,
/// the absolute paths of the task's directory.
pub(in crate::files) fn below(name: &Path, roots: &[&Path]) -> Result<PathBuf, FileError> {
    let forbidden = |why: &str| {
        let message = format!("`{}` {why}, expected a path within the task's directory", shown(name));
        FileError::new(FileErrorKind::Forbidden, message)
    };
    let bytes = name.as_os_str().as_encoded_bytes();
    if bytes.contains(&0) {
        return Err(forbidden("has a NUL in it"));
    }
    if let [letter, b':', b'/' | b'\\', ..] = bytes
        && letter.is_ascii_alphabetic()
    {
        return Err(forbidden("begins with a drive letter"));
    }
    let relative = if name.is_absolute() {
        let found = roots.iter().find_map(|root| name.strip_prefix(root).ok());
        found.ok_or_else(|| forbidden("is absolute and lies elsewhere"))?
    } else {
        name
    };
    let mut path = PathBuf::new();
    for component in relative.components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err(forbidden("has `..` in it")),
            Component::RootDir | Component::Prefix(_) => return Err(forbidden("is absolute")),
        }
    }
    Ok(path)
}

/// Returns the path as [`below`] does, and refuses the directory itself.
pub(in crate::files) fn of_file(name: &Path, roots: &[&Path]) -> Result<PathBuf, FileError> {
    let path = below(name, roots)?;
    if path.as_os_str().is_empty() {
        let name = shown(name);
        let message =
            format!("`{name}` is the task's directory itself, expected the name of something in it");
        return Err(FileError::unusable(message));
    }
    Ok(path)
}

/// Returns the path below a directory for the part of an object's key that follows the prefix.
#[cfg(feature = "s3")]
pub(in crate::files) fn of_key(rest: &str) -> Result<PathBuf, FileError> {
    let path = of_file(Path::new(rest), &[])?;
    // `Path` ignores empty parts and `.`, which are significant in a key.
    if rest.split('/').any(|part| part.is_empty() || part == ".") {
        let key = rxon::text::excerpt(rest);
        let message = format!("the key `{key}` has an empty part or `.` in it, and cannot be a path");
        return Err(FileError::unusable(message));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "/tmp/payloads/t-1";

    fn path(name: &str) -> Result<String, FileErrorKind> {
        let found = of_file(Path::new(name), &[Path::new(ROOT)]);
        found.map(|path| path.to_string_lossy().into_owned()).map_err(|error| error.kind())
    }

    #[test]
    fn names_within_the_directory_are_accepted() {
        for (name, expected) in [
            ("a", "a"),
            ("a/b", "a/b"),
            ("./a//b/.", "a/b"),
            ("...", "..."),
            ("über/файл 1.txt", "über/файл 1.txt"),
            ("a\\b", "a\\b"),
            ("/tmp/payloads/t-1/out/x.png", "out/x.png"),
        ] {
            assert_eq!(path(name).as_deref(), Ok(expected), "{name}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "..",
            "../t-2/a",
            "a/../../b",
            "a/..",
            "/etc/passwd",
            "/tmp/payloads/t-1/../t-2/a",
            "/tmp/payloads/t-10/a",
            "/tmp/payloads",
            "a\0b",
            "C:\\Windows",
            "c:/Windows",
        ] {
            assert_eq!(path(name), Err(FileErrorKind::Forbidden), "{name:?}");
        }
        for name in ["", ".", "/tmp/payloads/t-1", "/tmp/payloads/t-1/"] {
            assert_eq!(path(name), Err(FileErrorKind::Unusable), "{name:?}");
        }
    }

    #[test]
    fn keys_become_paths_or_are_refused() {
        let kind = |key| of_key(key).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(kind("a/b.txt"), Ok(()));
        assert_eq!(kind("a//b"), Err(FileErrorKind::Unusable));
        assert_eq!(kind("./a"), Err(FileErrorKind::Unusable));
        assert_eq!(kind("a/../b"), Err(FileErrorKind::Forbidden));
        assert_eq!(kind("/a"), Err(FileErrorKind::Forbidden));
    }

    #[test]
    fn every_task_id_has_a_usable_directory_name_of_its_own() {
        assert_eq!(of_task("task-6e156f73_1.b"), "task-6e156f73_1.b");
        let strange = [
            "",
            "../dir",
            "..",
            ".",
            ".hidden",
            "a/b",
            "a b",
            "ä",
            "a\0",
            "~",
            &"x".repeat(129),
            &"x".repeat(4000),
        ];
        let mut seen = std::collections::BTreeSet::new();
        for id in strange {
            let name = of_task(id);
            assert!(name.len() <= MAX_ID && name.contains('~') && !name.contains(['/', '\0', '.']), "{name}");
            assert!(seen.insert(name), "{id}");
        }
    }
}
