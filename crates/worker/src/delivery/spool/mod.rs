//! Results on disk, so that they outlive the process.
//!
//! [`ledger`] has the intended contents of the file, purely, and [`deaths`] decides about tasks whose process died;
//! [`writer`] updates the file on a thread of its own, with one commit for all changes that wait, and [`shared`] decides
//! when; [`file`] is the file, [`paths`] has its folder and lock, and [`rejected`] the refused results, for people.
//!
//! A task is in the file from before its handler starts; its result replaces it in one commit, before the first try; the
//! result is removed when it is acknowledged. Every commit is synced, those of tasks too: so one file and one kind of
//! commit are enough, a task is never in the file together with its own result, and a power failure is the same case as
//! a kill.

mod deaths;
mod error;
#[cfg(feature = "durable")]
mod file;
#[cfg(not(feature = "durable"))]
#[path = "no_file.rs"]
mod file;
mod ledger;
mod paths;
mod rejected;
mod shared;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rxon::WorkerId;
use rxon::limit::within;
use tokio::sync::oneshot;

use self::error::SpoolError;
use self::ledger::Ledger;
use self::paths::SpoolPaths;
use self::shared::WriterShared;
use self::writer::Writer;
use crate::delivery::record::{Key, Record, unix_millis};
use crate::threads::lock;

/// A disk that takes longer than this to write counts as failed. A disk that tests share with builds is slower.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 10 });

/// Results on disk. Dropping the last handle ends the thread, once everything is written.
#[derive(Debug)]
pub(crate) struct Spool {
    shared: Arc<WriterShared>,
    /// The thread, and the signal that it has ended.
    thread: Mutex<Option<(oneshot::Receiver<()>, JoinHandle<()>)>>,
}

/// A spool, and the results that were in its file.
pub(crate) type OpenedSpool = (Arc<Spool>, Vec<(Key, Record)>);

impl Spool {
    /// Opens the file of this worker. Returns the results in it, among them the failures of tasks that died.
    ///
    /// # Cancel safety
    /// Dropped, the file is closed again.
    pub(crate) async fn open(
        folder: PathBuf,
        worker_id: &WorkerId,
    ) -> Result<OpenedSpool, (PathBuf, SpoolError)> {
        if cfg!(not(feature = "durable")) {
            return Err((folder, SpoolError::Feature));
        }
        let paths = SpoolPaths { folder, worker_id: worker_id.clone() };
        let shared = Arc::new(WriterShared::new(paths));
        let (tell, opened) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let of_writer = shared.clone();
        // The thread logs to the subscriber of the caller.
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let thread = std::thread::Builder::new().name("avtomatika-outbox".to_owned()).spawn(move || {
            let _collected = tracing::dispatcher::set_default(&dispatch);
            match Writer::open(of_writer) {
                Ok((writer, results)) => {
                    if tell.send(Ok(results)).is_ok() {
                        writer.run();
                    }
                }
                // The receiver is gone when the worker was dropped.
                Err(error) => drop(tell.send(Err(error))),
            }
            let _ = end.send(());
        });
        let failed = |error| (shared.paths.results(), error);
        let thread = thread.map_err(|source| failed(SpoolError::Thread { source }))?;
        let results = opened.await.unwrap_or(Err(SpoolError::Died)).map_err(failed)?;
        Ok((Arc::new(Self { shared, thread: Mutex::new(Some((ended, thread))) }), results))
    }

    /// Changes the intended contents of the file. Returns when the change would survive, or the disk has failed.
    pub(crate) async fn change_durably<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let (changed, written) = self.shared.change(|state| (change(&mut state.ledger), state.written()));
        if let Some(written) = written
            && within(PATIENCE, written).await.is_err()
        {
            self.shared.fail(&format!("the disk has not written for {} s", PATIENCE.as_secs()));
        }
        changed
    }

    /// Changes the intended contents of the file, without waiting until the change is written.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        self.shared.change(|state| change(&mut state.ledger))
    }

    /// Moves a result that will never be taken to the file of rejected results.
    pub(crate) fn reject(&self, key: Key, reason: String) {
        if !self.change(|ledger| ledger.reject(key, reason, unix_millis())) {
            tracing::error!("a refused result could not be written to the file of rejected results");
        }
    }

    /// Whether this result would survive the process.
    pub(crate) fn is_written(&self, key: Key) -> bool {
        self.shared.lock().ledger.is_written(key)
    }

    /// Whether results that are kept now would survive the process.
    pub(crate) fn is_well(&self) -> bool {
        !self.shared.lock().is_in_trouble
    }

    /// Writes all remaining changes, and ends the thread.
    pub(crate) async fn close(&self) {
        self.shared.change(|state| state.is_closed = true);
        let Some((ended, thread)) = lock(&self.thread).take() else { return };
        if within(PATIENCE, ended).await.is_err() {
            tracing::error!(
                file = %self.shared.paths.results().display(),
                "the disk does not write: the file of results is left as it is"
            );
        } else if thread.join().is_err() {
            tracing::error!("the thread that writes results panicked");
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.shared.change(|state| state.is_closed = true);
    }
}
