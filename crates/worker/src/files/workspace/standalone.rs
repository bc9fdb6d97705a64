//! A directory outside of a worker: at any path, and never removed.

use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::root::Made;
use crate::files::error::FileError;

/// The place of a directory outside of a worker.
#[derive(Debug)]
pub(super) struct Standalone {
    /// Absolute.
    pub(super) path: PathBuf,
    /// The beginning of the keys of uploads.
    key_prefix: String,
}

impl Standalone {
    pub(super) fn new(path: &Path, key_prefix: &str) -> Self {
        // Without a current directory, a relative path fails with an error on first use.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { path, key_prefix: key_prefix.trim_matches('/').to_owned() }
    }

    /// Opens the directory, and makes it if it does not exist. Blocks.
    pub(super) fn make(&self) -> Result<Made, FileError> {
        let opened = || -> io::Result<(Dir, PathBuf)> {
            Dir::create_ambient_dir_all(&self.path, ambient_authority())?;
            let dir = Dir::open_ambient_dir(&self.path, ambient_authority())?;
            Ok((dir, self.path.canonicalize()?))
        };
        let (dir, canonical) =
            opened().map_err(|error| FileError::io("open the directory", &self.path, error))?;
        Ok(Made::of_user(self.key_prefix.clone(), dir, self.path.clone(), canonical))
    }
}
