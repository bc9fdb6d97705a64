//! The records of results and tasks on disk.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rxon::model::{Failure, TaskResult};
use rxon::{JobId, TaskId, TaskName, WorkerId};

/// The number of a result in the file.
pub(crate) type Key = u64;

/// A result as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The address of its orchestrator.
    pub(crate) orchestrator: Arc<str>,
    pub(crate) job_id: JobId,
    pub(crate) task_id: TaskId,
    /// When the task ended, in Unix milliseconds.
    pub(crate) since: u64,
    /// Whether the orchestrator was of the newer generation.
    pub(crate) newer: bool,
    /// Whether the result replaces one that was refused.
    pub(crate) is_replacement: bool,
    /// Whether a try is under way, recorded only for a result that must not be sent twice.
    pub(crate) is_in_flight: bool,
    /// The JSON, not sealed: each try seals it anew.
    pub(crate) body: Bytes,
}

/// The identity of a task: its id is only unique with its orchestrator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskKey {
    pub(crate) orchestrator: Arc<str>,
    pub(crate) task_id: TaskId,
}

/// A task under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BegunTask {
    pub(crate) job_id: JobId,
    pub(crate) name: TaskName,
    /// False while it waits for its limit group: then the task is not at fault for a death.
    pub(crate) started: bool,
    pub(crate) newer: bool,
}

/// The body of a result of a task that failed, not sealed.
pub(crate) fn failure_body(
    job_id: &JobId,
    task_id: &TaskId,
    worker_id: &WorkerId,
    failure: Failure,
) -> Bytes {
    let result = TaskResult::failure(job_id.clone(), task_id.clone(), worker_id.clone(), failure);
    serde_json::to_vec(&result).expect("texts always serialise").into()
}

/// The time now in Unix milliseconds.
pub(crate) fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
