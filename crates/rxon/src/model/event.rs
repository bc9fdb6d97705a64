//! What a worker tells while a task runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::reading::{or_default, text};
use crate::{JobId, TaskId, WorkerId};

/// An event, sent over the websocket or by `POST /_worker/events`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Unique; the orchestrator refuses a second one with the same id within 65 s.
    pub event_id: String,
    /// Who sends it.
    pub worker_id: WorkerId,
    /// Where it began; the sender, unless it is relayed.
    pub origin_worker_id: WorkerId,
    /// `progress`, or a name of the user's.
    pub event_type: String,
    /// The content: an object.
    pub payload: Box<RawValue>,
    /// The task it began in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_task_id: Option<TaskId>,
    /// Workers that relayed it. Not signed, so that relays can add themselves.
    #[serde(default, deserialize_with = "or_default")]
    pub bubbling_chain: Vec<WorkerId>,
    /// The job it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_job_id: Option<JobId>,
    /// The task it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_task_id: Option<TaskId>,
    /// W3C trace context.
    #[serde(default, deserialize_with = "or_default")]
    pub trace_context: BTreeMap<String, String>,
    /// Higher is more urgent.
    #[serde(default, deserialize_with = "or_default")]
    pub priority: f64,
}

impl Event {
    /// The type of a progress event.
    pub const PROGRESS: &'static str = "progress";
}

/// The payload of a progress event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// From 0.0 to 1.0.
    pub progress: f64,
    /// For people.
    #[serde(default, deserialize_with = "or_default")]
    pub message: String,
}

/// Progress as 1.0b2 understands it, over the websocket only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgressUpdate {
    /// Always `progress_update`.
    pub event: String,
    /// The task it is about.
    pub task_id: TaskId,
    /// Its job.
    pub job_id: JobId,
    /// From 0.0 to 1.0, with a few words.
    #[serde(flatten)]
    pub progress: Progress,
}

impl ProgressUpdate {
    /// How far a task is.
    pub fn new(task_id: &TaskId, job_id: &JobId, progress: &Progress) -> Self {
        Self {
            event: "progress_update".to_owned(),
            task_id: task_id.clone(),
            job_id: job_id.clone(),
            progress: progress.clone(),
        }
    }
}

/// The answer to an event. Errors come with HTTP 200. Fields of the wrong type count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Map<String, Value>")]
pub struct EventAnswer {
    /// `event_accepted` or `error`.
    pub status: String,
    /// Why it was not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The kind of refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl From<Map<String, Value>> for EventAnswer {
    fn from(mut fields: Map<String, Value>) -> Self {
        Self {
            status: text(&mut fields, "status").unwrap_or_default(),
            message: text(&mut fields, "message"),
            code: text(&mut fields, "code"),
        }
    }
}
