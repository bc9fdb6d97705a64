//! The end of a worker.
//!
//! [`shutdown`](crate::worker::shutdown) decides; here its decisions are carried out, on the control path: a handler that
//! blocks the runtime delays neither the goodbye nor the effect of a second signal.

use std::sync::{Arc, Once};
use std::time::Duration;

use rxon::TaskId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::config::ShutdownPolls;
use crate::execution::Cause;
use crate::peer::log::in_seconds;
use crate::threads::until;
use crate::worker::assembly::Assembly;
use crate::worker::shutdown::{Action, Event, Phase, Shutdown, StopCause, Stopped};

/// The shortest drain: orchestrators are told even when running tasks get no time to finish.
const MIN_DRAIN: Duration = Duration::from_millis(500);

/// The time for cancelled tasks to be reported: the grace of a blocking handler, and a little for its result.
const CANCEL_LIMIT: Duration = Duration::from_secs(8);

/// Carries out the end of a worker.
pub(crate) struct Ending {
    assembly: Arc<Assembly>,
    pollers: TaskTracker,
    /// It was logged that open polls are awaited.
    awaited_polls_logged: Once,
}

impl Ending {
    pub(crate) fn new(assembly: Arc<Assembly>, pollers: TaskTracker) -> Self {
        Self { assembly, pollers, awaited_polls_logged: Once::new() }
    }

    /// Waits for signals, and ends the worker as they ask.
    pub(crate) async fn run(self, mut signals: mpsc::Receiver<StopCause>) -> Stopped {
        let mut shutdown = Shutdown::default();
        let mut limit: Option<Instant> = None;
        let mut cancelled = Vec::new();
        while shutdown.phase != Phase::Closed {
            let event = tokio::select! {
                biased;
                Some(cause) = signals.recv() => Event::Signal(cause),
                () = self.all_done(shutdown.phase) => Event::AllDone,
                () = until(limit) => Event::Limit { work_left: self.work_left() },
            };
            match shutdown.on_event(event) {
                Action::StopAsking => {
                    limit = Some(Instant::now() + self.drain_limit());
                    self.stop_asking(shutdown.cause.unwrap_or(StopCause::Asked));
                }
                Action::Cancel => {
                    limit = Some(Instant::now() + CANCEL_LIMIT);
                    cancelled = self.cancel();
                }
                Action::Close | Action::Nothing => {}
            }
        }
        self.assembly.stopped(shutdown.cause.unwrap_or(StopCause::Asked), cancelled)
    }

    fn drain_limit(&self) -> Duration {
        self.assembly.settings.shutdown_timeout.max(MIN_DRAIN)
    }

    /// Says once why an idle worker does not end yet, if polls are awaited.
    fn log_awaited_polls(&self) {
        let conversations = self.assembly.conversations.iter();
        let awaited = conversations.filter(|parts| parts.ends.await_polls.is_cancelled());
        let awaited: Vec<_> = awaited.map(|parts| &parts.session.open_polls).collect();
        let polls: usize = awaited.iter().map(|polls| polls.count()).sum();
        if polls == 0 {
            return;
        }
        let limit = self.drain_limit();
        let longest = awaited.iter().map(|polls| polls.longest()).max().unwrap_or_default();
        let short = if limit < longest {
            format!(", although they may stay open for another {} (`TASK_POLL_TIMEOUT`)", in_seconds(longest))
        } else {
            String::new()
        };
        let why = if self.assembly.ends.await_polls.is_cancelled() {
            "an abandoned poll would swallow the first task of the next worker with this `WORKER_ID`; a second signal ends \
             the wait, `WORKER_SHUTDOWN_POLLS=drop` avoids it"
        } else {
            "the orchestrator did not accept that this worker ends, and an abandoned poll would swallow a task; a second \
             signal ends the wait"
        };
        self.awaited_polls_logged.call_once(|| {
            tracing::info!(
                polls,
                "waiting for open polls to be answered, for at most {}{short}: {why}",
                in_seconds(limit)
            );
        });
    }

    /// Phase 1: starts no further poll, and tells the orchestrators.
    fn stop_asking(&self, cause: StopCause) {
        let running = self.assembly.executor.running.task_ids().len();
        let limit = in_seconds(self.drain_limit());
        tracing::info!(
            %cause, running,
            "shutting down: no further tasks are asked for, running ones may finish within {limit}; a second signal \
             cancels them"
        );
        let awaited = match self.assembly.settings.shutdown_polls {
            ShutdownPolls::Await => true,
            ShutdownPolls::Drop => false,
            // A successor with the same id would lose its first task to an abandoned poll.
            ShutdownPolls::Auto => cause == StopCause::Terminate && self.assembly.settings.has_explicit_id,
        };
        if awaited {
            self.assembly.ends.await_polls.cancel();
        }
        self.log_awaited_polls();
        self.assembly.offer.drain();
        self.assembly.ends.stop_asking();
        for delivery in self.assembly.deliveries() {
            // Results that wait for a later try are tried now: there may be no later.
            delivery.offer_all(false);
        }
    }

    /// Phase 2: tells running tasks to stop, and sends every waiting result once.
    fn cancel(&self) -> Vec<TaskId> {
        let running = self.assembly.executor.running.task_ids();
        if self.work_left() {
            tracing::warn!(
                running = running.len(),
                "cancelling running tasks, and sending every result once more"
            );
        } else {
            tracing::info!("open polls are abandoned");
        }
        self.assembly.ends.abandon_polls.cancel();
        self.assembly.executor.running.cancel_all(&Cause::Shutdown);
        for delivery in self.assembly.deliveries() {
            delivery.offer_all(true);
        }
        running
    }

    async fn all_done(&self, phase: Phase) {
        match phase {
            Phase::Running | Phase::Closed => std::future::pending().await,
            Phase::Draining => {
                for origin in self.assembly.origins() {
                    origin.peer.goodbye.cancelled().await;
                }
                // An orchestrator may have refused the goodbye.
                self.log_awaited_polls();
                self.pollers.wait().await;
                self.assembly.executor.tasks.wait().await;
            }
            // Handlers that do not stop are not waited for, nor orchestrators that do not take results.
            Phase::Cancelling => {
                self.assembly.executor.running.empty().await;
                for delivery in self.assembly.deliveries() {
                    delivery.all_tried().await;
                }
                return;
            }
        }
        for delivery in self.assembly.deliveries() {
            delivery.empty().await;
        }
    }

    fn work_left(&self) -> bool {
        !self.assembly.executor.running.task_ids().is_empty()
            || self.assembly.deliveries().any(|delivery| delivery.unacknowledged() > 0)
    }
}
