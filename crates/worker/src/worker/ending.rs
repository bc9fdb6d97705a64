//! The end of a worker.
//!
//! [`shutdown`](crate::worker::shutdown) decides; here its decisions are carried out, on the control path: a handler that
//! blocks the runtime delays neither the goodbye nor the effect of a second signal.

use std::sync::Arc;
use std::time::Duration;

use rxon::TaskId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::capacity::Offer;
use crate::config::ShutdownPolls;
use crate::execution::running::Running;
use crate::execution::{Cause, Executor};
use crate::session::{Ends, Session};
use crate::threads::until;
use crate::worker::assembly::ShutdownSettings;
use crate::worker::shutdown::{Action, Event, Phase, Shutdown, StopCause, Stopped};

/// The shortest drain: orchestrators are told even when running tasks get no time to finish.
const MIN_DRAIN: Duration = Duration::from_millis(500);

/// The time for cancelled tasks to be reported: the grace of a blocking handler, and a little for its result.
const CANCEL_LIMIT: Duration = Duration::from_secs(8);

/// Ends everything when it is dropped.
pub(crate) struct EndAll {
    pub(crate) running: Arc<Running>,
    pub(crate) sessions: Vec<Arc<Session>>,
    pub(crate) ends: Ends,
}

impl Drop for EndAll {
    fn drop(&mut self) {
        self.ends.stop_asking.cancel();
        self.ends.let_go.cancel();
        self.running.cancel_all(&Cause::Shutdown);
        self.ends.closing.cancel();
        for session in &self.sessions {
            session.origin.delivery.closed.cancel();
        }
    }
}

/// Carries out the end of a worker.
pub(crate) struct Ending {
    pub(crate) offer: Arc<Offer>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) sessions: Vec<Arc<Session>>,
    pub(crate) ends: Ends,
    pub(crate) pollers: TaskTracker,
    pub(crate) settings: ShutdownSettings,
}

impl Ending {
    /// Waits for signals, and ends the worker as they ask. None when the worker was dropped instead.
    pub(crate) async fn run(self, mut signals: mpsc::Receiver<StopCause>) -> Option<Stopped> {
        let closing = self.ends.closing.clone();
        tokio::select! {
            () = closing.cancelled() => None,
            stopped = self.end(&mut signals) => Some(stopped),
        }
    }

    async fn end(&self, signals: &mut mpsc::Receiver<StopCause>) -> Stopped {
        let mut shutdown = Shutdown::new();
        let mut limit: Option<Instant> = None;
        let mut cancelled = Vec::new();
        let mut more_signals = true;
        while shutdown.phase() != Phase::Closed {
            let event = tokio::select! {
                biased;
                signal = signals.recv(), if more_signals => {
                    let Some(cause) = signal else {
                        more_signals = false;
                        continue;
                    };
                    Event::Signal(cause)
                }
                () = self.all_done(shutdown.phase()) => Event::AllDone,
                () = until(limit) => Event::Limit { work_left: self.work_left() },
            };
            match shutdown.on_event(event) {
                Action::StopAsking => {
                    let timeout = self.settings.timeout.max(MIN_DRAIN);
                    limit = Some(Instant::now() + timeout);
                    self.stop_asking(shutdown.cause().unwrap_or(StopCause::Asked));
                }
                Action::Cancel => {
                    limit = Some(Instant::now() + CANCEL_LIMIT);
                    cancelled = self.cancel();
                }
                Action::Close | Action::Nothing => {}
            }
        }
        let mut stopped = Stopped {
            cause: shutdown.cause().unwrap_or(StopCause::Asked),
            cancelled,
            unacknowledged: Vec::new(),
            kept: Vec::new(),
        };
        for session in &self.sessions {
            let (lost, kept) = session.origin.delivery.left_over();
            stopped.unacknowledged.extend(lost);
            stopped.kept.extend(kept);
        }
        stopped
    }

    /// Phase 1: starts no further poll, and tells the orchestrators.
    fn stop_asking(&self, cause: StopCause) {
        let running = self.executor.running.task_ids().len();
        tracing::info!(%cause, running, "shutting down: no further tasks are asked for, running ones may finish");
        let awaited = match self.settings.polls {
            ShutdownPolls::Await => true,
            ShutdownPolls::Drop => false,
            // A successor with the same id would lose its first task to an abandoned poll.
            ShutdownPolls::Auto => cause == StopCause::Terminate && self.settings.has_explicit_id,
        };
        if awaited {
            self.ends.await_polls.cancel();
        }
        self.offer.drain();
        self.ends.stop_asking();
        for session in &self.sessions {
            // Results that wait for a later try are tried now: there may be no later.
            session.origin.delivery.offer_all(false);
        }
    }

    /// Phase 2: tells running tasks to stop, and sends every waiting result once.
    fn cancel(&self) -> Vec<TaskId> {
        let running = self.executor.running.task_ids();
        if self.work_left() {
            tracing::warn!(
                running = running.len(),
                "cancelling what still runs, and sending every result once more"
            );
        } else {
            tracing::info!("open polls are let go");
        }
        self.ends.let_go.cancel();
        self.executor.running.cancel_all(&Cause::Shutdown);
        for session in &self.sessions {
            session.origin.delivery.offer_all(true);
        }
        running
    }

    async fn all_done(&self, phase: Phase) {
        match phase {
            Phase::Running | Phase::Closed => std::future::pending().await,
            Phase::Draining => {
                for session in &self.sessions {
                    session.origin.peer.goodbye.cancelled().await;
                }
                self.pollers.wait().await;
                self.executor.tasks.wait().await;
            }
            // Handlers that do not stop are not waited for, nor orchestrators that do not take results.
            Phase::Cancelling => {
                self.executor.running.empty().await;
                for session in &self.sessions {
                    session.origin.delivery.all_tried().await;
                }
                return;
            }
        }
        for session in &self.sessions {
            session.origin.delivery.empty().await;
        }
    }

    fn work_left(&self) -> bool {
        !self.executor.running.task_ids().is_empty()
            || self.sessions.iter().any(|session| session.origin.delivery.unacknowledged() > 0)
    }
}
