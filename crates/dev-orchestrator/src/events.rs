//! The live feed: everything that happens, as it happens.

use std::sync::Arc;

use rxon::{JobId, TaskId, TaskName, WorkerId};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::TaskStatus;

/// Events kept for a reader that is slow; older ones are skipped, and counted in [`Event::Missed`].
pub(crate) const CAPACITY: usize = 1024;

/// A larger payload of a worker's own event is not kept.
pub(crate) const LARGEST_PAYLOAD: usize = 16 * 1024;

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A worker introduced itself, perhaps not for the first time.
    WorkerRegistered {
        /// Who.
        worker_id: WorkerId,
    },
    /// A worker was silent for too long. Its tasks go to others.
    WorkerExpired {
        /// Who.
        worker_id: WorkerId,
    },
    /// A task was submitted, begun, put back, or ended.
    TaskChanged {
        /// The task.
        job_id: JobId,
        /// Its present try.
        task_id: TaskId,
        /// Which handler it is for.
        #[serde(rename = "type")]
        name: TaskName,
        /// Where it stands now.
        status: TaskStatus,
        /// How often a worker was given it.
        attempts: u32,
        /// Who has it, or had it last.
        worker_id: Option<WorkerId>,
        /// Code and message of the last failure.
        error: Option<String>,
    },
    /// A handler said how far it is.
    Progress {
        /// The task.
        job_id: JobId,
        /// Its present try.
        task_id: TaskId,
        /// From 0.0 to 1.0.
        progress: f64,
        /// For people.
        message: String,
    },
    /// A worker sent an event of its own.
    Custom {
        /// Who.
        worker_id: WorkerId,
        /// The name of the event.
        event_type: String,
        /// The task it is for, when it says so.
        job_id: Option<JobId>,
        /// The content; `None` when it has more than 16 KiB.
        #[serde(serialize_with = "crate::view::raw")]
        payload: Option<Arc<RawValue>>,
    },
    /// So many events were skipped, because this feed was not read in time.
    Missed {
        /// How many.
        events: u64,
    },
}

/// Events from the moment of [`DevOrchestrator::subscribe`](crate::DevOrchestrator::subscribe) on.
#[derive(Debug)]
pub struct Feed(broadcast::Receiver<Event>);

impl Feed {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self(receiver)
    }

    /// The next event; `None` once the orchestrator has shut down.
    ///
    /// # Cancel safety
    /// An event that was not returned is returned by the next call.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(events)) => Some(Event::Missed { events }),
            Err(RecvError::Closed) => None,
        }
    }
}
