//! The thread that writes, and what it shares with those who want something written.
//!
//! | state | event | next |
//! |---|---|---|
//! | well | something changed | one commit for all that waits; well, or in trouble when it fails |
//! | well | a commit takes too long | in trouble: nobody waits for it any more |
//! | in trouble | some time has passed | the file is opened anew and brought up to date; well, or still in trouble |
//! | any | closed | what is left is written, and the thread ends |

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rxon::WorkerId;
use tokio::sync::oneshot;

use super::file::{ResultFile, Unreadable};
use super::ledger::{Batch, Contents, Held, Key, Ledger, Record};
use super::place::{Lock, Place};
use super::{SpoolError, deaths, rejected};
use crate::threads::lock;

/// What the thread shares with those who want something written.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    /// Told once all that has changed so far is written; dropped when it could not be.
    waiters: Vec<oneshot::Sender<()>>,
    closed: bool,
    /// What is said to be kept is in memory only.
    trouble: bool,
}

enum Work {
    Write(Batch, Vec<oneshot::Sender<()>>),
    Reopen,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Changes something without waiting until it is written.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let changed = change(&mut self.lock().ledger);
        self.work.notify_one();
        changed
    }

    /// Changes something, and tells when it is written. No one to wait for while there is trouble.
    pub(super) fn change_and_tell<T>(
        &self,
        change: impl FnOnce(&mut Ledger) -> T,
    ) -> (T, Option<oneshot::Receiver<()>>) {
        let mut state = self.lock();
        let changed = change(&mut state.ledger);
        let written = (!state.trouble && !state.closed).then(|| {
            let (tell, written) = oneshot::channel();
            state.waiters.push(tell);
            written
        });
        drop(state);
        self.work.notify_one();
        (changed, written)
    }

    pub(super) fn is_in_trouble(&self) -> bool {
        self.lock().trouble
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn next(&self, reopen_at: Option<Instant>) -> Option<Work> {
        let mut state = self.lock();
        loop {
            state = if let Some(at) = reopen_at {
                let left = at.saturating_duration_since(Instant::now());
                if state.closed || left.is_zero() {
                    return Some(Work::Reopen);
                }
                self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            } else if !state.ledger.is_settled() || !state.waiters.is_empty() {
                let waiters = std::mem::take(&mut state.waiters);
                return Some(Work::Write(state.ledger.take(), waiters));
            } else if state.closed {
                return None;
            } else {
                self.work.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Nobody waits any more until it is written again. Said once.
    pub(super) fn fail(&self, place: &Place, problem: &str) {
        let mut state = self.lock();
        state.waiters.clear();
        if !std::mem::replace(&mut state.trouble, true) {
            drop(state);
            tracing::error!(
                file = %place.results().display(), problem,
                "results cannot be written to disk: they are sent all the same, and kept in memory only"
            );
        }
    }

    fn written(&self, place: &Place, batch: &Batch) {
        let mut state = self.lock();
        state.ledger.written(batch);
        if std::mem::replace(&mut state.trouble, false) {
            drop(state);
            tracing::info!(file = %place.results().display(), "results are written to disk again");
        }
    }
}

/// Writes, on a thread of its own.
#[derive(Debug)]
pub(super) struct Writer {
    place: Place,
    /// Held until the end.
    taken: Lock,
    /// None while there is trouble.
    file: Option<ResultFile>,
    shared: Arc<Shared>,
    reopen_after: Duration,
    reopen_at: Option<Instant>,
}

impl Writer {
    /// Takes the files, and gives the results that are in them, among them those of tasks that have died.
    pub(super) fn open(
        place: Place,
        worker_id: &WorkerId,
        reopen_after: Duration,
        shared: Arc<Shared>,
    ) -> Result<(Self, Vec<(Key, Record)>), SpoolError> {
        let taken = place.take()?;
        let (file, contents) = open_or_set_aside(&place)?;
        let mut ledger = Ledger::new(contents);
        let (dead, finally) = deaths::bury(&mut ledger, worker_id, super::unix_millis());
        let batch = ledger.take();
        file.apply(&batch).map_err(|problem| SpoolError::File { source: problem.into() })?;
        ledger.written(&batch);
        if dead > 0 {
            tracing::warn!(
                tasks = dead,
                given_up = finally,
                "tasks died with the process that ran them: they are reported as failed"
            );
        }
        let results = ledger.held().results.iter();
        let results = results
            .filter_map(|(key, held)| match held {
                Held::Here(record) => Some((*key, record.clone())),
                Held::InFile => None,
            })
            .collect();
        shared.lock().ledger = ledger;
        Ok((Self { place, taken, file: Some(file), shared, reopen_after, reopen_at: None }, results))
    }

    /// Writes until it is told to close, and everything that can be written is.
    pub(super) fn run(mut self) {
        let _told = TellOfDeath(self.shared.clone(), self.place.clone());
        while let Some(work) = self.shared.next(self.reopen_at) {
            match work {
                Work::Write(batch, waiters) => {
                    if self.write(batch) {
                        for waiter in waiters {
                            // It may have given up.
                            let _ = waiter.send(());
                        }
                    }
                }
                Work::Reopen => {
                    if !self.reopen() && self.shared.is_closed() {
                        break;
                    }
                }
            }
        }
        self.end();
    }

    fn write(&mut self, mut batch: Batch) -> bool {
        let Some(file) = &self.file else { return false };
        let rejected = rejected::append(&self.place, &batch.rejected).map_err(|error| error.to_string());
        if rejected.is_ok() {
            batch.rejected.clear();
        }
        match rejected.and_then(|()| file.apply(&batch)) {
            Ok(()) => {
                self.reopen_at = None;
                self.shared.written(&self.place, &batch);
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
        self.shared.fail(&self.place, problem);
        let file = self.file.take();
        // After an error it is of no use, and whatever it says when it goes is no news.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(file)));
        self.reopen_at = Some(Instant::now() + self.reopen_after);
    }

    fn reopen(&mut self) -> bool {
        match open_or_set_aside(&self.place) {
            Ok((file, contents)) => {
                self.file = Some(file);
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
        let Self { place, taken, file, shared, .. } = self;
        let state = shared.lock();
        let unwritten = state.ledger.unwritten();
        let is_empty = *state.ledger.held() == Contents::default();
        drop(state);
        let is_whole = file.is_some();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(file)));
        if unwritten > 0 {
            tracing::error!(results = unwritten, "results could not be written to disk");
        }
        if is_empty && is_whole {
            place.clear(taken);
        }
    }
}

/// However the thread ends, nobody waits for it.
struct TellOfDeath(Arc<Shared>, Place);

impl Drop for TellOfDeath {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&self.1, "the thread that writes them died");
        }
    }
}

/// Opens the file. One that is damaged is moved out of the way, and another begun.
fn open_or_set_aside(place: &Place) -> Result<(ResultFile, Contents), SpoolError> {
    let path = place.results();
    let make = || place.make_results().map_err(|source| SpoolError::Folder { source });
    make()?;
    let problem = match ResultFile::open(&path) {
        Ok(opened) => {
            place.sync();
            return Ok(opened);
        }
        Err(Unreadable::Refused(error)) => return Err(error),
        Err(Unreadable::Damaged(problem)) => problem,
    };
    let aside = place.set_aside().map_err(|source| SpoolError::Folder { source })?;
    tracing::error!(
        file = %path.display(), aside = %aside.display(), problem,
        "the file of results is damaged: it was moved aside, and the results in it are not sent"
    );
    make()?;
    let opened = ResultFile::open(&path).map_err(|error| match error {
        Unreadable::Refused(error) => error,
        Unreadable::Damaged(problem) => SpoolError::File { source: problem.into() },
    })?;
    place.sync();
    Ok(opened)
}
