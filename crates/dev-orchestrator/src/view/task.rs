//! One task.

use std::sync::Arc;

use rxon::model::Failure;
use rxon::{JobId, TaskId, TaskName, WorkerId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{TaskStatus, raw, shared};

/// The state of a task at one moment.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TaskView {
    /// The id of the job, which stays the same for all tries.
    pub job_id: JobId,
    /// The task id of the current or last try.
    pub task_id: TaskId,
    /// The name of the task's handler.
    #[serde(rename = "type")]
    pub name: TaskName,
    /// The status.
    pub status: TaskStatus,
    /// The status in the worker's result: `success`, or a status of the handler's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_status: Option<String>,
    /// The priority; higher ones go first.
    pub priority: f64,
    /// The time limit of each try, in seconds.
    pub timeout: f64,
    /// The number of times that a worker was given the task.
    pub attempts: u32,
    /// Whether the cancellation of the running task was requested, and its worker has not answered yet.
    pub cancel_requested: bool,
    /// The progress that the handler sent, from 0.0 to 1.0; 1.0 once the task is finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// The message that the handler sent with the progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_message: Option<String>,
    /// The worker that has the task, or had it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<WorkerId>,
    /// The parameters, unchanged. Lists omit them.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "raw")]
    pub params: Option<Arc<RawValue>>,
    /// The data of the result, unchanged. Lists omit them.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "raw")]
    pub data: Option<Arc<RawValue>>,
    /// The metadata of the result, unchanged. Lists omit them.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "raw")]
    pub metadata: Option<Arc<RawValue>>,
    /// The costs in the result, unchanged. Lists omit them.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "raw")]
    pub costs: Option<Arc<RawValue>>,
    /// The failure of the last try, or the error that a worker sent beside a status of the handler's.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared")]
    pub error: Option<Arc<Failure>>,
    /// The tries before the current or last one, at most 100. Lists omit them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries: Option<Vec<TryView>>,
    /// The way through the blueprint, if this is a job of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobView>,
    /// The first task of those that were retried, if this one is the retry of an ended task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<JobId>,
    /// The retries of this task after its end, at most 100, the latest one last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retried_as: Vec<JobId>,
    /// The time of the submission, in seconds since 1970.
    pub submitted_at: f64,
    /// The start of the last try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<f64>,
    /// The deadline of the current try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<f64>,
    /// The earliest time of the next try, while the task waits for its retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<f64>,
    /// The time of the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<f64>,
}

impl TaskView {
    /// Reads the data of an ended task as any type. `None` if there are no data.
    ///
    /// # Errors
    /// When the data do not fit the type.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.data.as_deref().map(|data| serde_json::from_str(data.get())).transpose()
    }

    /// Returns the view without parameters, the objects of the result, and earlier tries, which may be large.
    pub(crate) fn without_payloads(mut self) -> Self {
        (self.params, self.data, self.metadata, self.costs) = (None, None, None, None);
        self.tries = None;
        if let Some(job) = &mut self.job {
            job.params = None;
        }
        self
    }
}

/// The way of a job through its blueprint.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct JobView {
    /// The name of the blueprint.
    pub name: String,
    /// The present state; at the end `finished` or `failed`, or the state in which the job was cancelled or given up.
    pub state: String,
    /// The steps in their order, at most 100; the last one is the present one.
    pub path: Vec<StepView>,
    /// The parameters that the job was submitted with, unchanged. Lists omit them.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "raw")]
    pub params: Option<Arc<RawValue>>,
}

/// A step of a job.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StepView {
    /// The state.
    pub state: String,
    /// The task id of the last try of its task.
    pub task_id: TaskId,
    /// The status in which its task ended; that of the job if it has not ended.
    pub status: String,
    /// The time at which the job came to the state, in seconds since 1970.
    pub at: f64,
}

/// A try that failed, and was followed by another one.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TryView {
    /// The task id of the try.
    pub task_id: TaskId,
    /// The worker that had it.
    pub worker_id: Option<WorkerId>,
    /// The time at which it was given to the worker, in seconds since 1970.
    pub started_at: Option<f64>,
    /// The time of its end.
    pub ended_at: f64,
    /// The status in which it ended: `failure`.
    pub status: &'static str,
    /// The failure.
    #[serde(serialize_with = "shared")]
    pub error: Option<Arc<Failure>>,
}
