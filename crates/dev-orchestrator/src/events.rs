//! The live feed of events.

use std::sync::Arc;

use rxon::{JobId, TaskId, TaskName, WorkerId};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::faults::{Fault, FaultState, FaultVerdict};
use crate::view::TaskStatus;

/// The number of events kept for a slow reader; older ones are skipped, and counted in [`Event::Missed`].
pub(crate) const CAPACITY: usize = 4096;

/// The largest payload of a worker's own event that is kept, in bytes.
pub(crate) const MAX_PAYLOAD: usize = 16 * 1024;

/// An event in the life of a worker or a task.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A worker registered, for the first time or again.
    WorkerRegistered {
        /// The worker.
        worker_id: WorkerId,
    },
    /// The state of a worker has changed: it sent a heartbeat, or its websocket was opened or closed.
    WorkerChanged {
        /// The worker.
        worker_id: WorkerId,
    },
    /// A worker was silent for too long, and its tasks are given to other workers; or the fault
    /// [`Fault::Forget`] made it unknown, and its tasks go on.
    WorkerExpired {
        /// The worker.
        worker_id: WorkerId,
    },
    /// A task was submitted, started, put back, or ended.
    TaskChanged {
        /// The job id of the task.
        job_id: JobId,
        /// The task id of the current try.
        task_id: TaskId,
        /// The name of the task's handler.
        #[serde(rename = "type")]
        name: TaskName,
        /// The current status.
        status: TaskStatus,
        /// The number of times that the task was given to a worker.
        attempts: u32,
        /// The worker that has the task, or had it last.
        worker_id: Option<WorkerId>,
        /// The code and the message of the last failure.
        error: Option<String>,
    },
    /// A handler sent its progress.
    Progress {
        /// The job id of the task.
        job_id: JobId,
        /// The task id of the current try.
        task_id: TaskId,
        /// The progress, from 0.0 to 1.0.
        progress: f64,
        /// The handler's message for people.
        message: String,
    },
    /// A worker sent an event of its own.
    Custom {
        /// The worker.
        worker_id: WorkerId,
        /// The name of the event.
        event_type: String,
        /// The job id of the task that the event concerns, if given.
        job_id: Option<JobId>,
        /// The payload; `None` if it is larger than 16 KiB.
        #[serde(serialize_with = "crate::view::raw")]
        payload: Option<Arc<RawValue>>,
    },
    /// A fault was switched on or off, or its values were changed.
    FaultChanged {
        /// The fault.
        name: Fault,
        /// Its new state.
        #[serde(flatten)]
        state: Box<FaultState>,
    },
    /// A fault has hit a message about a task: its delivery or its result.
    FaultHit {
        /// The fault.
        name: Fault,
        /// The task id; `None` if the worker sent one that is none.
        task_id: Option<TaskId>,
        /// The worker, as far as it is known.
        worker_id: Option<WorkerId>,
        /// Whether it was the result; else it was the delivery.
        is_result: bool,
    },
    /// The verdict on a fault was made.
    FaultJudged {
        /// The verdict.
        verdict: Arc<FaultVerdict>,
    },
    /// Events were skipped, because this feed was not read in time.
    Missed {
        /// The number of skipped events.
        events: u64,
    },
}

/// The events since the call of [`DevOrchestrator::subscribe`](crate::DevOrchestrator::subscribe).
#[derive(Debug)]
pub struct Feed(broadcast::Receiver<Event>);

impl Feed {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self(receiver)
    }

    /// Returns the next event; `None` once the orchestrator has shut down.
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
