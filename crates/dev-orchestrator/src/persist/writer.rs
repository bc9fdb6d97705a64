//! The thread that commits changes: all that were handed over while it was busy, at once.

use std::sync::PoisonError;
use std::time::Duration;

use super::database::{Changes, Database};
use super::folder::Folder;
use super::keeper::{Pending, Shared};

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells those who wait that nothing is written any more, after a panic, too.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.progress.send_modify(|progress| progress.ended = true);
    }
}

/// Commits changes until the end. The directory is free for other processes once this returns.
pub(super) fn run(shared: &Shared, database: Database, folder: Folder) {
    let _end = End(shared);
    let path = database.path().to_owned();
    let mut database = Some(database);
    loop {
        let (changes, files, last, ends) = {
            let mut pending = shared.lock();
            while pending.changes.is_empty() && pending.files.is_empty() && !pending.ends {
                pending = shared.handed_over.wait(pending).unwrap_or_else(PoisonError::into_inner);
            }
            let (changes, files) = pending.take();
            (changes, files, pending.last, pending.ends)
        };
        match commit(&mut database, &path, &changes) {
            Ok(()) => {
                for file in files {
                    // A file that stays only takes space, until the next start.
                    let _ = std::fs::remove_file(file);
                }
                shared.progress.send_modify(|progress| {
                    progress.committed = last;
                    progress.failed = None;
                });
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the state cannot be written");
                shared.progress.send_modify(|progress| {
                    progress.failed = Some((last, error.as_str().into()));
                });
                let mut pending = shared.lock();
                pending.put_back(changes, files);
                if !ends {
                    drop(pause(shared, pending));
                    continue;
                }
            }
        }
        if ends && is_done(shared, database.is_some()) {
            break;
        }
    }
    // In this order: another process may take the directory as soon as its lock is gone.
    drop(database);
    drop(folder);
}

/// Whether nothing is left to do; after a failure at the end, nothing more is tried.
fn is_done(shared: &Shared, is_writable: bool) -> bool {
    let pending = shared.lock();
    !is_writable || (pending.changes.is_empty() && pending.files.is_empty())
}

/// Waits before the next try, or for the end.
fn pause<'a>(
    shared: &'a Shared,
    pending: std::sync::MutexGuard<'a, Pending>,
) -> std::sync::MutexGuard<'a, Pending> {
    let waited = shared.handed_over.wait_timeout_while(pending, PAUSE, |pending| !pending.ends);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// Commits changes. A database that has failed once is opened anew: it refuses everything after an error.
fn commit(database: &mut Option<Database>, path: &std::path::Path, changes: &Changes) -> Result<(), String> {
    if changes.is_empty() {
        return Ok(());
    }
    let open = match database.take() {
        Some(open) => open,
        None => Database::open(path).map_err(|error| error.to_string())?,
    };
    open.apply(changes)?;
    *database = Some(open);
    Ok(())
}
