//! The directory of one task. The operating system resolves every path beneath it: no name and no symbolic link leads out.
//! Everything in this module blocks.

mod ledger;
pub(super) mod mode;
pub(super) mod name;
mod removal;
pub(super) mod root;
mod standalone;
#[cfg(feature = "s3")]
mod transfer;

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use cap_std::fs::Metadata;
use rxon::TaskId;

use self::mode::OpenMode;
use self::root::{Made, Root};
use self::standalone::Standalone;
use super::error::{FileError, found, shown};
use crate::threads::lock;

/// The beginning of the names of unfinished downloads. They are never listed and never uploaded.
const PART: &str = ".avtomatika-part-";

/// The directory of one task, made on first use.
#[derive(Debug)]
pub(super) struct Workspace {
    place: Place,
    made: OnceLock<Made>,
    making: Mutex<()>,
}

/// Where the directory is.
#[derive(Debug)]
enum Place {
    /// In `TASK_FILES_DIR`, and removed with its task.
    OfTask(Arc<Root>, TaskId),
    /// At a path that the user chose. It is never removed.
    Standalone(Standalone),
}

/// The kind of an entry of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    File {
        size: u64,
    },
    Directory,
    /// A pipe, a socket, a device.
    Other,
}

impl From<Metadata> for EntryKind {
    fn from(metadata: Metadata) -> Self {
        if metadata.is_file() {
            Self::File { size: metadata.len() }
        } else if metadata.is_dir() {
            Self::Directory
        } else {
            Self::Other
        }
    }
}

impl Workspace {
    pub(super) fn new(root: Arc<Root>, task_id: TaskId) -> Self {
        Self::at(Place::OfTask(root, task_id))
    }

    /// A directory outside of a worker. The keys of uploads begin with `key_prefix`. A private one is made for its user
    /// only, and a symbolic link in its place is an error.
    pub(super) fn standalone(path: &Path, key_prefix: &str, is_private: bool) -> Self {
        Self::at(Place::Standalone(Standalone::new(path, key_prefix, is_private)))
    }

    fn at(place: Place) -> Self {
        Self { place, made: OnceLock::new(), making: Mutex::new(()) }
    }

    /// Whether the directory belongs to the user, who may have files in it already.
    pub(super) fn is_standalone(&self) -> bool {
        matches!(self.place, Place::Standalone(_))
    }

    /// Returns the absolute paths of the directory that paths in data are looked for in.
    #[cfg(feature = "s3")]
    pub(super) fn search_paths(&self) -> Vec<PathBuf> {
        match &self.place {
            Place::OfTask(root, _) => root.paths(),
            Place::Standalone(standalone) => vec![standalone.path.clone()],
        }
    }

    /// Returns the directory, and makes it if it does not exist yet.
    pub(super) fn made(&self) -> Result<&Made, FileError> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let _one = lock(&self.making);
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let made = match &self.place {
            Place::OfTask(root, task_id) => root.make(task_id.as_str())?,
            Place::Standalone(standalone) => standalone.make()?,
        };
        Ok(self.made.get_or_init(|| made))
    }

    /// Returns the directory if it was made.
    pub(super) fn existing(&self) -> Option<&Made> {
        self.made.get()
    }

    /// Returns the directory and the path below it that a name stands for.
    pub(super) fn resolve(&self, name: &Path) -> Result<(&Made, PathBuf), FileError> {
        let made = self.made()?;
        Ok((made, name::of_file(name, &roots(made))?))
    }

    /// Returns the kind of the entry at a path below the directory, following symbolic links; None without an entry.
    pub(super) fn entry(&self, below: &Path) -> Result<Option<EntryKind>, FileError> {
        let Some(made) = self.made.get() else { return Ok(None) };
        match found(made.dir.metadata(or_dot(below))) {
            Ok(metadata) => Ok(metadata.map(EntryKind::from)),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(None),
            Err(error) => Err(FileError::io("look at", below, error)),
        }
    }

    pub(super) fn path_to(&self, name: &Path) -> Result<PathBuf, FileError> {
        let made = self.made()?;
        let below = name::below(name, &roots(made))?;
        if below.as_os_str().is_empty() {
            return Ok(made.path.clone());
        }
        self.make_parents(&below)?;
        // Refuses a link that leads out: the caller opens the path without this check.
        self.entry(&below)?;
        Ok(made.path.join(below))
    }

    pub(super) fn read(&self, name: &Path) -> Result<Vec<u8>, FileError> {
        let (_, below) = self.resolve(name)?;
        let mut content = Vec::new();
        let mut file = self.open_below(&below, OpenMode::READ)?;
        file.read_to_end(&mut content).map_err(|error| FileError::io("read", &below, error))?;
        Ok(content)
    }

    pub(super) fn write(&self, name: &Path, content: &[u8], how: OpenMode) -> Result<PathBuf, FileError> {
        let (made, below) = self.resolve(name)?;
        self.make_parents(&below)?;
        let mut file = self.open_below(&below, how)?;
        file.write_all(content).map_err(|error| FileError::io("write", &below, error))?;
        Ok(made.path.join(below))
    }

    pub(super) fn open(&self, name: &Path, how: OpenMode) -> Result<std::fs::File, FileError> {
        let (_, below) = self.resolve(name)?;
        if how.writes() {
            self.make_parents(&below)?;
        }
        self.open_below(&below, how)
    }

    pub(super) fn exists(&self, name: &Path) -> Result<bool, FileError> {
        match self.made.get() {
            Some(made) => Ok(self.entry(&name::below(name, &roots(made))?)?.is_some()),
            // A directory of the user's may exist before it is used.
            None if self.is_standalone() => self.made().and_then(|_| self.exists(name)),
            // The same names are refused before the directory exists.
            None => name::below(name, &[]).map(|_| false),
        }
    }

    /// Lists the names of the entries of the directory itself, in alphabetical order.
    pub(super) fn list(&self) -> Result<Vec<String>, FileError> {
        let made = self.made()?;
        let failed = |error| FileError::io("list", &made.path, error);
        let mut names = Vec::new();
        for entry in made.dir.entries().map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if !is_part(&name) {
                names.push(name.to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    pub(super) fn make_directory(&self, below: &Path) -> Result<(), FileError> {
        let made = self.made()?;
        match made.dir.create_dir_all(below) {
            Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::AlreadyExists) => {
                // A link that leads out has an error of its own.
                self.entry(below)?;
                Err(file_and_directory(below, error))
            }
            made => made.map_err(|error| FileError::io("create the directory", below, error)),
        }
    }

    pub(super) fn make_parents(&self, below: &Path) -> Result<(), FileError> {
        match below.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.make_directory(parent),
            _ => Ok(()),
        }
    }

    /// Opens a regular file. Opening a pipe could block for ever.
    pub(super) fn open_below(&self, below: &Path, how: OpenMode) -> Result<std::fs::File, FileError> {
        let flaw = match self.entry(below)? {
            Some(EntryKind::Directory) => Some("a directory, expected a file"),
            Some(EntryKind::Other) => Some("not a regular file"),
            Some(EntryKind::File { .. }) | None => None,
        };
        if let Some(flaw) = flaw {
            return Err(FileError::unusable(format!("`{}` is {flaw}", shown(below))));
        }
        let made = self.made()?;
        let opened = made.dir.open_with(below, &how.options());
        opened.map(cap_std::fs::File::into_std).map_err(|error| FileError::io("open", below, error))
    }
}

fn file_and_directory(below: &Path, error: std::io::Error) -> FileError {
    let name = shown(below);
    FileError::unusable(format!("`{name}` would have to be a file and a directory at once")).because(error)
}

/// Returns the path of the directory itself as `.`, because the system takes no empty path.
pub(super) fn or_dot(below: &Path) -> &Path {
    if below.as_os_str().is_empty() { Path::new(".") } else { below }
}

/// Whether this is the name of an unfinished download.
pub(super) fn is_part(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PART.as_bytes())
}

/// Returns the absolute paths of a task's directory.
fn roots(made: &Made) -> [&Path; 2] {
    [&made.path, &made.canonical]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::files::error::FileErrorKind;

    fn workspace(folder: &tempfile::TempDir) -> Workspace {
        let root = Arc::new(Root::new(&folder.path().join("payloads"), None));
        Workspace::new(root, TaskId::received("t-1".to_owned().as_str()).expect("an id"))
    }

    fn kind<T: std::fmt::Debug>(result: Result<T, FileError>) -> FileErrorKind {
        result.expect_err("refused").kind()
    }

    #[test]
    fn files_are_written_read_and_listed() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = workspace(&folder);
        assert!(!files.exists(Path::new("a")).expect("looked") && files.existing().is_none());
        let path = files.write(Path::new("out/deep/a.txt"), b"one", OpenMode::WRITE).expect("written");
        files.write(&path, b" two", OpenMode::APPEND).expect("appended");
        assert_eq!(fs::read_to_string(&path).expect("read"), "one two");
        assert_eq!(files.read(Path::new("out/deep/a.txt")).expect("read"), b"one two");
        files.write(Path::new("b"), b"", OpenMode::WRITE).expect("written");
        files.new_part().expect("a part");
        assert_eq!(files.list().expect("listed"), ["b", "out"]);
        assert_eq!(kind(files.read(Path::new("none"))), FileErrorKind::NotFound);
        assert_eq!(kind(files.read(Path::new("out"))), FileErrorKind::Unusable);
        assert_eq!(kind(files.read(Path::new("b/c"))), FileErrorKind::Other);
        assert_eq!(kind(files.path_to(Path::new(&"x".repeat(300)))), FileErrorKind::Unusable);
        files.existing().expect("it was made").remove().expect("removed");
        assert!(!path.exists());
    }

    #[test]
    fn links_that_lead_out_are_never_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("secret");
        fs::write(&secret, "secret").expect("written");
        let files = workspace(&folder);
        let made = files.made().expect("made").path.clone();
        for (link, target) in [
            ("absolute", secret.as_path()),
            ("relative", Path::new("../../secret")),
            ("passwd", Path::new("/etc/passwd")),
            ("parent", Path::new("..")),
        ] {
            symlink(target, made.join(link)).expect("linked");
        }
        for name in ["absolute", "relative", "passwd", "parent/t-1/absolute", "parent/other"] {
            let name = Path::new(name);
            assert_eq!(kind(files.read(name)), FileErrorKind::Forbidden, "{name:?}");
            assert_eq!(kind(files.write(name, b"x", OpenMode::WRITE)), FileErrorKind::Forbidden, "{name:?}");
            assert_eq!(kind(files.path_to(name)), FileErrorKind::Forbidden, "{name:?}");
            assert_eq!(kind(files.exists(name)), FileErrorKind::Forbidden, "{name:?}");
            assert_eq!(kind(files.open(name, OpenMode::APPEND)), FileErrorKind::Forbidden, "{name:?}");
            let path = made.join(name);
            assert_eq!(kind(files.find(path.to_str().expect("text"))), FileErrorKind::Forbidden, "{name:?}");
        }
        assert_eq!(fs::read_to_string(&secret).expect("read"), "secret");
        files.existing().expect("it was made").remove().expect("removed");
        assert!(secret.exists() && !made.exists());
    }

    #[test]
    fn links_within_are_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = workspace(&folder);
        let made = files.write(Path::new("a"), b"x", OpenMode::WRITE).expect("written");
        symlink("a", made.with_file_name("link")).expect("linked");
        assert_eq!(files.read(Path::new("link")).expect("read"), b"x");
    }

    #[test]
    fn opening_a_pipe_does_not_block() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = workspace(&folder);
        let pipe = files.path_to(Path::new("pipe")).expect("a path");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .expect("made");
        assert_eq!(kind(files.read(Path::new("pipe"))), FileErrorKind::Unusable);
        assert_eq!(kind(files.write(Path::new("pipe"), b"x", OpenMode::WRITE)), FileErrorKind::Unusable);
    }

    #[test]
    fn only_paths_of_existing_entries_in_the_directory_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = workspace(&folder);
        assert_eq!(files.find("/etc/passwd").expect("looked"), None);
        let path = files.write(Path::new("out/a"), b"xyz", OpenMode::WRITE).expect("written");
        let found = |path: &Path| files.find(path.to_str().expect("text")).expect("looked");
        assert_eq!(found(&path), Some((PathBuf::from("out/a"), EntryKind::File { size: 3 })));
        assert_eq!(found(&path.with_file_name("")), Some((PathBuf::from("out"), EntryKind::Directory)));
        for other in [
            path.with_file_name("none"),
            path.join("below"),
            folder.path().join("payloads/t-2/a"),
            "out/a".into(),
        ] {
            if other.is_absolute() {
                assert_eq!(found(&other), None, "{other:?}");
            }
        }
        assert_eq!(found(&files.made().expect("made").path.join("../t-1/out/a")), None);
        let root = files.made().expect("made").path.clone();
        for long in ["x".repeat(300), format!("{}a", "d/".repeat(2500)), format!("out/{}/a", "x".repeat(300))]
        {
            assert_eq!(found(&root.join(long)), None);
        }
    }
}
