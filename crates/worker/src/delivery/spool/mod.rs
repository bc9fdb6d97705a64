//! Results on disk, so that they outlive the process.
//!
//! [`ledger`] says what is to be in the file, purely, and [`deaths`] what becomes of tasks whose process died; [`writer`]
//! brings the file after it on a thread of its own, one commit for all that waits; [`file`] is the file, [`place`] its
//! folder and lock, [`rejected`] what is left for people.
//!
//! A task is in the file from before its handler starts; its result takes its place in one commit, before the first
//! try; the result goes when it is acknowledged. Every commit is synced, those of tasks too: then one file and one kind
//! of commit do, a task is never in it together with its own result, and a power failure is no other case than a kill.

mod deaths;
mod file;
mod ledger;
mod place;
mod rejected;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rxon::WorkerId;
use tokio::sync::oneshot;

pub(crate) use self::ledger::{Begun, Key, Record, TaskKey};
use self::place::Place;
use self::writer::{Shared, Writer};
use crate::task::outcome::BoxError;
use crate::threads::lock;

/// A disk that has not written by then counts as one that fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// A disk that failed is tried this often.
const REOPEN_AFTER: Duration = Duration::from_secs(10);

/// Why results cannot be kept on disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("the folder cannot be made, or not be written to")]
    Folder { source: std::io::Error },
    #[error("the file cannot be locked")]
    Lock { source: std::io::Error },
    #[error(
        "another live process has the results of the worker `{worker_id}` (process {holder}): no two live workers may \
         share a `WORKER_ID`"
    )]
    Taken { worker_id: WorkerId, holder: String },
    #[error(
        "its format is `{found}`, expected format 1: run the version that wrote it, or choose another folder"
    )]
    Format { found: String },
    #[error("it cannot be read or written")]
    File { source: BoxError },
    #[error("its thread cannot be started")]
    Thread { source: std::io::Error },
    #[error("its thread died")]
    Died,
}

/// Results on disk. Whoever drops the last handle ends the thread, once everything is written.
#[derive(Debug)]
pub(crate) struct Spool {
    place: Place,
    shared: Arc<Shared>,
    /// The thread, and what tells that it has ended.
    thread: Mutex<Option<(oneshot::Receiver<()>, JoinHandle<()>)>>,
}

/// A spool, and the results that were in its file.
pub(crate) type Opened = (Arc<Spool>, Vec<(Key, Record)>);

impl Spool {
    /// Opens the file of this worker. Gives the results that are in it, among them the failures of tasks that died.
    ///
    /// # Cancel safety
    /// Dropped, the file is closed again.
    pub(crate) async fn open(folder: PathBuf, worker_id: &WorkerId) -> Result<Opened, (PathBuf, SpoolError)> {
        Self::open_with(REOPEN_AFTER, folder, worker_id).await
    }

    async fn open_with(
        reopen_after: Duration,
        folder: PathBuf,
        worker_id: &WorkerId,
    ) -> Result<Opened, (PathBuf, SpoolError)> {
        let place = Place::new(folder, worker_id.clone());
        let shared = Arc::new(Shared::default());
        let (tell, opened) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let of_writer = (place.clone(), worker_id.clone(), shared.clone());
        // Whoever collects the caller's log lines gets these too.
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let thread = std::thread::Builder::new().name("avtomatika-outbox".to_owned()).spawn(move || {
            let _collected = tracing::dispatcher::set_default(&dispatch);
            let (place, worker_id, shared) = of_writer;
            match Writer::open(place, &worker_id, reopen_after, shared) {
                Ok((writer, results)) => {
                    if tell.send(Ok(results)).is_ok() {
                        writer.run();
                    }
                }
                // Nobody listens when the worker was dropped.
                Err(error) => drop(tell.send(Err(error))),
            }
            let _ = end.send(());
        });
        let failed = |error| (place.results(), error);
        let thread = thread.map_err(|source| failed(SpoolError::Thread { source }))?;
        let results = opened.await.unwrap_or(Err(SpoolError::Died)).map_err(failed)?;
        Ok((Arc::new(Self { place, shared, thread: Mutex::new(Some((ended, thread))) }), results))
    }

    /// A task was accepted, or begins. Returns when that would survive, or cannot be made to.
    pub(crate) async fn begin(&self, task: TaskKey, begun: Begun) {
        self.durable(|ledger| ledger.begin(task, begun)).await;
    }

    /// A task has ended in this. Returns when it would survive, or cannot be made to.
    pub(crate) async fn keep(&self, record: Record) -> Key {
        self.durable(|ledger| ledger.finish(record)).await
    }

    /// A task is not under way any more, and has no result.
    pub(crate) fn end(&self, task: TaskKey) {
        self.shared.change(|ledger| drop(ledger.end(task)));
    }

    async fn durable<T>(&self, change: impl FnOnce(&mut ledger::Ledger) -> T) -> T {
        let (changed, written) = self.shared.change_and_tell(change);
        if let Some(written) = written
            && tokio::time::timeout(PATIENCE, written).await.is_err()
        {
            self.shared.fail(&self.place, &format!("the disk has not written for {} s", PATIENCE.as_secs()));
        }
        changed
    }

    /// A try of a result begins that must not be sent twice. Returns when that would survive, or cannot be made to.
    pub(crate) async fn begin_try(&self, key: Key) {
        self.durable(|ledger| ledger.set_in_flight(key, true)).await;
    }

    /// That try has ended, and nobody has got it.
    pub(crate) fn end_try(&self, key: Key) {
        self.shared.change(|ledger| ledger.set_in_flight(key, false));
    }

    /// A result is acknowledged: it goes.
    pub(crate) fn remove(&self, key: Key) {
        self.shared.change(|ledger| drop(ledger.remove(key)));
    }

    /// A result will never be taken: it is written down for people.
    pub(crate) fn reject(&self, key: Key, reason: &str) {
        if !self.shared.change(|ledger| ledger.reject(key, reason.to_owned(), unix_millis())) {
            tracing::error!("a result that was refused could not be written down");
        }
    }

    /// A result will never be taken, and this goes in its place. The first is on disk until the second is: so nobody
    /// needs to wait.
    pub(crate) fn replace(&self, key: Key, reason: &str, by: Record) -> Key {
        self.shared.change(|ledger| {
            ledger.reject(key, reason.to_owned(), unix_millis());
            ledger.finish(by)
        })
    }

    /// A result is of no use now, but may be to a worker after this one.
    pub(crate) fn leave(&self, key: Key) {
        self.shared.change(|ledger| ledger.leave_in_file(key));
    }

    /// Whether this result would survive.
    pub(crate) fn is_written(&self, key: Key) -> bool {
        self.shared.lock().ledger.is_written(key)
    }

    /// Whether what is kept now would survive.
    pub(crate) fn is_well(&self) -> bool {
        !self.shared.is_in_trouble()
    }

    /// Writes what is left, and ends the thread.
    pub(crate) async fn close(&self) {
        self.shared.close();
        let Some((ended, thread)) = lock(&self.thread).take() else { return };
        if tokio::time::timeout(PATIENCE, ended).await.is_err() {
            tracing::error!(
                file = %self.place.results().display(),
                "the disk does not write: the file of results is left to itself"
            );
        } else if thread.join().is_err() {
            tracing::error!("the thread that writes results panicked");
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Now, in Unix milliseconds.
pub(crate) fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
