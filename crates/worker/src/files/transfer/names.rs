//! The names of fetched inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use cap_std::fs::MetadataExt;

use crate::files::error::FileError;
use crate::files::storage::Location;
use crate::files::workspace::{Workspace, name};
use crate::threads::lock;

/// The least number of new directories after which those that are gone are forgotten.
const MIN_NEW: usize = 64;

/// The names of fetched files. Names that differ only in case collide, as on some file systems.
#[derive(Debug, Default)]
pub(in crate::files) struct Names {
    taken: BTreeSet<String>,
    directories: u64,
    /// By address.
    assigned: BTreeMap<String, PathBuf>,
}

impl Names {
    /// Returns the object's own name. If it is taken, returns the name in a directory of its own: `input-2`, `input-3`, ...
    /// The same object has the same name again.
    pub(in crate::files) fn assign(&mut self, at: &Location) -> Result<PathBuf, FileError> {
        if let Some(below) = self.assigned.get(&at.uri) {
            return Ok(below.clone());
        }
        let below = self.free(at)?;
        self.assigned.insert(at.uri.clone(), below.clone());
        Ok(below)
    }

    fn free(&mut self, at: &Location) -> Result<PathBuf, FileError> {
        let name = at.path.as_ref().rsplit('/').next().filter(|name| !name.is_empty());
        // Only a whole bucket has no name.
        let name = name.unwrap_or("bucket");
        let below = name::of_key(name)?;
        if self.taken.insert(name.to_lowercase()) {
            return Ok(below);
        }
        loop {
            self.directories += 1;
            let directory = format!("input-{}", self.directories + 1);
            // An object may have this name.
            if self.taken.insert(directory.clone()) {
                return Ok(Path::new(&directory).join(below));
            }
        }
    }

    /// Takes the names in the directory, and those assigned to objects that may not be there yet.
    fn take(&mut self, present: Vec<String>) {
        let first = |below: &PathBuf| below.iter().next().map(|first| first.to_string_lossy().into_owned());
        let assigned = self.assigned.values().filter_map(first);
        self.taken = present.into_iter().chain(assigned).map(|name| name.to_lowercase()).collect();
        self.directories = 0;
    }
}

/// The names assigned in directories of the user's, into which inputs may be fetched several times, also at once.
#[derive(Debug, Default)]
pub(in crate::files) struct EarlierNames(Mutex<Directories>);

#[derive(Debug, Default)]
struct Directories {
    by_path: BTreeMap<PathBuf, (Identity, Names)>,
    /// The number of directories that were left when those that are gone were forgotten.
    left: usize,
}

/// What tells a directory from a later one at the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    created: Option<SystemTime>,
}

/// A directory of the user's, before inputs are fetched into it.
#[derive(Debug)]
pub(in crate::files) struct Found {
    identity: Identity,
    present: Vec<String>,
}

impl EarlierNames {
    /// Looks at a directory. Forgets those that are gone each time the number has doubled. Blocks.
    pub(in crate::files) fn look(&self, workspace: &Workspace) -> Result<Found, FileError> {
        let mut known = lock(&self.0);
        if known.by_path.len() >= known.left * 2 + MIN_NEW {
            known.by_path.retain(|path, _| path.exists());
            known.left = known.by_path.len();
        }
        drop(known);
        let made = workspace.made()?;
        let metadata = made.dir.dir_metadata();
        let metadata = metadata.map_err(|error| FileError::io("look at", &made.path, error))?;
        let created = metadata.created().ok().map(cap_std::time::SystemTime::into_std);
        let identity = Identity { device: metadata.dev(), inode: metadata.ino(), created };
        Ok(Found { identity, present: workspace.list()? })
    }

    /// Lends the names of a directory.
    pub(in crate::files) fn with<T>(
        &self,
        path: &Path,
        Found { identity, present }: Found,
        assign: impl FnOnce(&mut Names) -> T,
    ) -> T {
        let mut known = lock(&self.0);
        let (before, names) =
            known.by_path.entry(path.to_owned()).or_insert_with(|| (identity, Names::default()));
        if *before != identity {
            (*before, *names) = (identity, Names::default());
        }
        names.take(present);
        assign(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_are_gone_are_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = EarlierNames::default();
        for number in 0..10 * MIN_NEW {
            let path = folder.path().join(number.to_string());
            let there = names.look(&Workspace::standalone(&path, "", true)).expect("looked");
            names.with(&path, there, |_| ());
            if number > 0 {
                std::fs::remove_dir(&path).expect("removed");
            }
        }
        let known = lock(&names.0);
        assert!(known.by_path.len() <= 2 * MIN_NEW, "{}", known.by_path.len());
        assert!(known.by_path.contains_key(&folder.path().join("0")));
    }
}
