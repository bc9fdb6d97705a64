//! `TASK_FILES_DIR`: the directories of tasks, and the ledgers of the processes that made them.
//!
//! Only directories that a worker made are removed. Each process therefore keeps a ledger, `.avtomatika/<owner>.<number>/`:
//! an empty file for each directory it has made, and a lock. At its start a worker removes the directories in the ledgers of
//! dead processes: of workers with the same `WORKER_ID` or without one, and of any others on this machine since it was booted.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions};
use rxon::descriptors::NotInherited;

use super::ledger::{self, Owner};
use super::name;
use super::removal::remove_all;
use crate::files::error::{FileError, FileErrorKind, created, found};
use crate::threads::lock;

/// The directory of the ledgers.
const LEDGERS: &str = ".avtomatika";

/// The owner of the ledgers of workers without a `WORKER_ID`.
const ANONYMOUS: &str = "anonymous";

/// The most directories of one task id. A task that is delivered again while its last directory exists gets another one.
const MAX_NAMES: usize = 100;

/// The most retries of making a ledger.
const MAX_RETRIES: usize = 10;

/// `TASK_FILES_DIR`. Nothing is made before the first task needs a directory, and nothing is left after the last.
#[derive(Debug)]
pub(in crate::files) struct Root {
    path: PathBuf,
    owner: String,
    /// Alive while a task has a directory.
    opened: Mutex<Weak<OpenRoot>>,
}

/// The open directory and this process's ledger in it. An empty ledger is removed on drop.
#[derive(Debug)]
struct OpenRoot {
    dir: Dir,
    /// The path without symbolic links.
    canonical: PathBuf,
    ledger: Dir,
    /// The path of the ledger, relative to the root.
    ledger_path: PathBuf,
    _not_inherited: NotInherited,
    /// Locked until it is dropped.
    _lock: std::fs::File,
}

/// A directory made for a task.
#[derive(Debug)]
pub(in crate::files) struct Made {
    /// The name in the root. The keys of uploads begin with it.
    pub(in crate::files) name: String,
    pub(in crate::files) dir: Dir,
    pub(in crate::files) path: PathBuf,
    /// The path without symbolic links.
    pub(in crate::files) canonical: PathBuf,
    /// The root it was made in; None once it is removed, and for a directory of the user's.
    opened: Mutex<Option<Arc<OpenRoot>>>,
}

impl Root {
    /// `owner` is the `WORKER_ID`, if it is set.
    pub(in crate::files) fn new(path: &Path, owner: Option<&str>) -> Self {
        // Without a current directory, a relative path fails with an error on first use.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let owner = owner.unwrap_or(ANONYMOUS).to_owned();
        Self { path, owner, opened: Mutex::new(Weak::new()) }
    }

    /// Makes a directory for a task. Blocks.
    pub(in crate::files) fn make(&self, task_id: &str) -> Result<Made, FileError> {
        self.try_make(task_id).map_err(|error| {
            let kind = match FileErrorKind::of_io(&error) {
                // Another worker may have a usable directory.
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
            // The directory was removed, perhaps by a program that cleans `/tmp`.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_in(&self.open(Some(&opened))?, task_id)
            }
            made => made,
        }
    }

    fn make_in(&self, opened: &Arc<OpenRoot>, task_id: &str) -> io::Result<Made> {
        let plain = name::of_task(task_id);
        for number in 1..=MAX_NAMES {
            // No plain task id contains `~`. The name is also the beginning of the keys of uploaded objects.
            let name = if number == 1 { plain.clone() } else { format!("{plain}~{number}") };
            // The ledger comes first: a process that dies in between leaves no unlisted directory.
            let listed = opened.ledger.open_with(&name, OpenOptions::new().write(true).create_new(true));
            if created(listed)?.is_none() {
                // Another task of this process has the name.
                continue;
            }
            let made = created(opened.dir.create_dir_with(&name, DirBuilder::new().mode(0o700)));
            if let Ok(Some(())) = made {
                let dir = opened.dir.open_dir(&name)?;
                let (path, canonical) = (self.path.join(&name), opened.canonical.join(&name));
                let opened = Mutex::new(Some(opened.clone()));
                return Ok(Made { name, dir, path, canonical, opened });
            }
            // The directory is not ours: this ledger must not list it.
            let _ = opened.ledger.remove_file(&name);
            made?;
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Returns the path of the root, and its path without symbolic links if it is known and differs.
    #[cfg(feature = "s3")]
    pub(in crate::files) fn paths(&self) -> Vec<PathBuf> {
        let opened = lock(&self.opened).upgrade();
        let canonical = opened.map(|opened| opened.canonical.clone()).filter(|path| *path != self.path);
        std::iter::once(self.path.clone()).chain(canonical).collect()
    }

    /// Removes the directories of dead predecessors and returns their number. Blocks.
    pub(in crate::files) fn remove_leftovers(&self) -> io::Result<usize> {
        let root = found(Dir::open_ambient_dir(&self.path, ambient_authority()))?;
        let Some(root) = root else { return Ok(0) };
        let Some(ledgers) = found(root.open_dir(LEDGERS))? else { return Ok(0) };
        let mut removed = 0;
        for ledger in ledgers.entries()? {
            let name = ledger?.file_name();
            let owner = if self.is_predecessor(&name) { Owner::Predecessor } else { Owner::Other };
            // A ledger that cannot be removed does not stop the others.
            match ledger::remove(&root, &ledgers, Path::new(&name), owner) {
                Ok(directories) => removed += directories,
                // It may be another user's, whose workers remove it.
                Err(error) if owner == Owner::Other => {
                    tracing::debug!(ledger = ?name, %error, "the directories of another worker are left");
                }
                Err(error) => {
                    let ledger = self.path.join(LEDGERS).join(&name);
                    tracing::warn!(ledger = %ledger.display(), %error, "cannot remove the directories of a worker that was killed");
                }
            }
        }
        // Fails while other workers have ledgers in it.
        let _ = root.remove_dir(LEDGERS);
        Ok(removed)
    }

    fn is_predecessor(&self, ledger: &OsStr) -> bool {
        let owner = ledger.to_str().and_then(|name| name.rsplit_once('.')).map(|(owner, _)| owner);
        owner.is_some_and(|owner| owner == self.owner || owner == ANONYMOUS)
    }

    /// Returns the open directory. Makes it if it does not exist, and again if the open one is `gone`.
    fn open(&self, gone: Option<&Arc<OpenRoot>>) -> io::Result<Arc<OpenRoot>> {
        let mut known = lock(&self.opened);
        if let Some(opened) = known.upgrade()
            && !gone.is_some_and(|gone| Arc::ptr_eq(gone, &opened))
        {
            return Ok(opened);
        }
        let mut retries = 0..MAX_RETRIES;
        let opened = loop {
            match OpenRoot::new(&self.path, &self.owner) {
                // This or another worker may have removed the directory in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound && retries.next().is_some() => {}
                opened => break Arc::new(opened?),
            }
        };
        *known = Arc::downgrade(&opened);
        Ok(opened)
    }
}

impl OpenRoot {
    fn new(path: &Path, owner: &str) -> io::Result<Self> {
        Dir::create_ambient_dir_all(path, ambient_authority())?;
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        // Other workers may share the directory.
        created(dir.create_dir(LEDGERS))?;
        let ledger_path = Path::new(LEDGERS).join(format!("{owner}.{:016x}", fastrand::u64(..)));
        dir.create_dir_with(&ledger_path, DirBuilder::new().mode(0o700))?;
        let ledger = dir.open_dir(&ledger_path)?;
        let lock = ledger::lock(&ledger)?;
        let canonical = path.canonicalize()?;
        let not_inherited = NotInherited::new(&lock);
        Ok(Self { dir, canonical, ledger, ledger_path, _not_inherited: not_inherited, _lock: lock })
    }
}

impl Drop for OpenRoot {
    fn drop(&mut self) {
        if ledger::is_empty(&self.ledger) {
            let _ = self.dir.remove_dir_all(&self.ledger_path);
            // Fails while other workers have ledgers in it.
            let _ = self.dir.remove_dir(LEDGERS);
        }
    }
}

impl Made {
    /// A directory of the user's, which is not removed.
    pub(super) fn of_user(name: String, dir: Dir, path: PathBuf, canonical: PathBuf) -> Self {
        Self { name, dir, path, canonical, opened: Mutex::new(None) }
    }

    /// Removes the directory with all its contents. Blocks.
    pub(in crate::files) fn remove(&self) -> io::Result<()> {
        let mut opened = lock(&self.opened);
        if let Some(there) = &*opened {
            remove_all(&there.dir, Path::new(&self.name))?;
            let _ = there.ledger.remove_file(&self.name);
            *opened = None;
        }
        Ok(())
    }

    /// Whether the directory is not removed yet.
    pub(in crate::files) fn is_left(&self) -> bool {
        lock(&self.opened).is_some()
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
    fn nothing_is_made_before_it_is_needed_and_nothing_is_left() {
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

    /// Leaves the root as a killed process does: its lock is free, and its ledger lists its directories.
    fn killed(root: Root, made: Vec<Made>) {
        drop((root, made));
    }

    #[test]
    fn only_the_directories_of_killed_predecessors_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("not-ours")).expect("made");
        let (dead, other, remote, unnamed) = (
            Root::new(folder.path(), Some("w")),
            Root::new(folder.path(), Some("other")),
            Root::new(folder.path(), Some("remote")),
            Root::new(folder.path(), None),
        );
        let (alive, other_alive) = (Root::new(folder.path(), Some("w")), Root::new(folder.path(), Some("x")));
        let made = |root: &Root, task| {
            let made = root.make(task).expect("made");
            fs::write(made.path.join("a"), "x").expect("written");
            made
        };
        let _alive = [made(&alive, "alive"), made(&other_alive, "other-alive")];
        for (root, task) in [(dead, "dead"), (other, "other"), (remote, "remote"), (unnamed, "unnamed")] {
            let made = made(&root, task);
            killed(root, vec![made]);
        }
        // The lock of a process on another machine that shares the folder may look free from here.
        let ledgers = fs::read_dir(folder.path().join(LEDGERS)).expect("listed");
        let mut ledgers = ledgers.map(|entry| entry.expect("an entry").path());
        let remote = ledgers.find(|path| path.to_string_lossy().contains("/remote.")).expect("it is there");
        fs::write(remote.join("~lock"), "another boot").expect("written");
        let successor = Root::new(folder.path(), Some("w"));
        assert_eq!(successor.remove_leftovers().expect("removed"), 3);
        assert_eq!(names(folder.path()), ["alive", "not-ours", "other-alive", "remote"]);
        assert_eq!(successor.remove_leftovers().expect("nothing left"), 0);
    }

    #[test]
    fn a_ledger_cannot_lead_out() {
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
    fn the_error_of_a_directory_that_cannot_be_made_names_the_setting_and_the_path() {
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
    fn a_root_that_is_removed_while_the_worker_runs_is_made_again() {
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
    fn no_task_id_collides_with_a_name_of_our_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Root::new(folder.path(), Some("w"));
        for id in ["lock", "anonymous", "avtomatika"] {
            let made = root.make(id).expect("made");
            assert_eq!(made.name, id);
            made.remove().expect("removed");
        }
    }

    #[test]
    fn an_unreadable_ledger_does_not_stop_the_removal_of_others() {
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
