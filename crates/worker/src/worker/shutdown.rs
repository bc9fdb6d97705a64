//! The phases of a shutdown. Pure.
//!
//! | phase | event | next | action |
//! |---|---|---|---|
//! | running | first signal | draining | *stop asking*: no further polls, orchestrators are told |
//! | draining | all done | closed | *close* |
//! | draining | limit reached, only polls open | closed | *close* |
//! | draining | limit reached, or second signal | cancelling | *cancel*: tasks are told to stop, results are sent once |
//! | cancelling | all reported, or limit of this phase reached | closed | *close* |
//!
//! The third signal has its default action: see `signals`.

use std::fmt;

use rxon::TaskId;

/// The cause of a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopCause {
    /// SIGTERM or SIGHUP.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// The future given to [`run_until`](crate::Worker::run_until) completed, or a
    /// [handle](crate::WorkerHandle::drain) began the shutdown without another cause.
    Asked,
}

impl fmt::Display for StopCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Asked => "asked to stop",
        })
    }
}

/// The way in which a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// The cause.
    pub cause: StopCause,
    /// Tasks that were cancelled, because they did not end in time or because of a second signal.
    pub cancelled: Vec<TaskId>,
    /// Tasks whose results were not acknowledged and are lost.
    pub unacknowledged: Vec<TaskId>,
    /// Tasks whose results were not acknowledged but are on disk (`WORKER_OUTBOX_DIR`): the next worker with the same id
    /// sends them again.
    pub kept: Vec<TaskId>,
}

impl Stopped {
    /// Whether no task was cancelled and no result lost. The exit code is then 0, else 1.
    pub fn is_clean(&self) -> bool {
        self.cancelled.is_empty() && self.unacknowledged.is_empty()
    }
}

/// The phase of a shutdown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Running,
    Draining,
    Cancelling,
    Closed,
}

/// An event during a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Signal(StopCause),
    /// No poll is open, no task runs, and every result is acknowledged.
    AllDone,
    /// The time limit of the phase is reached, with or without tasks and results that are left.
    Limit {
        work_left: bool,
    },
}

/// The reaction to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    StopAsking,
    Cancel,
    Close,
    Nothing,
}

/// The shutdown of a worker.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    pub(crate) phase: Phase,
    /// The cause, once the shutdown has begun.
    pub(crate) cause: Option<StopCause>,
}

impl Shutdown {
    pub(crate) fn on_event(&mut self, event: Event) -> Action {
        let (next, action) = match (self.phase, event) {
            (Phase::Running, Event::Signal(cause)) => {
                self.cause = Some(cause);
                (Phase::Draining, Action::StopAsking)
            }
            (Phase::Draining, Event::Signal(_) | Event::Limit { work_left: true }) => {
                (Phase::Cancelling, Action::Cancel)
            }
            (Phase::Draining, Event::AllDone | Event::Limit { work_left: false })
            | (Phase::Cancelling, Event::AllDone | Event::Limit { .. }) => (Phase::Closed, Action::Close),
            (phase, _) => (phase, Action::Nothing),
        };
        self.phase = next;
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNAL: Event = Event::Signal(StopCause::Terminate);

    fn phases(events: &[Event]) -> Vec<(Phase, Action)> {
        let mut shutdown = Shutdown::default();
        events
            .iter()
            .map(|event| {
                let action = shutdown.on_event(*event);
                (shutdown.phase, action)
            })
            .collect()
    }

    #[test]
    fn the_usual_end_drains_and_closes() {
        assert_eq!(
            phases(&[SIGNAL, Event::AllDone, SIGNAL]),
            [
                (Phase::Draining, Action::StopAsking),
                (Phase::Closed, Action::Close),
                (Phase::Closed, Action::Nothing)
            ]
        );
    }

    #[test]
    fn an_open_poll_at_the_limit_delays_nothing() {
        let ends = phases(&[SIGNAL, Event::Limit { work_left: false }]);
        assert_eq!(ends[1], (Phase::Closed, Action::Close));
    }

    #[test]
    fn the_limit_or_a_second_signal_cancels() {
        for event in [Event::Limit { work_left: true }, SIGNAL] {
            let ends = phases(&[SIGNAL, event, Event::AllDone]);
            assert_eq!(ends[1..], [(Phase::Cancelling, Action::Cancel), (Phase::Closed, Action::Close)]);
        }
    }

    #[test]
    fn work_that_cannot_be_cancelled_does_not_delay_the_end() {
        let ends = phases(&[SIGNAL, SIGNAL, Event::Limit { work_left: true }]);
        assert_eq!(ends[2], (Phase::Closed, Action::Close));
    }

    #[test]
    fn the_first_cause_is_kept() {
        let mut shutdown = Shutdown::default();
        shutdown.on_event(Event::Signal(StopCause::Interrupt));
        shutdown.on_event(Event::Signal(StopCause::Terminate));
        assert_eq!(shutdown.cause, Some(StopCause::Interrupt));
    }
}
