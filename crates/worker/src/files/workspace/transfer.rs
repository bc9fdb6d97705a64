//! Operations on a task's directory that only transfers need. They block.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::mode::OpenMode;
use super::{EntryKind, PART, Workspace, file_and_directory, name, roots};
use crate::files::error::{FileError, FileErrorKind, shown};

impl Workspace {
    /// Finds a file, or a directory, which may be the task's directory itself.
    pub(in crate::files) fn resolve_existing(
        &self,
        name: &Path,
        is_directory: bool,
    ) -> Result<(PathBuf, EntryKind), FileError> {
        let resolve = if is_directory { name::below } else { name::of_file };
        let below = resolve(name, &roots(self.made()?))?;
        let Some(kind) = self.entry(&below)? else {
            return Err(FileError::new(FileErrorKind::NotFound, format!("there is no `{}`", shown(&below))));
        };
        if is_directory != (kind == EntryKind::Directory) {
            let flaw = if is_directory {
                "not a directory, expected a directory"
            } else {
                "a directory, expected a file"
            };
            return Err(FileError::unusable(format!("`{}` is {flaw}", shown(&below))));
        }
        Ok((below, kind))
    }

    /// Finds the entry for a path in a task's data. Returns None for a path outside the directory or without an entry.
    pub(in crate::files) fn find(&self, path: &str) -> Result<Option<(PathBuf, EntryKind)>, FileError> {
        let Some(made) = self.made.get() else { return Ok(None) };
        // Most texts are not paths below the directory, which is not an error.
        let Ok(below) = name::below(Path::new(path), &roots(made)) else { return Ok(None) };
        match self.entry(&below) {
            Ok(entry) => Ok(entry.map(|entry| (below, entry))),
            // No entry can have a name that is too long for the system.
            Err(error) if error.kind() == FileErrorKind::Unusable => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the file of a download in one step.
    pub(in crate::files) fn write_download(
        &self,
        below: &Path,
        content: &[u8],
        replaces: bool,
    ) -> Result<(), FileError> {
        if !replaces {
            return self.write_new(below, content);
        }
        let (part, mut file) = self.new_part()?;
        let written = file.write_all(content).map_err(|error| FileError::io("write", below, error));
        written.and_then(|()| self.name_part(&part, below, replaces)).inspect_err(|_| self.remove_part(&part))
    }

    /// Writes a new file. An existing file is an error: two objects would become one file.
    fn write_new(&self, below: &Path, content: &[u8]) -> Result<(), FileError> {
        let made = self.made()?;
        let open = || made.dir.open_with(below, &OpenMode::CREATE_NEW.options());
        let opened = match open() {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                self.make_parents(below)?;
                open()
            }
            opened => opened,
        };
        let mut file = opened.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => already_exists(below),
            _ => FileError::io("create", below, error),
        })?;
        file.write_all(content).map_err(|error| {
            let _ = made.dir.remove_file(below);
            FileError::io("write", below, error)
        })
    }

    /// Creates a file for a download, under a unique name.
    pub(in crate::files) fn new_part(&self) -> Result<(PathBuf, std::fs::File), FileError> {
        let made = self.made()?;
        let name = PathBuf::from(format!("{PART}{:016x}", fastrand::u64(..)));
        let opened = made.dir.open_with(&name, &OpenMode::CREATE_NEW.options());
        let file = opened.map_err(|error| FileError::io("create", &name, error))?;
        Ok((name, file.into_std()))
    }

    /// Renames a finished download. Unless it replaces an existing file, that is an error: two objects would become one
    /// file.
    pub(in crate::files) fn name_part(
        &self,
        part: &Path,
        below: &Path,
        replaces: bool,
    ) -> Result<(), FileError> {
        let made = self.made()?;
        self.make_parents(below)?;
        // Refuses a link that leads out, in any case.
        if self.entry(below)?.is_some() && !replaces {
            return Err(already_exists(below));
        }
        made.dir.rename(part, &made.dir, below).map_err(|error| match error.kind() {
            // The entry was made after the check above.
            ErrorKind::IsADirectory | ErrorKind::NotADirectory => file_and_directory(below, error),
            _ => FileError::io("rename a download to", below, error),
        })
    }

    /// Removes an unfinished download.
    pub(in crate::files) fn remove_part(&self, part: &Path) {
        if let Some(made) = self.made.get() {
            let _ = made.dir.remove_file(part);
        }
    }
}

fn already_exists(below: &Path) -> FileError {
    FileError::unusable(format!("`{}` exists already, and would be overwritten", shown(below)))
}
