//! The thread that writes the file, and the state that it shares with its callers.
//!
//! | state | event | next |
//! |---|---|---|
//! | well | a change | one commit for all changes that wait; well, or in trouble if it fails |
//! | well | a commit takes too long | in trouble: no caller waits for it any more |
//! | in trouble | some time has passed | the file is opened anew and updated; well, or still in trouble |
//! | any | closed | the remaining changes are written, and the thread ends |

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::deaths;
use super::error::SpoolError;
use super::file::ResultFile;
use super::ledger::{Batch, Contents, Held, Ledger};
use super::paths::{Lock, SpoolPaths};
use super::rejected;
use crate::delivery::record::{Key, Record, unix_millis};
use crate::threads::hook::caught;
use crate::threads::lock;

/// The interval at which a failed disk is tried again.
const REOPEN_AFTER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 10_000 });

/// The state that the thread shares with its callers.
#[derive(Debug)]
pub(super) struct WriterShared {
    pub(super) paths: SpoolPaths,
    state: Mutex<WriterState>,
    work: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct WriterState {
    pub(super) ledger: Ledger,
    /// Signalled once all changes so far are written; dropped when they could not be.
    waiters: Vec<oneshot::Sender<()>>,
    pub(super) is_closed: bool,
    /// Results are kept in memory only.
    pub(super) is_in_trouble: bool,
}

impl WriterState {
    /// The signal that all changes so far are written; `None` while the disk is in trouble.
    pub(super) fn written(&mut self) -> Option<oneshot::Receiver<()>> {
        if self.is_in_trouble || self.is_closed {
            return None;
        }
        let (tell, written) = oneshot::channel();
        self.waiters.push(tell);
        Some(written)
    }
}

/// The next thing for the thread to do.
enum Work {
    Write(Batch, Vec<oneshot::Sender<()>>),
    Reopen,
}

impl WriterShared {
    pub(super) fn new(paths: SpoolPaths) -> Self {
        Self { paths, state: Mutex::default(), work: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WriterState> {
        lock(&self.state)
    }

    /// Changes the state, and wakes the thread.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut WriterState) -> T) -> T {
        let changed = change(&mut self.lock());
        self.work.notify_one();
        changed
    }

    fn next(&self, reopen_at: Option<Instant>) -> Option<Work> {
        let mut state = self.lock();
        loop {
            state = if let Some(at) = reopen_at {
                let left = at.saturating_duration_since(Instant::now());
                if state.is_closed || left.is_zero() {
                    return Some(Work::Reopen);
                }
                self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            } else if !state.ledger.is_settled() || !state.waiters.is_empty() {
                let waiters = std::mem::take(&mut state.waiters);
                return Some(Work::Write(state.ledger.take(), waiters));
            } else if state.is_closed {
                return None;
            } else {
                self.work.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Stops all waiting until the disk writes again. Logged once per failure of the disk.
    pub(super) fn fail(&self, problem: &str) {
        let mut state = self.lock();
        state.waiters.clear();
        if !std::mem::replace(&mut state.is_in_trouble, true) {
            drop(state);
            tracing::error!(
                file = %self.paths.results().display(), problem,
                "results cannot be written to disk: they are still sent, but kept in memory only"
            );
        }
    }

    fn set_written(&self, batch: &Batch) {
        let mut state = self.lock();
        state.ledger.set_written(batch);
        if std::mem::replace(&mut state.is_in_trouble, false) {
            drop(state);
            tracing::info!(file = %self.paths.results().display(), "results are written to disk again");
        }
    }
}

/// Writes the file, on a thread of its own.
#[derive(Debug)]
pub(super) struct Writer {
    /// Held until the end.
    lock: Lock,
    /// The file, or the time of the next try to open it while the disk is in trouble.
    file: Result<ResultFile, Instant>,
    shared: Arc<WriterShared>,
}

impl Writer {
    /// Locks the files. Returns the results in them, among them the failures of tasks that died.
    pub(super) fn open(shared: Arc<WriterShared>) -> Result<(Self, Vec<(Key, Record)>), SpoolError> {
        let lock = shared.paths.take()?;
        let (file, contents) = open_or_set_aside(&shared.paths)?;
        let mut ledger = Ledger::new(contents);
        let (dead, finally) = deaths::bury(&mut ledger, &shared.paths.worker_id, unix_millis());
        let batch = ledger.take();
        file.apply(&batch).map_err(|problem| SpoolError::File { source: problem.into() })?;
        ledger.set_written(&batch);
        if dead > 0 {
            tracing::warn!(
                tasks = dead,
                given_up = finally,
                "tasks died with the process that ran them: they are reported as failed"
            );
        }
        let results = ledger.results.rows.iter().filter_map(|(key, held)| match held {
            Held::Here(record) => Some((*key, record.clone())),
            Held::InFile => None,
        });
        let results = results.collect();
        shared.lock().ledger = ledger;
        Ok((Self { lock, file: Ok(file), shared }, results))
    }

    /// Writes until it is closed and everything that can be written is written.
    pub(super) fn run(mut self) {
        let _fails = FailsOnPanic(self.shared.clone());
        while let Some(work) = self.shared.next(self.file.as_ref().err().copied()) {
            match work {
                Work::Write(batch, waiters) => {
                    if self.write(batch) {
                        for waiter in waiters {
                            // The caller may have given up.
                            let _ = waiter.send(());
                        }
                    }
                }
                Work::Reopen => {
                    if !self.reopen() && self.shared.lock().is_closed {
                        break;
                    }
                }
            }
        }
        self.end();
    }

    fn write(&mut self, mut batch: Batch) -> bool {
        let Ok(file) = &self.file else { return false };
        let rejected =
            rejected::append(&self.shared.paths, &batch.rejected).map_err(|error| error.to_string());
        if rejected.is_ok() {
            batch.rejected.clear();
        }
        match rejected.and_then(|()| file.apply(&batch)) {
            Ok(()) => {
                self.shared.set_written(&batch);
                true
            }
            Err(problem) => {
                self.shared.lock().ledger.put_back(batch);
                self.give_up(&problem);
                false
            }
        }
    }

    fn give_up(&mut self, problem: &str) {
        self.shared.fail(problem);
        let file = std::mem::replace(&mut self.file, Err(Instant::now() + REOPEN_AFTER));
        // After an error the file cannot be used, and a panic while it is closed is not worth a line.
        let _ = caught(|| drop(file));
    }

    fn reopen(&mut self) -> bool {
        match open_or_set_aside(&self.shared.paths) {
            Ok((file, contents)) => {
                self.file = Ok(file);
                let batch = self.shared.lock().ledger.difference(&contents);
                self.write(batch)
            }
            Err(error) => {
                self.give_up(&error.to_string());
                false
            }
        }
    }

    fn end(self) {
        let Self { lock, file, shared } = self;
        let state = shared.lock();
        let (unwritten, is_empty) = (state.ledger.unwritten.len(), state.ledger.is_empty());
        drop(state);
        let is_whole = file.is_ok();
        let _ = caught(|| drop(file));
        if unwritten > 0 {
            tracing::error!(results = unwritten, "results could not be written to disk");
        }
        if is_empty && is_whole {
            shared.paths.clear(lock);
        }
    }
}

/// Stops all waiting if the thread panics.
struct FailsOnPanic(Arc<WriterShared>);

impl Drop for FailsOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the thread that writes them died");
        }
    }
}

/// Opens the file. A damaged file is moved aside, and a new one begun.
fn open_or_set_aside(paths: &SpoolPaths) -> Result<(ResultFile, Contents), SpoolError> {
    let path = paths.results();
    let open = || {
        paths.make_results().map_err(|source| SpoolError::Folder { source })?;
        ResultFile::open(&path)
    };
    let opened = match open() {
        Err(SpoolError::Damaged { source: problem }) => {
            let aside = paths.set_aside().map_err(|source| SpoolError::Folder { source })?;
            tracing::error!(
                file = %path.display(), aside = %aside.display(), problem = problem.to_string(),
                "the file of results is damaged: it was moved aside, and the results in it are not sent"
            );
            open()?
        }
        opened => opened?,
    };
    paths.sync();
    Ok(opened)
}
