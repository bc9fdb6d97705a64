//! Results of tasks, and the answer to them.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::reading::{or_default, texts};
use super::task::FileMetadata;
use crate::id::{JobId, TaskId, WorkerId};

/// The body of `POST /_worker/tasks/result`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskResult {
    /// The job the task belongs to.
    pub job_id: JobId,
    /// The task.
    pub task_id: TaskId,
    /// The worker that ran the task.
    pub worker_id: WorkerId,
    /// The worker that ran the task, where a result is relayed (1.0b17).
    pub origin_worker_id: WorkerId,
    /// `success`, `failure`, `cancelled`, or a status that the user defined.
    pub status: String,
    /// The data, an object; passed on without changing a byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// The error of a failed task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The files in `data`, by key path such as `a.b[0]`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub data_metadata: BTreeMap<String, FileMetadata>,
    /// The metadata of the result, an object (1.0b17). Orchestrators refuse it when it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
    /// The cost of the task (1.0b17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
}

impl TaskResult {
    /// Creates the result of a task that failed for this reason, without data.
    pub fn failure(job_id: JobId, task_id: TaskId, worker_id: WorkerId, failure: Failure) -> Self {
        Self {
            job_id,
            task_id,
            origin_worker_id: worker_id.clone(),
            worker_id,
            status: "failure".to_owned(),
            data: None,
            error: Some(failure),
            data_metadata: BTreeMap::new(),
            metadata: None,
            costs: None,
        }
    }
}

/// The cost of a task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, Box<RawValue>>")]
pub struct Costs {
    /// The run time in seconds, with four decimals.
    pub execution_time_seconds: f64,
    /// Further costs, by their names. One named `execution_time_seconds` is sent in place of the run time.
    pub further: BTreeMap<String, Box<RawValue>>,
}

impl Costs {
    const RUN_TIME: &'static str = "execution_time_seconds";
}

impl Serialize for Costs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut costs = serializer.serialize_map(None)?;
        if !self.further.contains_key(Self::RUN_TIME) {
            costs.serialize_entry(Self::RUN_TIME, &self.execution_time_seconds)?;
        }
        for (name, cost) in &self.further {
            costs.serialize_entry(name, cost)?;
        }
        costs.end()
    }
}

impl TryFrom<BTreeMap<String, Box<RawValue>>> for Costs {
    type Error = serde_json::Error;

    fn try_from(mut further: BTreeMap<String, Box<RawValue>>) -> Result<Self, Self::Error> {
        let run_time = further.remove(Self::RUN_TIME);
        let run_time = run_time.map(|seconds| serde_json::from_str(seconds.get())).transpose()?;
        Ok(Self { execution_time_seconds: run_time.unwrap_or_default(), further })
    }
}

/// The error of a failed task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// The code, which decides how the orchestrator continues.
    pub code: ErrorCode,
    /// A message for people.
    pub message: String,
    /// Details for programs, an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<RawValue>>,
}

/// The code of a failure, which decides how the orchestrator continues.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// An error that may pass: the task is dispatched again, up to 3 times.
    Transient,
    /// An error that will not pass: the job is quarantined.
    Permanent,
    /// The parameters are not valid: the job fails.
    InvalidInput,
    /// A file does not match its metadata: the job fails.
    IntegrityMismatch,
    /// The task exceeded its time limit: dispatched again.
    Timeout,
    /// Memory, disk or another resource ran out: dispatched again.
    ResourceExhausted,
    /// A fault of the worker: dispatched again.
    Internal,
    /// A limit was reached: dispatched again.
    LimitExceeded,
    /// A dependency is missing: dispatched again.
    DependencyMissing,
    /// A dependency failed: quarantined.
    Dependency,
    /// The task was refused for security reasons: quarantined.
    Security,
    /// Input or output violates the agreed contract: quarantined.
    ContractViolation,
    /// Any other code; the orchestrator treats it as transient.
    Other(Box<str>),
}

impl ErrorCode {
    const NAMES: [(Self, &'static str); 12] = [
        (Self::Transient, "TRANSIENT_ERROR"),
        (Self::Permanent, "PERMANENT_ERROR"),
        (Self::InvalidInput, "INVALID_INPUT_ERROR"),
        (Self::IntegrityMismatch, "INTEGRITY_MISMATCH_ERROR"),
        (Self::Timeout, "TIMEOUT_ERROR"),
        (Self::ResourceExhausted, "RESOURCE_EXHAUSTED_ERROR"),
        (Self::Internal, "INTERNAL_ERROR"),
        (Self::LimitExceeded, "LIMIT_EXCEEDED_ERROR"),
        (Self::DependencyMissing, "DEPENDENCY_MISSING_ERROR"),
        (Self::Dependency, "DEPENDENCY_ERROR"),
        (Self::Security, "SECURITY_ERROR"),
        (Self::ContractViolation, "CONTRACT_VIOLATION_ERROR"),
    ];

    /// Returns the code as sent and received.
    pub fn as_str(&self) -> &str {
        if let Self::Other(code) = self {
            return code;
        }
        let known = Self::NAMES.iter().find(|(code, _)| code == self);
        known.expect("every code but `Other` has a name").1
    }

    /// Returns whether the orchestrator dispatches the task again after this code.
    pub fn is_retried(&self) -> bool {
        !matches!(
            self,
            Self::Permanent
                | Self::Security
                | Self::Dependency
                | Self::ContractViolation
                | Self::InvalidInput
                | Self::IntegrityMismatch
        )
    }
}

impl From<&str> for ErrorCode {
    fn from(code: &str) -> Self {
        let known = Self::NAMES.iter().find(|(_, name)| *name == code);
        known.map_or_else(|| Self::Other(code.into()), |(known, _)| known.clone())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

/// The answer to a result, as far as a worker uses it. Fields of the wrong type count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultAnswer {
    /// `ok` (1.0b2), `accepted` or `ignored` (1.0b17).
    pub status: Option<String>,
    /// The reason for ignoring the result: `stale_task`, `job_cancelled` and others.
    pub reason: Option<String>,
    /// The transition of the job that the result caused.
    pub transition: Option<String>,
}

impl ResultAnswer {
    /// Reads the body of a 2xx answer. A body that cannot be read counts as acceptance.
    pub fn read(body: &[u8]) -> Self {
        // Checked once: reading from bytes would check every single string.
        let text = std::str::from_utf8(body).ok();
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Returns whether the orchestrator ignored the result. This is final: the result must not be sent again.
    pub fn is_ignored(&self) -> bool {
        self.status.as_deref() == Some("ignored")
    }
}

impl<'de> Deserialize<'de> for ResultAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [status, reason, transition] = texts(deserializer, ["status", "reason", "transition"])?;
        Ok(Self { status, reason, transition })
    }
}
