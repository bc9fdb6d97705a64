//! Tasks and workers as they are shown to people.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rxon::model::Failure;
use rxon::{JobId, TaskId, TaskName, WorkerId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// The status of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TaskStatus {
    /// The task waits for a worker that accepts it.
    Queued,
    /// A worker has the task.
    Running,
    /// The task ended with data: with success, or with a status of the handler's.
    Finished,
    /// The task ended because its input was invalid.
    Failed,
    /// The task ended because of a permanent failure, or too many transient ones.
    Quarantined,
    /// The task was cancelled.
    Cancelled,
}

impl TaskStatus {
    const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Finished, Self::Failed, Self::Quarantined, Self::Cancelled];

    /// Whether the status is final.
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The error for a text that is not the name of a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a status, expected `queued`, `running`, `finished`, `failed`, `quarantined` or `cancelled`"
)]
pub struct UnknownStatus(String);

impl FromStr for TaskStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownStatus(crate::text::cut(text, 80)))
    }
}

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

    /// Returns the view without parameters and the objects of the result, which may be large.
    pub(crate) fn without_payloads(mut self) -> Self {
        (self.params, self.data, self.metadata, self.costs) = (None, None, None, None);
        self
    }
}

/// The state of a worker at one moment.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct WorkerView {
    /// The id of the worker.
    pub worker_id: WorkerId,
    /// The type in its registration, a label.
    pub worker_type: String,
    /// The status of its last heartbeat: `idle`, `busy`, or another one.
    pub status: String,
    /// All tasks it has a handler for.
    pub tasks: Vec<TaskName>,
    /// The tasks it accepts now; empty unless the status is `idle`.
    pub accepts: Vec<TaskName>,
    /// The jobs that it was given, and has not answered yet.
    pub running: Vec<JobId>,
    /// The number of its polls that are held now.
    pub open_polls: usize,
    /// The time since its last request, in seconds.
    pub last_heard: f64,
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(crate) fn raw<S: Serializer>(value: &Option<Arc<RawValue>>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn shared<S: Serializer>(value: &Option<Arc<Failure>>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_by_its_name() {
        for status in TaskStatus::ALL {
            let name = status.as_str();
            assert_eq!(name.parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).expect("a text"), name);
        }
        let error = "done".parse::<TaskStatus>().expect_err("no status");
        assert!(error.to_string().contains("`done`"), "{error}");
    }
}
