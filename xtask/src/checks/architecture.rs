//! The paths that `ARCHITECTURE.md` names exist.

use std::fs;
use std::path::Path;

/// The folders that the paths in the document are relative to.
const BASES: [&str; 5] = [
    "",
    "crates/worker/src",
    "crates/python",
    "crates/python/python/avtomatika_worker",
    "crates/dev-orchestrator/src",
];

/// A sentence for each path that does not exist.
pub(super) fn broken(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let exists = |path: &str| BASES.iter().any(|base| root.join(base).join(path).exists());
    let missing = paths(&text).filter(|path| !exists(path));
    missing.map(|path| format!("`ARCHITECTURE.md` names `{path}`, which does not exist")).collect()
}

/// The texts between backticks that look like paths of files or folders. A text that begins with a slash is the path of
/// an address.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|text| {
        let is_path =
            text.ends_with('/') || [".rs", ".py", ".md", ".toml"].iter().any(|ending| text.ends_with(ending));
        is_path && !text.starts_with('/') && !text.contains("://") && !text.contains(char::is_whitespace)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_other_code() {
        let text = "`session/driver.rs` and `files/` but `Offer`, `/health`, `cargo xtask check` and `a b/`";
        assert_eq!(paths(text).collect::<Vec<_>>(), ["session/driver.rs", "files/"]);
    }

    #[test]
    fn a_path_that_does_not_exist_is_named() {
        let root = std::env::temp_dir().join("avtomatika-xtask-architecture");
        fs::create_dir_all(root.join("crates/worker/src/session")).expect("made");
        fs::write(root.join("ARCHITECTURE.md"), "`session/` `session/gone.rs`").expect("written");
        assert_eq!(broken(&root), ["`ARCHITECTURE.md` names `session/gone.rs`, which does not exist"]);
        let _ = fs::remove_dir_all(root);
    }
}
