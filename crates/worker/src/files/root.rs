//! `TASK_FILES_DIR`: where tasks have their directories, and whose they are.
//!
//! Nothing in it is removed but what a worker made. So each process keeps a ledger, `.avtomatika/<owner>.<number>/`: an
//! empty file for each directory it has made, and the file `lock`, locked for as long as it lives. A worker that
//! starts removes what the ledgers of its dead predecessors list: those of the same `WORKER_ID`, and those of workers
//! that had no id of their own.

use std::ffi::OsStr;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions};

use super::error::{FileError, FileErrorKind};
use super::name;
use crate::pace::lock;

/// Where the ledgers are.
const LEDGERS: &str = ".avtomatika";

/// In each ledger: who holds its lock is alive.
const LOCK: &str = "lock";

/// The owner of ledgers of workers that had no id of their own.
const ANONYMOUS: &str = "anonymous";

/// A task that is delivered again while files of the last time are there gets another directory; this many times.
const NAMES: usize = 100;

/// `TASK_FILES_DIR`. Nothing is made before the first task asks for a file.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    owner: String,
    opened: OnceLock<Opened>,
    opening: Mutex<()>,
}

#[derive(Debug)]
struct Opened {
    dir: Dir,
    /// As the system sees it, without symbolic links.
    canonical: PathBuf,
    ledger: Dir,
    /// Within the root.
    ledger_path: PathBuf,
    /// Locked until the process ends.
    _lock: std::fs::File,
}

/// A directory that was made for a task.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) dir: Dir,
    pub(super) path: PathBuf,
    /// As the system sees it, without symbolic links.
    pub(super) canonical: PathBuf,
}

impl Root {
    /// `owner` is the worker's id, where it has one of its own.
    pub(super) fn new(path: &Path, owner: Option<&str>) -> Self {
        // Without a current directory a relative one cannot be used anyhow, and says so.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let owner = owner.unwrap_or(ANONYMOUS).to_owned();
        Self { path, owner, opened: OnceLock::new(), opening: Mutex::new(()) }
    }

    /// Makes a directory for a task. Blocks.
    pub(super) fn make(&self, task_id: &str) -> Result<Made, FileError> {
        self.try_make(task_id).map_err(|error| {
            let kind = match super::error::kind_of(&error) {
                // Another worker may do better.
                FileErrorKind::Exhausted | FileErrorKind::Forbidden => FileErrorKind::Exhausted,
                kind => kind,
            };
            let root = self.path.display();
            FileError::new(kind, format!("cannot make a directory for the task in `TASK_FILES_DIR` `{root}`"))
                .because(error)
        })
    }

    fn try_make(&self, task_id: &str) -> io::Result<Made> {
        let opened = self.open()?;
        let plain = name::of_task(task_id);
        for number in 1..=NAMES {
            let name = if number == 1 { plain.clone() } else { format!("{plain}.{number}") };
            // In the ledger first: a process that dies between the two leaves nothing behind.
            match opened.ledger.open_with(&name, OpenOptions::new().write(true).create_new(true)) {
                Ok(_) => {}
                // Another task of this process has it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            match opened.dir.create_dir_with(&name, DirBuilder::new().mode(0o700)) {
                Ok(()) => {
                    let dir = opened.dir.open_dir(&name)?;
                    let (path, canonical) = (self.path.join(&name), opened.canonical.join(&name));
                    return Ok(Made { name, dir, path, canonical });
                }
                // Somebody else's: it is not for this ledger.
                Err(error) => {
                    let _ = opened.ledger.remove_file(&name);
                    if error.kind() != io::ErrorKind::AlreadyExists {
                        return Err(error);
                    }
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes the directory of a task, with all that is in it. Blocks.
    pub(super) fn remove(&self, made: &Made) -> io::Result<()> {
        let opened = self.open()?;
        remove_all(&opened.dir, Path::new(&made.name))?;
        let _ = opened.ledger.remove_file(&made.name);
        Ok(())
    }

    /// Removes what dead predecessors left, and says how many directories that were. Blocks.
    pub(super) fn remove_leftovers(&self) -> io::Result<usize> {
        let root = match Dir::open_ambient_dir(&self.path, ambient_authority()) {
            Ok(root) => root,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let ledgers = match root.open_dir(LEDGERS) {
            Ok(ledgers) => ledgers,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut removed = 0;
        for ledger in ledgers.entries()? {
            let name = ledger?.file_name();
            if self.is_predecessor(&name) {
                removed += remove_ledger(&root, &ledgers, Path::new(&name))?;
            }
        }
        Ok(removed)
    }

    fn is_predecessor(&self, ledger: &OsStr) -> bool {
        let owner = ledger.to_str().and_then(|name| name.rsplit_once('.')).map(|(owner, _)| owner);
        owner.is_some_and(|owner| owner == self.owner || owner == ANONYMOUS)
    }

    fn open(&self) -> io::Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let _one = lock(&self.opening);
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        Dir::create_ambient_dir_all(&self.path, ambient_authority())?;
        let dir = Dir::open_ambient_dir(&self.path, ambient_authority())?;
        let private = |dir: &Dir, path: &Path| match dir.create_dir_with(path, DirBuilder::new().mode(0o700))
        {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        };
        // Workers of several users may share the directory.
        match dir.create_dir(LEDGERS) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let ledger_path = Path::new(LEDGERS).join(format!("{}.{:016x}", self.owner, fastrand::u64(..)));
        private(&dir, &ledger_path)?;
        let ledger = dir.open_dir(&ledger_path)?;
        let lock = ledger.open_with(LOCK, OpenOptions::new().write(true).create(true))?.into_std();
        lock.try_lock().map_err(io::Error::other)?;
        let canonical = self.path.canonicalize()?;
        let opened = Opened { dir, canonical, ledger, ledger_path, _lock: lock };
        Ok(self.opened.get_or_init(|| opened))
    }
}

impl Drop for Root {
    /// A ledger that lists nothing is of no use to a successor.
    fn drop(&mut self) {
        let Some(opened) = self.opened.get() else { return };
        let is_empty = opened.ledger.entries().is_ok_and(|entries| entries.count() == 1);
        if is_empty {
            let _ = opened.dir.remove_dir_all(&opened.ledger_path);
        }
    }
}

/// Removes what one ledger lists, if nobody holds its lock, and then it.
fn remove_ledger(root: &Dir, ledgers: &Dir, name: &Path) -> io::Result<usize> {
    let ledger = match ledgers.open_dir(name) {
        Ok(ledger) => ledger,
        // Another worker that starts just now was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let held = ledger.open_with(LOCK, OpenOptions::new().write(true)).map(cap_std::fs::File::into_std);
    let _held = match held {
        Ok(lock) => match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::WouldBlock) => return Ok(0),
            Err(TryLockError::Error(error)) => return Err(error),
        },
        // It died before it had made its lock.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut removed = 0;
    for entry in ledger.entries()? {
        let directory = entry?.file_name();
        // One component, so that a ledger somebody has written to lists nothing outside.
        let is_directory = root.symlink_metadata(&directory).is_ok_and(|metadata| metadata.is_dir());
        if directory != LOCK && is_directory {
            remove_all(root, Path::new(&directory))?;
            removed += 1;
        }
    }
    ledgers.remove_dir_all(name)?;
    Ok(removed)
}

/// Removes a directory. That it is gone already is as good.
fn remove_all(root: &Dir, name: &Path) -> io::Result<()> {
    match root.remove_dir_all(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .filter(|name| name != LEDGERS)
            .collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_made_before_it_is_needed_and_nothing_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/payloads");
        let root = Root::new(&path, Some("w"));
        assert_eq!(root.remove_leftovers().expect("nothing there"), 0);
        assert!(!path.exists());
        let made = root.make("t-1").expect("made");
        assert_eq!((made.path.as_path(), names(&path)), (path.join("t-1").as_path(), vec!["t-1".to_owned()]));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let permissions = fs::metadata(&made.path).expect("there").permissions();
            assert_eq!(permissions.mode() & 0o777, 0o700);
        }
        fs::write(made.path.join("a"), "x").expect("written");
        root.remove(&made).expect("removed");
        drop(root);
        assert_eq!(names(&path), [] as [&str; 0]);
        assert_eq!(fs::read_dir(path.join(LEDGERS)).expect("listed").count(), 0);
    }

    #[test]
    fn a_directory_that_is_there_already_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("t-1")).expect("made");
        fs::write(folder.path().join("t-1/mine"), "x").expect("written");
        let root = Root::new(folder.path(), Some("w"));
        let (made, again) = (root.make("t-1").expect("made"), root.make("t-1").expect("made"));
        assert_eq!([&made.name, &again.name], ["t-1.2", "t-1.3"]);
        root.remove(&made).expect("removed");
        root.remove(&again).expect("removed");
        assert_eq!(names(folder.path()), ["t-1"]);
        assert!(folder.path().join("t-1/mine").exists());
    }

    #[test]
    fn a_symbolic_link_in_its_place_is_not_followed() {
        let (folder, elsewhere) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("another"));
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("t-1")).expect("linked");
        let made = Root::new(folder.path(), Some("w")).make("t-1").expect("made");
        assert_eq!(made.name, "t-1.2");
        assert_eq!(fs::read_dir(elsewhere.path()).expect("listed").count(), 0);
    }

    /// What a process that was killed leaves: its lock is free, and its ledger is there.
    fn killed(root: Root) {
        let Opened { _lock: lock, .. } = root.opened.get().expect("opened");
        lock.unlock().expect("unlocked");
        std::mem::forget(root);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("not-ours")).expect("made");
        let (dead, other, unnamed) = (
            Root::new(folder.path(), Some("w")),
            Root::new(folder.path(), Some("other")),
            Root::new(folder.path(), None),
        );
        let alive = Root::new(folder.path(), Some("w"));
        for (root, task) in [(&dead, "dead"), (&other, "other"), (&unnamed, "unnamed"), (&alive, "alive")] {
            fs::write(root.make(task).expect("made").path.join("a"), "x").expect("written");
        }
        for root in [dead, other, unnamed] {
            killed(root);
        }
        let successor = Root::new(folder.path(), Some("w"));
        assert_eq!(successor.remove_leftovers().expect("removed"), 2);
        assert_eq!(names(folder.path()), ["alive", "not-ours", "other"]);
        assert_eq!(successor.remove_leftovers().expect("nothing left"), 0);
    }

    #[test]
    fn a_ledger_leads_nowhere_else() {
        let (folder, elsewhere) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("another"));
        fs::write(elsewhere.path().join("a"), "x").expect("written");
        let dead = Root::new(folder.path(), Some("w"));
        dead.make("t-1").expect("made");
        std::fs::remove_dir(folder.path().join("t-1")).expect("removed");
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("t-1")).expect("linked");
        killed(dead);
        assert_eq!(Root::new(folder.path(), Some("w")).remove_leftovers().expect("removed"), 0);
        assert!(elsewhere.path().join("a").exists());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_a_lack_of_resources_or_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "x").expect("written");
        let error = Root::new(&file, None).make("t").expect_err("a file is in the way");
        assert!(
            error.to_string().contains("`TASK_FILES_DIR`") && error.to_string().contains("file"),
            "{error}"
        );
    }
}
