//! The ledger of a process: an empty file for each directory it has made in `TASK_FILES_DIR`, and the lock file, which is
//! locked for as long as the process lives.
//!
//! The lock file names the boot of the machine. A free lock tells for sure that the process is dead only on the same kernel:
//! another machine that shares the directory may not see the lock.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

use cap_std::fs::{Dir, OpenOptions};

use super::removal::remove_all;
use crate::files::error::found;

/// The lock file of a ledger. No task's directory has this name.
const LOCK: &str = "~lock";

/// Whose ledger it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A worker with the same id, which does not live twice, or without one.
    Predecessor,
    /// A worker with another id, which may live on another machine.
    Other,
}

/// Makes and locks the lock file. The error is `NotFound` if another process has just removed the ledger.
pub(super) fn lock(ledger: &Dir) -> io::Result<File> {
    let mut lock = ledger.open_with(LOCK, OpenOptions::new().write(true).create(true))?.into_std();
    lock.try_lock().map_err(|error| match error {
        // A starting worker has taken it for that of a dead process.
        TryLockError::WouldBlock => io::ErrorKind::NotFound.into(),
        TryLockError::Error(error) => error,
    })?;
    if let Some(boot) = boot() {
        lock.write_all(boot.as_bytes())?;
    }
    Ok(lock)
}

/// Whether nothing is in a ledger but its lock.
pub(super) fn is_empty(ledger: &Dir) -> bool {
    ledger.entries().is_ok_and(|entries| entries.count() == 1)
}

/// Removes the directories in a ledger, then the ledger, if its process is surely dead.
pub(super) fn remove(root: &Dir, ledgers: &Dir, name: &Path, owner: Owner) -> io::Result<usize> {
    // Another starting worker may have removed it.
    let Some(ledger) = found(ledgers.open_dir(name))? else { return Ok(0) };
    // There is no lock if the process died before it had made one.
    let lock = found(ledger.open_with(LOCK, OpenOptions::new().read(true).write(true)))?;
    let mut lock = lock.map(cap_std::fs::File::into_std);
    match lock.as_ref().map(File::try_lock) {
        Some(Err(TryLockError::WouldBlock)) => return Ok(0),
        Some(Err(TryLockError::Error(error))) => return Err(error),
        Some(Ok(())) | None => {}
    }
    if owner == Owner::Other {
        let mut of_lock = String::new();
        if let Some(lock) = &mut lock {
            lock.read_to_string(&mut of_lock)?;
        }
        if boot().is_none_or(|boot| boot != of_lock) {
            return Ok(0);
        }
    }
    let (mut removed, mut failed) = (0, None);
    for entry in ledger.entries()? {
        let directory = entry?.file_name();
        // The name of a ledger's file has one component, so it cannot lead out.
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

/// Returns the id of the running kernel's boot, which all containers on a machine share.
fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}
