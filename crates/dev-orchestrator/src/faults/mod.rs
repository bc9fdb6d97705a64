//! Faults: the orchestrator and its storage misbehave on request, and judge how workers came through it.
//!
//! - [`table`] names the faults; [`switch`] checks a requested switch; [`board`] keeps the switches, and decides for
//!   single requests; [`run`] observes the workers until the [`verdict`].
//! - [`Faults`] is the board behind a lock. The routes of workers ask it before and after each request
//!   (`routes/guard.rs`), the storage does in [`storage`].
//! - [`control`] switches, and makes the verdicts: they need the jobs.

mod answers;
mod board;
mod control;
mod cut;
mod kept;
mod recent;
mod run;
mod storage;
mod switch;
mod table;
mod verdict;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use rxon::WorkerId;
use tokio::sync::watch;

use self::board::Board;
pub use self::board::FaultState;
pub(crate) use self::board::FaultStates;
pub(crate) use self::control::keep_time;
pub(crate) use self::cut::CutBody;
pub(crate) use self::kept::KeptFaults;
pub(crate) use self::storage::FaultyStorage;
pub use self::switch::FaultSwitch;
pub(crate) use self::switch::SwitchMessage;
pub use self::table::{Fault, UnknownFault};
pub use self::verdict::FaultVerdict;
use crate::store::Assignment;
use crate::wire::{Operation, Visit};

/// The faults that break off what is held: polls and websockets.
const BREAKING: [Fault; 2] = [Fault::Refuse, Fault::Hang];

/// All faults, shared by the routes, the storage and the handle.
#[derive(Debug)]
pub(crate) struct Faults {
    board: Mutex<Board>,
    /// Whether requests have to be looked at. While no fault is on, this is all that a request reads.
    active: AtomicBool,
    /// Signals each change of a switch, and each verdict.
    changes: watch::Sender<()>,
}

/// The fate of a request that never reaches its route.
#[derive(Debug)]
pub(crate) enum Instead {
    /// The connection is reset.
    Reset(Fault),
    /// Nothing is answered until the fault is switched off.
    Silence(Fault),
    /// The request is answered with a refusal.
    Answer(Fault, Response),
}

/// The fate of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoiled {
    /// The connection is reset instead.
    Lost,
    /// The connection is reset in the middle.
    Cut,
    /// HTML is sent instead.
    Garbage,
}

/// A view of the faults that break off what is held, from before the request is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Lookout {
    changes: watch::Receiver<()>,
    runs: [u64; BREAKING.len()],
}

impl Faults {
    pub(crate) fn new() -> Self {
        let changes = watch::Sender::new(());
        Self { board: Mutex::new(Board::new()), active: AtomicBool::new(false), changes }
    }

    /// Whether a fault is on, or a verdict is awaited.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// Counts a request of a worker.
    pub(crate) fn on_request(&self, visit: &Visit) {
        for run in self.board().open_runs() {
            run.on_request(visit.worker(), visit.result());
        }
    }

    /// Decides whether a request reaches its route.
    pub(crate) fn instead_of(&self, visit: &Visit) -> Option<Instead> {
        let (worker, operation) = (visit.worker(), visit.operation());
        let mut board = self.board();
        if board.hits(Fault::Refuse, worker) {
            return Some(Instead::Reset(Fault::Refuse));
        }
        if board.hits(Fault::Hang, worker) {
            return Some(Instead::Silence(Fault::Hang));
        }
        if board.hits(Fault::Unauthorized, worker) {
            let answer = answers::unauthorized(board.turn(Fault::Unauthorized));
            return Some(Instead::Answer(Fault::Unauthorized, answer));
        }
        let is_limited = matches!(operation, Operation::Poll | Operation::Heartbeat | Operation::Result);
        if is_limited && board.hits(Fault::TooMany, worker) {
            let is_silent = operation == Operation::Poll && board.turn(Fault::TooMany) % 2 == 1;
            return Some(Instead::Answer(Fault::TooMany, answers::too_many(!is_silent)));
        }
        if board.hits(Fault::Error5xx, worker) {
            let answer = answers::server_error(board.turn(Fault::Error5xx));
            return Some(Instead::Answer(Fault::Error5xx, answer));
        }
        None
    }

    /// Whether a heartbeat makes its worker unknown.
    pub(crate) fn forgets(&self, visit: &Visit) -> bool {
        let mut board = self.board();
        let setting = board.setting(Fault::Forget, visit.worker());
        let has_rate = setting.is_some_and(|setting| setting.rate.is_some());
        visit.operation() == Operation::Heartbeat && has_rate && board.hits(Fault::Forget, visit.worker())
    }

    /// Returns how late an answer is.
    pub(crate) fn delay(&self, visit: &Visit) -> Option<Duration> {
        let mut board = self.board();
        let delay = board.setting(Fault::Slow, visit.worker())?.delay;
        board.hits(Fault::Slow, visit.worker()).then_some(delay)
    }

    /// Decides whether an answer reaches its worker unharmed.
    pub(crate) fn spoils(
        &self,
        visit: &Visit,
        status: StatusCode,
        has_body: bool,
    ) -> Option<(Fault, Spoiled)> {
        let worker = visit.worker();
        let mut board = self.board();
        if status.is_success()
            && let Some(task) = visit.result()
            && board.loses_answer(worker, task)
        {
            return Some((Fault::LoseAck, Spoiled::Lost));
        }
        if has_body && board.hits(Fault::Garbage, worker) {
            return Some((Fault::Garbage, Spoiled::Garbage));
        }
        if board.hits(Fault::Cut, worker) {
            // There is no middle of an answer without a body.
            return Some((Fault::Cut, if has_body { Spoiled::Cut } else { Spoiled::Lost }));
        }
        None
    }

    /// The answer of `garbage`.
    pub(crate) fn garbage() -> Response {
        answers::garbage()
    }

    /// Handles a task that has reached a worker.
    pub(crate) fn on_delivered(&self, worker: &WorkerId, assignment: &Assignment) {
        if self.is_active() {
            self.board().on_delivered(worker, assignment);
        }
    }

    /// Returns a task that a worker is to be given a second time.
    pub(crate) fn copy_for(&self, worker: &WorkerId) -> Option<Assignment> {
        if self.is_active() { self.board().copy_for(worker) } else { None }
    }

    /// Looks at the faults that break off what is held, for [`Faults::interruption`].
    pub(crate) fn lookout(&self) -> Lookout {
        // In this order, so that no change is missed.
        let changes = self.changes.subscribe();
        let board = self.board();
        Lookout { changes, runs: BREAKING.map(|fault| board.runs(fault)) }
    }

    /// Waits until a fault that was off at the lookout breaks off what is held for this worker.
    ///
    /// # Cancel safety
    /// A fault that was switched on is decided on once.
    pub(crate) async fn interruption(&self, lookout: &mut Lookout, worker: Option<&str>) -> Instead {
        loop {
            if lookout.changes.changed().await.is_err() {
                // The sender belongs to `self`.
                std::future::pending::<()>().await;
            }
            let mut board = self.board();
            for (fault, seen) in BREAKING.into_iter().zip(&mut lookout.runs) {
                let runs = board.runs(fault);
                if std::mem::replace(seen, runs) != runs && board.hits(fault, worker) {
                    return match fault {
                        Fault::Hang => Instead::Silence(fault),
                        fault => Instead::Reset(fault),
                    };
                }
            }
        }
    }

    /// Waits until a fault no longer concerns a worker.
    pub(crate) async fn until_off(&self, fault: Fault, worker: Option<&str>) {
        let mut changes = self.changes.subscribe();
        while self.board().setting(fault, worker).is_some() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change visible to those who wait for one.
    fn announce(&self) {
        self.active.store(self.board().is_active(), Ordering::Relaxed);
        self.changes.send_replace(());
    }
}
