//! How a worker ends. Pure.
//!
//! | phase | event | next | what is done |
//! |---|---|---|---|
//! | running | first signal | draining | *stop asking*: no further poll, orchestrators are told |
//! | draining | all done | closed | *close* |
//! | draining | limit reached, only polls open | closed | *close* |
//! | draining | limit reached, or second signal | cancelling | *cancel*: tasks are told to stop, results sent once |
//! | cancelling | all reported, or its own limit | closed | *close* |
//!
//! The third signal does what it does without us: see `signals`.

use std::fmt;

use rxon::TaskId;

/// Why a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopCause {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// The future given to [`run_until`](crate::Worker::run_until) completed.
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

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Why.
    pub cause: StopCause,
    /// Tasks that were told to stop, because they did not end in time or at a second signal.
    pub cancelled: Vec<TaskId>,
    /// Tasks whose results no orchestrator has acknowledged, and that are lost.
    pub unacknowledged: Vec<TaskId>,
    /// Tasks whose results no orchestrator has acknowledged, and that are on disk (`WORKER_OUTBOX_DIR`): the next
    /// worker with this one's id offers them again.
    pub kept: Vec<TaskId>,
}

impl Stopped {
    /// Whether nothing was cut short or lost: exit code 0, else 1.
    pub fn is_clean(&self) -> bool {
        self.cancelled.is_empty() && self.unacknowledged.is_empty()
    }
}

/// Where a worker's end has got to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    Draining,
    Cancelling,
    Closed,
}

/// What happens while a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Signal(StopCause),
    /// No poll is open, no task runs, every result is acknowledged.
    AllDone,
    /// The time of this phase is over. In draining: whether tasks or results are left.
    Limit {
        work_left: bool,
    },
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    StopAsking,
    Cancel,
    Close,
    Nothing,
}

/// The end of a worker.
#[derive(Debug)]
pub(crate) struct Shutdown {
    phase: Phase,
    cause: Option<StopCause>,
}

impl Shutdown {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Running, cause: None }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Why it ends, once it does.
    pub(crate) fn cause(&self) -> Option<StopCause> {
        self.cause
    }

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
        let mut shutdown = Shutdown::new();
        events
            .iter()
            .map(|event| {
                let action = shutdown.on_event(*event);
                (shutdown.phase(), action)
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
    fn an_open_poll_at_the_limit_holds_nothing_up() {
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
    fn what_does_not_let_itself_be_cancelled_does_not_hold_up_the_end() {
        let ends = phases(&[SIGNAL, SIGNAL, Event::Limit { work_left: true }]);
        assert_eq!(ends[2], (Phase::Closed, Action::Close));
    }

    #[test]
    fn the_first_cause_is_kept() {
        let mut shutdown = Shutdown::new();
        shutdown.on_event(Event::Signal(StopCause::Interrupt));
        shutdown.on_event(Event::Signal(StopCause::Terminate));
        assert_eq!(shutdown.cause(), Some(StopCause::Interrupt));
    }
}
