//! The paths of the files of one worker, and the lock that keeps other processes from them.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rxon::WorkerId;
use rxon::descriptors::NotInherited;

use super::error::SpoolError;
use crate::delivery::record::unix_millis;

/// The time limit of waiting for the lock: a process that was just killed, or a worker that was just dropped, may take a
/// moment to release it.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// The lock on the files of one worker, held while it lives. A forked process does not hold it.
#[derive(Debug)]
pub(super) struct Lock {
    _not_inherited: NotInherited,
    pub(super) file: File,
}

/// The paths of the files of one worker. An id that obeys the rule for identifiers can be a file name.
#[derive(Debug, Clone)]
pub(crate) struct SpoolPaths {
    pub(super) folder: PathBuf,
    pub(super) worker_id: WorkerId,
}

impl SpoolPaths {
    /// The file with this ending.
    pub(super) fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.worker_id))
    }

    /// The file of results.
    pub(crate) fn results(&self) -> PathBuf {
        self.file("redb")
    }

    fn new_results(&self) -> PathBuf {
        self.file("redb.new")
    }

    fn lock_file(&self) -> PathBuf {
        self.file("lock")
    }

    /// Makes the folder, and takes the files for this process. No other process has them while the lock is open. Returns
    /// the number of the last write that the process before has noted, too.
    pub(super) fn take(&self) -> Result<(Lock, u64), SpoolError> {
        let folder = |source| SpoolError::Folder { source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(folder)?;
        let began = Instant::now();
        loop {
            let mut file = private().open(self.lock_file()).map_err(folder)?;
            match file.try_lock() {
                // The holder may have removed the file meanwhile: then it locks nothing.
                Ok(()) if !self.is_lock_file(&file) => {}
                Ok(()) => {
                    let (_, commits) = noted(&mut file);
                    note(&file, commits);
                    return Ok((Lock { _not_inherited: NotInherited::new(&file), file }, commits));
                }
                Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(LOCK_INTERVAL);
                }
                Err(TryLockError::WouldBlock) => {
                    let (holder, _) = noted(&mut file);
                    let holder = if holder.is_empty() { "unknown".to_owned() } else { holder };
                    return Err(SpoolError::Taken { worker_id: self.worker_id.clone(), holder });
                }
                Err(TryLockError::Error(source)) => return Err(SpoolError::Lock { source }),
            }
        }
    }

    /// Whether this is the lock file, rather than one that has lost its name.
    pub(super) fn is_lock_file(&self, file: &File) -> bool {
        let here = file.metadata().map(|metadata| Identity::of(&metadata));
        here.is_ok_and(|here| is_at(&self.lock_file(), here))
    }

    /// The identity of the file of results, and its size in bytes.
    pub(super) fn results_now(&self) -> io::Result<(Identity, u64)> {
        let metadata = std::fs::metadata(self.results())?;
        Ok((Identity::of(&metadata), metadata.len()))
    }

    /// Makes the file of results if there is none.
    pub(super) fn make_results(&self) -> io::Result<()> {
        // A process that died while it made a new file has left it: usually there is none.
        self.remove_new_results();
        private().open(self.results()).map(drop)
    }

    /// Removes a file that was to replace the file of results, and does not.
    pub(super) fn remove_new_results(&self) {
        // If it stays, it is overwritten the next time.
        let _ = std::fs::remove_file(self.new_results());
    }

    /// Makes an empty file that is to replace the file of results, and returns its path.
    pub(super) fn make_new_results(&self) -> io::Result<PathBuf> {
        let path = self.new_results();
        private().truncate(true).open(&path)?;
        Ok(path)
    }

    /// Moves the file of results aside, and returns its new path.
    pub(super) fn set_aside(&self) -> io::Result<PathBuf> {
        let aside = self.file(&format!("redb.unreadable-{}", unix_millis()));
        std::fs::rename(self.results(), &aside)?;
        Ok(aside)
    }

    /// Removes the files of a worker that has nothing to keep.
    pub(super) fn clear(&self, lock: Lock) {
        for file in [self.results(), self.lock_file()] {
            // An empty file that cannot be removed does no harm.
            let _ = std::fs::remove_file(file);
        }
        drop(lock);
    }

    /// Syncs the folder: without it, a new file may be gone after a power failure.
    pub(super) fn sync(&self) {
        // Not every file system can.
        let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
    }
}

/// Notes this process and the number of its last write in the lock file. It is not synced: after a power failure it may be
/// an earlier number, never a later one.
pub(super) fn note(lock: &File, commits: u64) {
    // Without the note only an error message is poorer.
    let _ = lock.write_all_at(format!("{:<10} {commits:<20}\n", std::process::id()).as_bytes(), 0);
}

/// The process and the number in a lock file: empty and zero if they are not known.
fn noted(lock: &mut File) -> (String, u64) {
    let mut text = String::new();
    // If it cannot be read, it is not known.
    let _ = lock.rewind().and_then(|()| lock.read_to_string(&mut text));
    let mut words = text.split_whitespace();
    let process = words.next().unwrap_or_default().to_owned();
    (process, words.next().and_then(|commits| commits.parse().ok()).unwrap_or(0))
}

/// The identity of a file: a file that was removed, renamed or replaced is not the one behind its name any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

fn is_at(path: &Path, file: Identity) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| Identity::of(&metadata) == file)
}

/// Options to open a file for reading and writing, which is made if there is none and that no other user can read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(folder: &Path) -> SpoolPaths {
        SpoolPaths { folder: folder.join("a/b"), worker_id: WorkerId::new("w-1").expect("an identifier") }
    }

    #[test]
    fn the_folder_is_made_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = paths(folder.path());
        let _lock = paths.take().expect("taken");
        paths.make_results().expect("made");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!((mode(&folder.path().join("a/b")), mode(&paths.results())), (0o700, 0o600));
    }

    #[test]
    fn a_second_worker_with_the_same_id_learns_the_process_of_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = paths(folder.path());
        let (lock, _) = paths.take().expect("taken");
        let error = paths.take().expect_err("taken already").to_string();
        assert!(error.contains("`w-1`") && error.contains(&std::process::id().to_string()), "{error}");
        paths.clear(lock);
        assert!(!paths.lock_file().exists());
        paths.take().expect("free again");
    }

    #[test]
    fn the_number_of_the_last_write_outlives_the_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = paths(folder.path());
        for (before, after) in [(0, 12_345), (12_345, 7), (7, 8)] {
            let (lock, commits) = paths.take().expect("taken");
            assert_eq!(commits, before);
            note(&lock.file, after);
        }
    }

    #[test]
    fn a_lock_whose_file_was_removed_locks_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = paths(folder.path());
        let _first = paths.take().expect("taken");
        std::fs::remove_file(paths.lock_file()).expect("removed");
        let _second = paths.take().expect("a file of its own");
        assert!(paths.lock_file().exists());
    }
}
