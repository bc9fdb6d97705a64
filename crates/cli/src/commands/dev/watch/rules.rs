//! What is not watched: the names that are never watched, and what `.gitignore` files say.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::gitignore::Pattern;

/// The name of the files with patterns.
pub(super) const FILE: &str = ".gitignore";

/// Names that are never watched.
const NEVER: [&str; 5] = ["target", ".git", "node_modules", "__pycache__", ".venv"];

/// The rules for the entries of a directory.
#[derive(Debug)]
pub(super) struct Rules {
    /// The rules of the directory above, which count less.
    above: Option<Rc<Self>>,
    directory: PathBuf,
    patterns: Vec<Pattern>,
}

impl Rules {
    /// Reads the rules for a directory that is watched, and those of the directories above it: up to the root of its
    /// repository, or else up to the current directory.
    pub(super) fn of_root(root: &Path, current: &Path) -> Rc<Self> {
        let repository = root.ancestors().position(|directory| directory.join(".git").exists());
        let own = || root.ancestors().position(|directory| directory == current);
        let above = repository.or_else(own).unwrap_or(0);
        let directories: Vec<&Path> = root.ancestors().take(above + 1).collect();
        let mut rules = None;
        for directory in directories.into_iter().rev() {
            rules = Some(Rc::new(Self::read(directory, rules)));
        }
        rules.unwrap_or_else(|| Rc::new(Self::read(root, None)))
    }

    /// Reads the rules for a directory inside of this one.
    pub(super) fn below(self: &Rc<Self>, directory: &Path) -> Rc<Self> {
        Rc::new(Self::read(directory, Some(self.clone())))
    }

    fn read(directory: &Path, above: Option<Rc<Self>>) -> Self {
        let text = fs::read(directory.join(FILE)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let patterns = text.trim_start_matches('\u{feff}').lines().filter_map(Pattern::parse);
        Self { above, directory: directory.to_owned(), patterns: patterns.collect() }
    }

    /// Returns whether an entry of the directory is not watched.
    pub(super) fn ignore(&self, name: &OsStr, is_directory: bool) -> bool {
        if NEVER.iter().any(|never| name == *never) {
            return true;
        }
        let path = self.directory.join(name);
        let mut rules = Some(self);
        while let Some(level) = rules {
            let relative = path.strip_prefix(&level.directory).unwrap_or(&path);
            let names: Vec<_> = relative.iter().map(OsStr::to_string_lossy).collect();
            let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
            // The last one that matches counts.
            let found = level.patterns.iter().rev().find(|pattern| pattern.matches(&names, is_directory));
            if let Some(pattern) = found {
                return !pattern.is_negated;
            }
            rules = level.above.as_deref();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_counts_most_and_the_last_line_in_it() {
        let root = tempfile::tempdir().expect("a directory");
        let inner = root.path().join("inner");
        fs::create_dir(&inner).expect("a directory");
        fs::write(root.path().join(FILE), "*.log\n*.tmp\n!kept.log\n/inner/only\n").expect("written");
        fs::write(inner.join(FILE), "!*.tmp\n").expect("written");
        // No repository: files above count up to the current directory.
        let rules = Rules::of_root(&inner, root.path());
        let ignore = |name: &str| rules.ignore(OsStr::new(name), false);
        assert!(ignore("a.log") && ignore("only"));
        assert!(!ignore("kept.log") && !ignore("a.tmp") && !ignore("a.rs"));

        let alone = Rules::of_root(&inner, Path::new("/nowhere"));
        assert!(!alone.ignore(OsStr::new("a.log"), false));
    }

    #[test]
    fn some_names_are_never_watched() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join(FILE), "!target\n").expect("written");
        let rules = Rules::of_root(root.path(), root.path());
        for name in NEVER {
            assert!(rules.ignore(OsStr::new(name), true), "{name}");
        }
        assert!(!rules.ignore(OsStr::new("targets"), true));
    }
}
