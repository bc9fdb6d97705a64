//! What people are shown of tasks and workers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rxon::model::Failure;
use rxon::{JobId, TaskId, TaskName, WorkerId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TaskStatus {
    /// Waits for a worker that can take it.
    Queued,
    /// A worker has it.
    Running,
    /// Ended with data: in success, or with a status of the handler's.
    Finished,
    /// Ended because its input was wrong.
    Failed,
    /// Ended because it failed for good, or too often.
    Quarantined,
    /// Ended because somebody wanted it so.
    Cancelled,
}

impl TaskStatus {
    const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Finished, Self::Failed, Self::Quarantined, Self::Cancelled];

    /// Whether nothing will happen to the task any more.
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The name as it is shown.
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

/// A text that names no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no status: expected `queued`, `running`, `finished`, `failed`, `quarantined` or `cancelled`"
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

/// A task, as it stands at one moment.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TaskView {
    /// The handle: stays the same however often the task is tried.
    pub job_id: JobId,
    /// The id of the present try, or the last one.
    pub task_id: TaskId,
    /// Which handler it is for.
    #[serde(rename = "type")]
    pub name: TaskName,
    /// Where it stands.
    pub status: TaskStatus,
    /// What its worker said it ended in: `success`, or a status of the handler's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_status: Option<String>,
    /// Higher ones go first.
    pub priority: f64,
    /// How often a worker was given it.
    pub attempts: u32,
    /// Whether it is to be cancelled, and its worker has not answered yet.
    pub cancel_requested: bool,
    /// From 0.0 to 1.0, as the handler says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// What the handler says beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_message: Option<String>,
    /// Who has it, or had it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<WorkerId>,
    /// What it was given, byte by byte. Lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "raw")]
    pub params: Option<Arc<RawValue>>,
    /// What it ended in, byte by byte as the worker sent it. Lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "raw")]
    pub data: Option<Arc<RawValue>>,
    /// Why the last try failed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared")]
    pub error: Option<Arc<Failure>>,
    /// When it was submitted, in seconds since 1970.
    pub submitted_at: f64,
    /// When the last try began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<f64>,
    /// When the present try is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<f64>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<f64>,
}

impl TaskView {
    /// Reads the data of an ended task as a type of yours. `None` without data.
    ///
    /// # Errors
    /// When the data does not fit the type.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.data.as_deref().map(|data| serde_json::from_str(data.get())).transpose()
    }

    /// The same without what may be large.
    pub(crate) fn without_payloads(mut self) -> Self {
        self.params = None;
        self.data = None;
        self
    }
}

/// A worker, as it stands at one moment.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct WorkerView {
    /// Its name.
    pub worker_id: WorkerId,
    /// The label it gave itself.
    pub worker_type: String,
    /// What it said last: `idle`, `busy`, or another word.
    pub status: String,
    /// All tasks it has a handler for.
    pub tasks: Vec<TaskName>,
    /// Those it accepts now; none unless it is `idle`.
    pub accepts: Vec<TaskName>,
    /// What it was given and has not answered for.
    pub running: Vec<JobId>,
    /// How many of its polls are held now.
    pub open_polls: usize,
    /// Seconds since its last request.
    pub last_heard: f64,
}

#[expect(clippy::ref_option, reason = "serde gives what the field is")]
pub(crate) fn raw<S: Serializer>(value: &Option<Arc<RawValue>>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde gives what the field is")]
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
