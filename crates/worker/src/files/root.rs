//! `TASK_FILES_DIR`: where tasks have their directories, and whose they are.
//!
//! Nothing in it is removed but what a worker made. So each process keeps a ledger, `.avtomatika/<owner>.<number>/`: an
//! empty file for each directory it has made, and the file `~lock`, locked for as long as it lives. A worker that
//! starts removes what the ledgers of its dead predecessors list: those of the same `WORKER_ID`, and those of workers
//! that had no id of their own.

use std::ffi::OsStr;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions};

use super::error::{FileError, FileErrorKind};
use super::name;
use super::removal::remove_all;
use crate::threads::lock;

/// Where the ledgers are.
const LEDGERS: &str = ".avtomatika";

/// In each ledger: who holds its lock is alive. No task's directory is named so.
const LOCK: &str = "~lock";

/// The owner of ledgers of workers that had no id of their own.
const ANONYMOUS: &str = "anonymous";

/// A task that is delivered again while files of the last time are there gets another directory; this many times.
const NAMES: usize = 100;

/// How often it is tried again to make a ledger.
const OPENINGS: usize = 10;

/// `TASK_FILES_DIR`. Nothing is made before the first task asks for a file, and nothing stays after the last.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    owner: String,
    /// There for as long as a task's directory is.
    opened: Mutex<Weak<Opened>>,
}

/// The directory, and this process's ledger in it. A ledger that lists nothing goes with it.
#[derive(Debug)]
struct Opened {
    dir: Dir,
    /// As the system sees it, without symbolic links.
    canonical: PathBuf,
    ledger: Dir,
    /// Within the root.
    ledger_path: PathBuf,
    /// Locked for as long as this is there.
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
    /// What it was made in. None once it is removed.
    opened: Mutex<Option<Arc<Opened>>>,
}

impl Root {
    /// `owner` is the worker's id, where it has one of its own.
    pub(super) fn new(path: &Path, owner: Option<&str>) -> Self {
        // Without a current directory a relative one cannot be used anyhow, and says so.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let owner = owner.unwrap_or(ANONYMOUS).to_owned();
        Self { path, owner, opened: Mutex::new(Weak::new()) }
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
        let opened = self.open(None)?;
        match self.make_in(&opened, task_id) {
            // Somebody has cleared it, a program that clears `/tmp` perhaps.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_in(&self.open(Some(&opened))?, task_id)
            }
            made => made,
        }
    }

    fn make_in(&self, opened: &Arc<Opened>, task_id: &str) -> io::Result<Made> {
        let plain = name::of_task(task_id);
        for number in 1..=NAMES {
            // No task's own name is like that: keys of objects begin with it, too.
            let name = if number == 1 { plain.clone() } else { format!("{plain}~{number}") };
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
                    let opened = Mutex::new(Some(opened.clone()));
                    return Ok(Made { name, dir, path, canonical, opened });
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

    /// Where it is, and where the system sees it, as far as that is known.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let canonical = lock(&self.opened).upgrade().map(|opened| opened.canonical.clone());
        let canonical = canonical.filter(|canonical| *canonical != self.path);
        [Some(self.path.clone()), canonical].into_iter().flatten().collect()
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
            if !self.is_predecessor(&name) {
                continue;
            }
            // One that cannot be removed, another user's perhaps, keeps no other from it.
            match remove_ledger(&root, &ledgers, Path::new(&name)) {
                Ok(directories) => removed += directories,
                Err(error) => {
                    let ledger = self.path.join(LEDGERS).join(&name);
                    tracing::warn!(ledger = %ledger.display(), %error, "what a worker left cannot be removed");
                }
            }
        }
        // Others have theirs in it, or there is nothing to know any more.
        let _ = root.remove_dir(LEDGERS);
        Ok(removed)
    }

    fn is_predecessor(&self, ledger: &OsStr) -> bool {
        let owner = ledger.to_str().and_then(|name| name.rsplit_once('.')).map(|(owner, _)| owner);
        owner.is_some_and(|owner| owner == self.owner || owner == ANONYMOUS)
    }

    /// The directory, which is made if it is not there; anew where it is `gone`.
    fn open(&self, gone: Option<&Arc<Opened>>) -> io::Result<Arc<Opened>> {
        let mut known = lock(&self.opened);
        if let Some(opened) = known.upgrade()
            && !gone.is_some_and(|gone| Arc::ptr_eq(gone, &opened))
        {
            return Ok(opened);
        }
        let mut tries = 0;
        let opened = loop {
            match Opened::new(&self.path, &self.owner) {
                // Whoever needs it no more, here or in another worker, may remove it just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < OPENINGS => tries += 1,
                opened => break Arc::new(opened?),
            }
        };
        *known = Arc::downgrade(&opened);
        Ok(opened)
    }
}

impl Opened {
    fn new(path: &Path, owner: &str) -> io::Result<Self> {
        Dir::create_ambient_dir_all(path, ambient_authority())?;
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        // Workers of several users may share the directory.
        match dir.create_dir(LEDGERS) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let ledger_path = Path::new(LEDGERS).join(format!("{owner}.{:016x}", fastrand::u64(..)));
        dir.create_dir_with(&ledger_path, DirBuilder::new().mode(0o700))?;
        let ledger = dir.open_dir(&ledger_path)?;
        let lock = ledger.open_with(LOCK, OpenOptions::new().write(true).create(true))?.into_std();
        lock.try_lock().map_err(io::Error::other)?;
        let canonical = path.canonicalize()?;
        Ok(Self { dir, canonical, ledger, ledger_path, _lock: lock })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let is_empty = self.ledger.entries().is_ok_and(|entries| entries.count() == 1);
        if is_empty {
            let _ = self.dir.remove_dir_all(&self.ledger_path);
            // Unless other workers have theirs in it.
            let _ = self.dir.remove_dir(LEDGERS);
        }
    }
}

impl Made {
    /// Removes it, with all that is in it. Blocks.
    pub(super) fn remove(&self) -> io::Result<()> {
        let mut opened = lock(&self.opened);
        if let Some(there) = &*opened {
            remove_all(&there.dir, Path::new(&self.name))?;
            let _ = there.ledger.remove_file(&self.name);
            *opened = None;
        }
        Ok(())
    }

    /// Whether it was not removed.
    pub(super) fn is_left(&self) -> bool {
        lock(&self.opened).is_some()
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
    let (mut removed, mut failed) = (0, None);
    for entry in ledger.entries()? {
        let directory = entry?.file_name();
        // One component, so that a ledger somebody has written to lists nothing outside.
        let is_directory = root.symlink_metadata(&directory).is_ok_and(|metadata| metadata.is_dir());
        if directory == LOCK || !is_directory {
            continue;
        }
        match remove_all(root, Path::new(&directory)) {
            Ok(()) => removed += 1,
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => Err(error),
        None => ledgers.remove_dir_all(name).map(|()| removed),
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
        made.remove().expect("removed");
        assert_eq!(fs::read_dir(&path).expect("listed").count(), 0);
        let made = root.make("t-2").expect("made anew");
        made.remove().expect("removed");
        made.remove().expect("removed already");
        assert_eq!(fs::read_dir(&path).expect("listed").count(), 0);
    }

    #[test]
    fn a_directory_that_is_there_already_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("t-1")).expect("made");
        fs::write(folder.path().join("t-1/mine"), "x").expect("written");
        let root = Root::new(folder.path(), Some("w"));
        let (made, again) = (root.make("t-1").expect("made"), root.make("t-1").expect("made"));
        assert_eq!([&made.name, &again.name], ["t-1~2", "t-1~3"]);
        made.remove().expect("removed");
        again.remove().expect("removed");
        assert_eq!(names(folder.path()), ["t-1"]);
        assert!(folder.path().join("t-1/mine").exists());
    }

    #[test]
    fn a_symbolic_link_in_its_place_is_not_followed() {
        let (folder, elsewhere) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("another"));
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("t-1")).expect("linked");
        let made = Root::new(folder.path(), Some("w")).make("t-1").expect("made");
        assert_eq!(made.name, "t-1~2");
        assert_eq!(fs::read_dir(elsewhere.path()).expect("listed").count(), 0);
    }

    /// What a process that was killed leaves: its lock is free, and its ledger lists what it had made.
    fn killed(root: Root, made: Vec<Made>) {
        drop((root, made));
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
        let made = |root: &Root, task| {
            let made = root.make(task).expect("made");
            fs::write(made.path.join("a"), "x").expect("written");
            made
        };
        let _alive = made(&alive, "alive");
        for (root, task) in [(dead, "dead"), (other, "other"), (unnamed, "unnamed")] {
            let made = made(&root, task);
            killed(root, vec![made]);
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
        let made = dead.make("t-1").expect("made");
        std::fs::remove_dir(folder.path().join("t-1")).expect("removed");
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("t-1")).expect("linked");
        killed(dead, vec![made]);
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

    #[test]
    fn a_directory_that_was_cleared_while_the_worker_runs_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("payloads");
        let root = Root::new(&path, Some("w"));
        let lost = root.make("t-1").expect("made");
        fs::remove_dir_all(&path).expect("cleared");
        let made = root.make("t-1").expect("made");
        assert!(made.path.is_dir());
        lost.remove().expect("gone already");
        fs::remove_dir_all(path.join(LEDGERS)).expect("cleared");
        let _other = root.make("t-2").expect("made");
        assert_eq!(names(&path), ["t-1", "t-2"]);
    }

    #[test]
    fn no_id_of_a_task_is_taken_for_something_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Root::new(folder.path(), Some("w"));
        for id in ["lock", "anonymous", "avtomatika"] {
            let made = root.make(id).expect("made");
            assert_eq!(made.name, id);
            made.remove().expect("removed");
        }
    }

    #[test]
    fn one_ledger_that_cannot_be_read_keeps_no_other_from_being_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let dead = Root::new(folder.path(), Some("w"));
        let made = dead.make("t-1").expect("made");
        killed(dead, vec![made]);
        for name in ["w.0", "w.z"] {
            fs::write(folder.path().join(LEDGERS).join(name), "no ledger").expect("written");
        }
        assert_eq!(Root::new(folder.path(), Some("w")).remove_leftovers().expect("removed"), 1);
        assert_eq!(names(folder.path()), [] as [&str; 0]);
    }
}
