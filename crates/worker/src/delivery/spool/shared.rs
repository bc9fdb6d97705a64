//! The state that the thread which writes the file shares with its callers, and when it writes.
//!
//! A commit is dear: a sync of the disk, and some hundred microseconds of processor time. So the changes of many callers
//! go into one: all that come while another commit runs or in the short pause after it, and those that no caller waits for
//! go along with the next.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::ledger::{Batch, Ledger};
use super::paths::SpoolPaths;
use crate::threads::lock;

/// The interval at which the thread looks for its file: a lost file is noticed within a second.
pub(super) const LOOK_AFTER: Duration = Duration::from_millis(500);

/// The time after which a change is written that no caller waits for, if no commit has taken it along by then.
const UNHURRIED: Duration = Duration::from_millis(5);

/// The pause after a commit for each caller that it has released: about the time that each needs for its next change.
const PAUSE_PER_CALLER: Duration = Duration::from_micros(40);

/// The maximum pause after a commit.
const MAX_PAUSE: Duration = Duration::from_millis(2);

/// The state that the thread shares with its callers.
#[derive(Debug)]
pub(super) struct WriterShared {
    pub(super) paths: SpoolPaths,
    state: Mutex<WriterState>,
    work: Condvar,
}

#[derive(Debug)]
pub(super) struct WriterState {
    pub(super) ledger: Ledger,
    /// Signalled once all changes so far are written; dropped when they could not be.
    waiters: Vec<oneshot::Sender<()>>,
    /// The number of waiters at which the sleeping thread is to be woken by a change.
    wakes_at: usize,
    pub(super) is_closed: bool,
    /// Results are kept in memory only.
    pub(super) is_in_trouble: bool,
}

/// [`WriterState::wakes_at`] of a thread that no change has to wake: it works, pauses, or was woken.
const AWAKE: usize = usize::MAX;

impl WriterState {
    fn new() -> Self {
        Self {
            ledger: Ledger::default(),
            waiters: Vec::new(),
            wakes_at: AWAKE,
            is_closed: false,
            is_in_trouble: false,
        }
    }

    /// Whether the thread has to be woken after a change. True once per sleep, because each wake-up is a system call.
    fn take_wake(&mut self) -> bool {
        let wakes = self.waiters.len() >= self.wakes_at;
        if wakes {
            self.wakes_at = AWAKE;
        }
        wakes || self.is_closed
    }

    fn has_work(&self) -> bool {
        !self.ledger.is_settled() || !self.waiters.is_empty()
    }

    fn take(&mut self) -> Work {
        Work::Write(self.ledger.take(), std::mem::take(&mut self.waiters))
    }

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

/// The pause after a commit that has released so many callers. They are soon back with their next changes, which would
/// otherwise wait for a whole commit that began just before them; and one large commit costs less than two small ones.
/// Commits that are rare or few at once are not delayed: a single caller has no others to share a commit with.
pub(super) fn pause_after(callers: usize) -> Duration {
    match u32::try_from(callers) {
        Ok(0 | 1) => Duration::ZERO,
        Ok(callers) => PAUSE_PER_CALLER.saturating_mul(callers).min(MAX_PAUSE),
        Err(_) => MAX_PAUSE,
    }
}

/// The next thing for the thread to do.
pub(super) enum Work {
    Write(Batch, Vec<oneshot::Sender<()>>),
    /// Nothing has changed for a while.
    Look,
    Reopen,
}

impl WriterShared {
    pub(super) fn new(paths: SpoolPaths) -> Self {
        Self { paths, state: Mutex::new(WriterState::new()), work: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WriterState> {
        lock(&self.state)
    }

    /// Changes the state, and wakes the thread if it has to act on it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut WriterState) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state);
        let wakes = state.take_wake();
        drop(state);
        if wakes {
            self.work.notify_one();
        }
        changed
    }

    /// Waits for the next thing to do: not before `resumes_at`, and while the disk is in trouble not before `reopen_at`.
    pub(super) fn next(&self, reopen_at: Option<Instant>, resumes_at: Instant) -> Option<Work> {
        let mut state = self.lock();
        let mut now = Instant::now();
        let look_at = now + LOOK_AFTER;
        let mut write_at = None;
        loop {
            let (until, wakes_at) = if let Some(at) = reopen_at {
                if state.is_closed || at <= now {
                    return Some(Work::Reopen);
                }
                (at, AWAKE)
            } else if state.is_closed {
                return state.has_work().then(|| state.take());
            } else if now < resumes_at {
                (resumes_at, AWAKE)
            } else if !state.waiters.is_empty() {
                return Some(state.take());
            } else if state.has_work() {
                let at = *write_at.get_or_insert(now + UNHURRIED);
                if at <= now {
                    return Some(state.take());
                }
                (at, 1)
            } else if look_at <= now {
                return Some(Work::Look);
            } else {
                write_at = None;
                (look_at, 0)
            };
            state.wakes_at = wakes_at;
            let left = until.saturating_duration_since(now);
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.wakes_at = AWAKE;
            now = Instant::now();
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

    /// Records that the changes are written, so that the disk is well.
    pub(super) fn set_written(&self, batch: &Batch) {
        let mut state = self.lock();
        state.ledger.set_written(batch);
        if std::mem::replace(&mut state.is_in_trouble, false) {
            drop(state);
            tracing::info!(file = %self.paths.results().display(), "results are written to disk again");
        }
    }
}

#[cfg(test)]
mod tests {
    use rxon::WorkerId;

    use super::super::tests::record;
    use super::*;

    fn shared() -> WriterShared {
        let worker_id = WorkerId::new("w").expect("an identifier");
        WriterShared::new(SpoolPaths { folder: "unused".into(), worker_id })
    }

    /// The numbers of changes and waiters that are written next.
    fn next(shared: &WriterShared, resumes_at: Instant) -> (usize, usize) {
        match shared.next(None, resumes_at) {
            Some(Work::Write(batch, waiters)) => (batch.results.len(), waiters.len()),
            _ => (0, 0),
        }
    }

    #[test]
    fn a_change_that_nobody_waits_for_goes_along_or_is_written_after_a_moment() {
        let shared = shared();
        shared.change(|state| state.ledger.finish(record("a")));
        shared.change(|state| state.ledger.finish(record("b")));
        let began = Instant::now();
        assert_eq!(next(&shared, began), (2, 0));
        assert!(began.elapsed() >= UNHURRIED);
        shared.change(|state| state.ledger.finish(record("c")));
        let _written = shared.change(|state| (state.ledger.finish(record("d")), state.written()));
        assert_eq!(next(&shared, began), (2, 1));
    }

    #[test]
    fn what_comes_in_the_pause_is_written_together_and_closing_ends_it() {
        let shared = shared();
        let keep = |name| shared.change(|state| (state.ledger.finish(record(name)), state.written()));
        let _first = keep("a");
        let in_an_hour = Instant::now() + Duration::from_secs(3600);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| next(&shared, in_an_hour));
            let _second = keep("b");
            shared.change(|state| state.is_closed = true);
            assert_eq!(writer.join().expect("no panic"), (2, 2));
        });
        assert!(shared.next(None, Instant::now()).is_none());
    }

    #[test]
    fn a_sleeping_thread_is_woken_once() {
        let shared = shared();
        let mut state = shared.lock();
        state.wakes_at = 1;
        assert!(!state.take_wake(), "nobody waits");
        let _written = state.written();
        assert_eq!([state.take_wake(), state.take_wake()], [true, false]);
        state.is_closed = true;
        assert!(state.take_wake(), "in any case");
    }

    #[test]
    fn the_pause_grows_with_the_callers_and_a_single_one_has_none() {
        assert_eq!([0, 1, 2, 10].map(pause_after), [0, 0, 2, 10].map(|callers| callers * PAUSE_PER_CALLER));
        assert_eq!([1_000, usize::MAX].map(pause_after), [MAX_PAUSE; 2]);
    }
}
