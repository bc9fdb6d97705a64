//! The story of a task: what happened to it, and when. Pure.
//!
//! | event | its time |
//! |---|---|
//! | `submitted` | the task was submitted, by a person, or as a retry of another one |
//! | `offered` | a poll of a worker was answered with it |
//! | `delivered` | the worker has all of its bytes |
//! | `inputs_fetched` | the end of the last read of its inputs from the local storage |
//! | `started` | `delivered` or `inputs_fetched`, the later one; it is not stored, but follows from them |
//! | `progress` | the handler sent its progress |
//! | `outputs_sent` | the end of the last write of its outputs to the local storage |
//! | `result` | the worker's result arrived; without a worker: the orchestrator gave the task up |
//! | `requeued` | the try is over, and there will be another one |
//! | `entered` | a job of a blueprint came to its next state |
//! | `retried` | a person retried the ended task as a new one |
//! | `cancel_requested` | the worker was asked to stop |
//! | `cancelled` | the end of a cancelled task |
//! | `fault` | a fault that is switched on has hit a message about the task |

mod inputs;
mod kept;
mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::Failure;
use serde::{Deserialize, Serialize};

pub(crate) use self::inputs::Inputs;
pub(crate) use self::kept::StoryRow;
pub(crate) use self::view::StoryView;

/// The number of events that are kept; beyond it, the oldest progress is left out.
const MAX_EVENTS: usize = 1000;

/// The longest text in an event, in characters.
const MAX_TEXT: usize = 1000;

/// The events of one task, in their order.
#[derive(Debug)]
pub(crate) struct Story {
    entries: Vec<Entry>,
    /// The number of events that were left out.
    dropped: u64,
    /// The memory of the texts, in bytes.
    texts: usize,
    /// The number of events that were ever added.
    next: u32,
    /// The parts that have changed since they were last kept; `None` if nothing is kept.
    touched: Option<BTreeSet<u32>>,
}

/// An event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The number among all events of the story, those that were left out included.
    number: u32,
    /// The time since the submission.
    pub(crate) at: Duration,
    pub(crate) attempt: u32,
    pub(crate) worker_id: Option<WorkerId>,
    pub(crate) what: What,
}

/// The content of an event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum What {
    Submitted,
    Offered,
    Delivered,
    Transfer(Transfer),
    Progress(f64, Box<str>),
    Result(Box<Report>),
    Requeued(Box<str>),
    Entered(Box<str>),
    Retried(u64),
    CancelRequested,
    Cancelled,
    Fault(Box<str>),
}

/// All requests to the storage for the inputs, or for the outputs, of a try.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Transfer {
    way: Way,
    /// The begin of the first request, as the time since the submission.
    began: Duration,
    requests: u32,
}

/// The direction of a transfer, seen from the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    Inputs,
    Outputs,
}

/// The end of a try.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) status: String,
    /// The code and the message.
    pub(crate) error: Option<(String, String)>,
    /// Whether the orchestrator itself gave up the try.
    pub(crate) is_own: bool,
}

impl Entry {
    /// An event for [`Story::add`].
    pub(crate) fn new(at: Duration, attempt: u32, worker_id: Option<WorkerId>, what: What) -> Self {
        Self { number: 0, at, attempt, worker_id, what }
    }
}

impl What {
    /// A request to the storage that began that long after the submission.
    pub(crate) fn transfer(way: Way, began: Duration) -> Self {
        Self::Transfer(Transfer { way, began, requests: 1 })
    }

    pub(crate) fn progress(progress: f64, message: &str) -> Self {
        Self::Progress(progress, shortened(message))
    }

    pub(crate) fn result(status: &str, error: Option<&Failure>, is_own: bool) -> Self {
        let error = error.map(|failure| {
            (crate::text::cut(failure.code.as_str(), 100), crate::text::cut(&failure.message, MAX_TEXT))
        });
        Self::Result(Box::new(Report { status: status.to_owned(), error, is_own }))
    }

    pub(crate) fn requeued(reason: &str) -> Self {
        Self::Requeued(shortened(reason))
    }

    pub(crate) fn entered(state: &str) -> Self {
        Self::Entered(shortened(state))
    }

    pub(crate) fn fault(name: &str) -> Self {
        Self::Fault(crate::text::cut(name, 100).into())
    }

    /// Whether the event happened at a worker.
    pub(crate) fn has_worker(&self) -> bool {
        match self {
            Self::Result(report) => !report.is_own,
            Self::Offered
            | Self::Delivered
            | Self::Transfer(_)
            | Self::Progress(..)
            | Self::CancelRequested
            | Self::Fault(_) => true,
            Self::Submitted | Self::Requeued(_) | Self::Entered(_) | Self::Retried(_) | Self::Cancelled => {
                false
            }
        }
    }

    /// The memory of the texts, in bytes.
    fn texts(&self) -> usize {
        match self {
            Self::Progress(_, text) | Self::Requeued(text) | Self::Entered(text) | Self::Fault(text) => {
                text.len()
            }
            Self::Result(report) => {
                let error = report.error.as_ref().map_or(0, |(code, message)| code.len() + message.len());
                size_of::<Report>() + report.status.len() + error
            }
            _ => 0,
        }
    }
}

impl Story {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), dropped: 0, texts: 0, next: 0, touched: None }
    }

    /// Adds an event. Its time is never before that of the event before. All transfers of a try in the same direction
    /// are one event, with the time of the last one.
    pub(crate) fn add(&mut self, mut entry: Entry) {
        if let What::Transfer(transfer) = &mut entry.what
            && let Some(earlier) = self.take_transfer(transfer.way)
        {
            transfer.began = transfer.began.min(earlier.began);
            transfer.requests = transfer.requests.saturating_add(earlier.requests);
        }
        if self.entries.len() >= MAX_EVENTS {
            self.leave_one_out();
        }
        if let Some(last) = self.entries.last() {
            entry.at = entry.at.max(last.at);
        }
        entry.number = self.next;
        self.next = self.next.saturating_add(1);
        self.touch(entry.number);
        self.texts += entry.what.texts();
        self.entries.push(entry);
    }

    fn take_transfer(&mut self, way: Way) -> Option<Transfer> {
        let from = self.last_offer()?;
        let found = self
            .entries
            .iter()
            .skip(from)
            .position(|entry| matches!(&entry.what, What::Transfer(transfer) if transfer.way == way))?;
        let entry = self.entries.remove(from + found);
        self.touch(entry.number);
        match entry.what {
            What::Transfer(transfer) => Some(transfer),
            _ => None,
        }
    }

    /// Gives back memory that no further event needs.
    pub(crate) fn close(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// The memory of the events, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.entries.len() * size_of::<Entry>() + self.texts
    }

    fn last_offer(&self) -> Option<usize> {
        self.entries.iter().rposition(|entry| matches!(entry.what, What::Offered))
    }

    /// Leaves out the oldest progress; if there is none, the oldest event after the submission.
    fn leave_one_out(&mut self) {
        let progress = self.entries.iter().position(|entry| matches!(entry.what, What::Progress(..)));
        let entry = self.entries.remove(progress.unwrap_or(1));
        self.touch(entry.number);
        self.texts -= entry.what.texts();
        self.dropped += 1;
    }
}

fn shortened(text: &str) -> Box<str> {
    crate::text::cut(text, MAX_TEXT).into()
}
