//! Events and progress that a worker sends while a task runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::reading::{or_default, texts};
use crate::id::{JobId, TaskId, WorkerId};

/// An event, sent over the websocket or by `POST /_worker/events`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// A unique id; the orchestrator refuses a second event with the same id within 65 s.
    pub event_id: String,
    /// The worker that sends the event.
    pub worker_id: WorkerId,
    /// The worker in which the event originated; the sender, unless the event is relayed.
    pub origin_worker_id: WorkerId,
    /// `progress`, or a name that the user defined.
    pub event_type: String,
    /// The content, an object.
    pub payload: Box<RawValue>,
    /// The task in which the event originated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_task_id: Option<TaskId>,
    /// The workers that relayed the event. Not signed, so that relays can add themselves.
    #[serde(default, deserialize_with = "or_default")]
    pub bubbling_chain: Vec<WorkerId>,
    /// The job that is to receive the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_job_id: Option<JobId>,
    /// The task that is to receive the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_task_id: Option<TaskId>,
    /// The W3C trace context.
    #[serde(default, deserialize_with = "or_default")]
    pub trace_context: BTreeMap<String, String>,
    /// The priority: higher is more urgent.
    #[serde(default, deserialize_with = "or_default")]
    pub priority: f64,
    /// The metadata of the event, an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
    /// When the event was made, in Unix seconds; `None` where the seal adds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// A signature that was made elsewhere, an object; `None` where the seal adds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Box<RawValue>>,
}

impl Event {
    /// The type of a progress event.
    pub const PROGRESS: &'static str = "progress";
}

/// The payload of a progress event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The progress, from 0.0 to 1.0.
    pub progress: f64,
    /// A message for people.
    #[serde(default, deserialize_with = "or_default")]
    pub message: String,
}

/// Progress in the form that 1.0b2 understands, over the websocket only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgressUpdate {
    /// Always `progress_update`.
    pub event: String,
    /// The task that makes progress.
    pub task_id: TaskId,
    /// The job of the task.
    pub job_id: JobId,
    /// The progress and its message.
    #[serde(flatten)]
    pub progress: Progress,
}

impl ProgressUpdate {
    /// Creates the message for a task.
    pub fn new(task_id: &TaskId, job_id: &JobId, progress: &Progress) -> Self {
        Self {
            event: "progress_update".to_owned(),
            task_id: task_id.clone(),
            job_id: job_id.clone(),
            progress: progress.clone(),
        }
    }
}

/// The answer to an event. Errors come with status 200. Fields of the wrong type count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventAnswer {
    /// `event_accepted` or `error`.
    pub status: String,
    /// The reason of a refusal.
    pub message: Option<String>,
    /// The code of a refusal.
    pub code: Option<String>,
}

impl<'de> Deserialize<'de> for EventAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [status, message, code] = texts(deserializer, ["status", "message", "code"])?;
        Ok(Self { status: status.unwrap_or_default(), message, code })
    }
}
