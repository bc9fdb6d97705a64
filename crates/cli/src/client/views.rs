//! What the server tells, as far as this program looks into it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A submitted task.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Submitted {
    pub(crate) task_id: String,
    pub(crate) job_id: String,
}

/// A failure.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct ErrorView {
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
}

/// A task.
#[derive(Debug, Deserialize)]
pub(crate) struct TaskView {
    pub(crate) job_id: String,
    pub(crate) task_id: String,
    #[serde(rename = "type")]
    pub(crate) name: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) result_status: Option<String>,
    #[serde(default)]
    pub(crate) attempts: u32,
    #[serde(default)]
    pub(crate) progress: Option<f64>,
    #[serde(default)]
    pub(crate) progress_message: Option<String>,
    #[serde(default)]
    pub(crate) worker_id: Option<String>,
    #[serde(default)]
    pub(crate) params: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) data: Option<Box<RawValue>>,
    /// With all of its members, for programs; people see an [`ErrorView`].
    #[serde(default)]
    pub(crate) error: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) submitted_at: Option<f64>,
    #[serde(default)]
    pub(crate) started_at: Option<f64>,
    #[serde(default)]
    pub(crate) ended_at: Option<f64>,
    /// The way through a blueprint.
    #[serde(default)]
    pub(crate) job: Option<JobView>,
    /// The first job, of which this is a retry.
    #[serde(default)]
    pub(crate) of: Option<String>,
    #[serde(default)]
    pub(crate) retried_as: Vec<String>,
    /// The tries before the present one.
    #[serde(default)]
    pub(crate) tries: Option<Vec<TryView>>,
}

/// The way of a job through its blueprint.
#[derive(Debug, Deserialize)]
pub(crate) struct JobView {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) path: Vec<StepView>,
}

/// A step of a job.
#[derive(Debug, Deserialize)]
pub(crate) struct StepView {
    pub(crate) state: String,
    pub(crate) status: String,
}

/// A try of a task that is over.
#[derive(Debug, Deserialize)]
pub(crate) struct TryView {
    #[serde(default)]
    pub(crate) worker_id: Option<String>,
    #[serde(default)]
    pub(crate) status: Option<String>,
    #[serde(default)]
    pub(crate) error: Option<ErrorView>,
}

impl TaskView {
    /// Whether the task has ended.
    pub(crate) fn is_ended(&self) -> bool {
        is_ended(&self.status)
    }

    /// Returns its failure.
    pub(crate) fn failure(&self) -> Option<ErrorView> {
        serde_json::from_str(self.error.as_ref()?.get()).ok()
    }

    /// Returns the time from its start to its end, or to now.
    pub(crate) fn duration(&self, now: f64) -> Option<f64> {
        let until = self.ended_at.or_else(|| (self.status == "running").then_some(now))?;
        Some((until - self.started_at?).max(0.0))
    }
}

/// Whether a status is final.
pub(crate) fn is_ended(status: &str) -> bool {
    !matches!(status, "queued" | "running")
}

/// Some of the tasks.
#[derive(Debug, Deserialize)]
pub(crate) struct TaskList {
    pub(crate) tasks: Vec<TaskView>,
    #[serde(default)]
    pub(crate) total: u64,
    #[serde(default)]
    pub(crate) next: Option<String>,
}

/// The workers.
#[derive(Debug, Deserialize)]
pub(crate) struct WorkerList {
    pub(crate) workers: Vec<WorkerView>,
}

/// A worker.
#[derive(Debug, Deserialize)]
pub(crate) struct WorkerView {
    pub(crate) worker_id: String,
    #[serde(default)]
    pub(crate) worker_type: String,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) tasks: Vec<String>,
    #[serde(default)]
    pub(crate) running: Vec<String>,
    #[serde(default)]
    pub(crate) open_polls: u64,
    #[serde(default)]
    pub(crate) last_heard: Option<f64>,
    #[serde(default)]
    pub(crate) slots: Option<Slots>,
}

/// The slots of a worker.
#[derive(Debug, Deserialize)]
pub(crate) struct Slots {
    #[serde(default)]
    pub(crate) used: u64,
    #[serde(default)]
    pub(crate) total: Option<u64>,
}

/// What workers can do.
#[derive(Debug, Deserialize)]
pub(crate) struct SkillList {
    pub(crate) skills: Vec<Skill>,
}

/// A skill of workers.
#[derive(Debug, Deserialize)]
pub(crate) struct Skill {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) input_schema: Option<Value>,
    #[serde(default)]
    pub(crate) workers: Vec<String>,
}

/// Some of the log of a task.
#[derive(Debug, Deserialize)]
pub(crate) struct LogPage {
    pub(crate) lines: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(crate) next: Option<u64>,
    /// How many older lines were removed.
    #[serde(default)]
    pub(crate) dropped: u64,
}

/// A line of a log.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct LogLine {
    #[serde(default)]
    pub(crate) n: u64,
    #[serde(default)]
    pub(crate) at: f64,
    #[serde(default)]
    pub(crate) level: Option<String>,
    #[serde(default)]
    pub(crate) text: String,
}
