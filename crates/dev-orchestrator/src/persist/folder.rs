//! The state directory: made, locked, and what is in it set aside if it cannot be read.
//!
//! | name | what it is |
//! |---|---|
//! | `lock` | locked while a process has the directory; its process id |
//! | `version` | the version of the format of everything else, a number |
//! | `state.redb` | the database |
//! | `files/` | the contents of the storage's objects; their names are numbers |
//! | `token`, `storage-keys` | the secrets |
//! | `aside-<seconds since 1970>/` | what was in the directory and could not be read |

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::StateError;

/// The version of the format. A change that an older version would misread makes it a higher one.
pub(super) const FORMAT: u32 = 1;

/// The time limit of waiting for the lock: a process that was just killed may take a moment to release it.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

const LOCK_INTERVAL: Duration = Duration::from_millis(20);

const LOCK: &str = "lock";
const VERSION: &str = "version";
const DATABASE: &str = "state.redb";
const FILES: &str = "files";
pub(super) const TOKEN: &str = "token";
pub(super) const KEYS: &str = "storage-keys";
const ASIDE: &str = "aside-";

/// A directory that no other process has while this lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// The version in a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The directory is new.
    New,
    /// The contents can be read.
    Known,
    /// The contents cannot be read, for this reason.
    Unknown(String),
}

impl Folder {
    /// Makes the directory if there is none, and takes it for this process.
    pub(super) fn take(path: &Path) -> Result<Self, StateError> {
        let unusable = || StateError::unusable(path);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable())?;
        let path = std::path::absolute(path).map_err(unusable())?;
        check(&path)?;
        let began = Instant::now();
        loop {
            let mut lock = private().open(path.join(LOCK)).map_err(StateError::unusable(path.join(LOCK)))?;
            match lock.try_lock() {
                Ok(()) => {
                    let id = format!("{:<10}\n", std::process::id());
                    lock.write_all_at(id.as_bytes(), 0).map_err(StateError::unusable(path.join(LOCK)))?;
                    return Ok(Self { path, _lock: lock });
                }
                Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(LOCK_INTERVAL);
                }
                Err(TryLockError::WouldBlock) => {
                    let mut text = String::new();
                    // Without it only the message is poorer.
                    let _ = lock.read_to_string(&mut text);
                    return Err(StateError::Taken { path, holder: text.trim().parse().ok() });
                }
                Err(TryLockError::Error(source)) => return Err(StateError::Unusable { path, source }),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(super) fn files(&self) -> PathBuf {
        self.path.join(FILES)
    }

    /// Makes the directory of the files.
    pub(super) fn make_files(&self) -> Result<(), StateError> {
        let path = self.files();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(StateError::unusable(path))
    }

    /// Whether there is a database with something in it.
    pub(super) fn has_database(&self) -> Result<bool, StateError> {
        has_contents(&self.path, DATABASE)
    }

    /// Reads the version of what is there.
    pub(super) fn version(&self) -> Result<Version, StateError> {
        version(&self.path)
    }

    pub(super) fn write_version(&self) -> Result<(), StateError> {
        self.write(VERSION, &format!("{FORMAT}\n"))
    }

    /// Moves what is there into a new directory, and returns the path of that. Files of something else stay.
    pub(super) fn set_aside(&self) -> Result<PathBuf, StateError> {
        let aside = self.make_aside()?;
        // The version is the last one, so that the rest is known to be ours if this process dies meanwhile.
        for name in [DATABASE, FILES, TOKEN, KEYS, VERSION] {
            let from = self.path.join(name);
            match fs::rename(&from, aside.join(name)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                moved => moved.map_err(StateError::unusable(from))?,
            }
        }
        Ok(aside)
    }

    /// Makes a directory with an unused name, which has the time in it.
    fn make_aside(&self) -> Result<PathBuf, StateError> {
        let mut seconds = rxon::signing::unix_seconds();
        loop {
            let path = self.path.join(format!("{ASIDE}{seconds}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => seconds += 1,
                Err(source) => return Err(StateError::Unusable { path, source }),
            }
        }
    }

    /// Reads a text of ours; `None` if there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<String>, StateError> {
        read(&self.path, name)
    }

    /// Writes a text that only this user can read. A process that dies meanwhile leaves the old text or none.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), StateError> {
        let path = self.path.join(name);
        let write = || -> io::Result<()> {
            let new = self.path.join(format!("{name}.new"));
            let file = private().truncate(true).open(&new)?;
            file.write_all_at(text.as_bytes(), 0)?;
            fs::rename(&new, &path)
        };
        write().map_err(StateError::unusable(&path))
    }
}

/// Reads the version of what is in a directory, unless that belongs to something else.
fn version(path: &Path) -> Result<Version, StateError> {
    let text = read(path, VERSION)?;
    let text = text.as_deref().map(str::trim);
    let number = text.and_then(|text| text.parse::<u64>().ok());
    let mut there = Vec::new();
    for name in [DATABASE, FILES, TOKEN, KEYS] {
        if has_contents(path, name)? {
            there.push(name);
        }
    }
    // The version is the first file that is written.
    if there.is_empty() && (text.is_none() || number == Some(u64::from(FORMAT))) {
        return Ok(Version::New);
    }
    // Something else may have a file with one of these names, but hardly two.
    let ours = there.iter().filter(|name| **name != FILES).count() + usize::from(number.is_some());
    let text = text.map(|text| crate::text::cut(text, 80));
    if ours < 2 {
        let found = match (text, there.first()) {
            (Some(text), _) => format!("its `{VERSION}` is `{text}`"),
            (None, name) => format!("it has `{}`, but no `{VERSION}`", name.copied().unwrap_or_default()),
        };
        return Err(StateError::Foreign { path: path.to_owned(), found });
    }
    Ok(match (number, text) {
        (Some(number), _) if number == u64::from(FORMAT) => Version::Known,
        (Some(number), _) => {
            Version::Unknown(format!("it has format {number}, and this version reads {FORMAT}"))
        }
        (None, Some(text)) => Version::Unknown(format!("`{VERSION}` is `{text}`, expected a number")),
        (None, None) => Version::Unknown(format!("the file `{VERSION}` is missing")),
    })
}

/// Checks that nothing in a directory belongs to something else, before anything is written there.
fn check(path: &Path) -> Result<(), StateError> {
    version(path)?;
    let lock = read(path, LOCK)?.unwrap_or_default();
    if lock.trim().is_empty() || lock.trim().parse::<u32>().is_ok() {
        return Ok(());
    }
    let found =
        format!("its `{LOCK}` is `{}`, expected the id of a process", crate::text::cut(lock.trim(), 80));
    Err(StateError::Foreign { path: path.to_owned(), found })
}

/// Whether there is a directory with this name, or a file that is not empty.
fn has_contents(path: &Path, name: &str) -> Result<bool, StateError> {
    let path = path.join(name);
    match fs::metadata(&path) {
        Ok(entry) => Ok(entry.is_dir() || entry.len() > 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StateError::Unusable { path, source }),
    }
}

fn read(path: &Path, name: &str) -> Result<Option<String>, StateError> {
    let path = path.join(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StateError::Unusable { path, source }),
    }
}

/// Options to open a file for reading and writing, which is made if there is none and that no other user can read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}
