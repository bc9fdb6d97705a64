//! Names that cannot lead out of a task's directory. Pure: no file is looked at.

use std::path::{Component, Path, PathBuf};

use rxon::text::excerpt;

use super::error::{FileError, FileErrorKind};

/// The longest name that is taken as it is; file systems take 255 bytes, and names are lengthened here and there.
const LONGEST: usize = 128;

/// A name for the directory of a task: its id where that is a plain one (`A-Z a-z 0-9 - _ .`, at most 128), else what
/// is plain of its beginning with a hash of the whole.
pub(super) fn of_task(task_id: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if task_id.len() <= LONGEST && !task_id.starts_with('.') && task_id.bytes().all(is_plain) {
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

/// The path below the task's directory that a name means. An absolute one is taken if it lies below one of `roots`,
/// which are names of the task's directory.
pub(super) fn below(name: &Path, roots: &[&Path]) -> Result<PathBuf, FileError> {
    let forbidden = |why: &str| {
        let name = shown(name);
        FileError::new(
            FileErrorKind::Forbidden,
            format!("`{name}` {why}, expected a path within the task's directory"),
        )
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

/// As [`below`], but not the directory itself.
pub(super) fn of_file(name: &Path, roots: &[&Path]) -> Result<PathBuf, FileError> {
    let path = below(name, roots)?;
    if path.as_os_str().is_empty() {
        let name = shown(name);
        return Err(FileError::new(
            FileErrorKind::Unusable,
            format!("`{name}` is the task's directory itself, expected the name of something in it"),
        ));
    }
    Ok(path)
}

/// The path below a directory for what follows the prefix in an object's key.
pub(super) fn of_key(rest: &str) -> Result<PathBuf, FileError> {
    let path = of_file(Path::new(rest), &[])?;
    // `Path` passes over what S3 does not: these would be other keys.
    if rest.split('/').any(|part| part.is_empty() || part == ".") {
        return Err(FileError::new(
            FileErrorKind::Unusable,
            format!(
                "the key `{}` has an empty part or `.` in it, and cannot be a path",
                shown(Path::new(rest))
            ),
        ));
    }
    Ok(path)
}

/// An excerpt of a name, for messages.
pub(super) fn shown(name: &Path) -> String {
    excerpt(name.as_os_str().as_encoded_bytes())
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
    fn what_stays_within_is_taken() {
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
    fn what_leads_elsewhere_is_refused() {
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
    fn keys_are_paths_or_refused() {
        let kind = |key| of_key(key).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(kind("a/b.txt"), Ok(()));
        assert_eq!(kind("a//b"), Err(FileErrorKind::Unusable));
        assert_eq!(kind("./a"), Err(FileErrorKind::Unusable));
        assert_eq!(kind("a/../b"), Err(FileErrorKind::Forbidden));
        assert_eq!(kind("/a"), Err(FileErrorKind::Forbidden));
    }

    #[test]
    fn every_task_has_a_directory_name_of_its_own_that_is_one() {
        assert_eq!(of_task("task-6e156f73_1.b"), "task-6e156f73_1.b");
        let strange = [
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
            assert!(
                name.len() <= LONGEST && name.contains('~') && !name.contains(['/', '\0', '.']),
                "{name}"
            );
            assert!(seen.insert(name), "{id}");
        }
    }

    #[test]
    fn names_in_messages_are_short_and_harmless() {
        let text = shown(Path::new(&"\u{1b}[31m\n".repeat(100)));
        assert!(text.len() < 800 && !text.contains(['\u{1b}', '\n']), "{text}");
    }
}
