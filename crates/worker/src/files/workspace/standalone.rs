//! A directory outside of a worker: at any path, and never removed.

use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt};
use rustix::fs::{Mode, OFlags};

use super::root::Made;
use crate::files::error::{FileError, FileErrorKind, created, shown};

/// The place of a directory outside of a worker.
#[derive(Debug)]
pub(super) struct Standalone {
    /// Absolute.
    pub(super) path: PathBuf,
    /// The beginning of the keys of uploads.
    key_prefix: String,
    /// Whether only its user may read it, if it is made, and a symbolic link in its place is an error.
    is_private: bool,
}

impl Standalone {
    pub(super) fn new(path: &Path, key_prefix: &str, is_private: bool) -> Self {
        // Without a current directory, a relative path fails with an error on first use.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { path, key_prefix: key_prefix.trim_matches('/').to_owned(), is_private }
    }

    /// Opens the directory, and makes it if it does not exist. Blocks.
    pub(super) fn make(&self) -> Result<Made, FileError> {
        let opened = if self.is_private { self.open_private() } else { self.open() };
        let (dir, canonical) = opened.map_err(|error| {
            if self.is_private && self.path.is_symlink() {
                let path = shown(&self.path);
                let message = format!("`{path}` is a symbolic link, expected a directory");
                return FileError::new(FileErrorKind::Forbidden, message).because(error);
            }
            FileError::io("open the directory", &self.path, error)
        })?;
        Ok(Made::of_user(self.key_prefix.clone(), dir, self.path.clone(), canonical))
    }

    fn open(&self) -> io::Result<(Dir, PathBuf)> {
        Dir::create_ambient_dir_all(&self.path, ambient_authority())?;
        let dir = Dir::open_ambient_dir(&self.path, ambient_authority())?;
        Ok((dir, self.path.canonicalize()?))
    }

    fn open_private(&self) -> io::Result<(Dir, PathBuf)> {
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(io::ErrorKind::InvalidFilename.into());
        };
        Dir::create_ambient_dir_all(parent, ambient_authority())?;
        let root = Dir::open_ambient_dir(parent, ambient_authority())?;
        created(root.create_dir_with(name, DirBuilder::new().mode(0o700)))?;
        // The name has one component, so it cannot lead out without a link.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&root, name, flags, Mode::empty())?;
        Ok((Dir::from_std_file(dir.into()), parent.canonicalize()?.join(name)))
    }
}
