//! How a task ended, as sent.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::FileMetadata;
use super::reading::{or_default, text};
use crate::{JobId, TaskId, WorkerId};

/// `POST /_worker/tasks/result`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskResult {
    /// The job the task belongs to.
    pub job_id: JobId,
    /// The task.
    pub task_id: TaskId,
    /// Who ran it.
    pub worker_id: WorkerId,
    /// The same, unless it was relayed (1.0b17).
    pub origin_worker_id: WorkerId,
    /// `success`, `failure`, `cancelled`, or a status of the user's.
    pub status: String,
    /// An object; passed on byte by byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Files in `data`, by key path such as `a.b[0]`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub data_metadata: BTreeMap<String, FileMetadata>,
    /// What it took (1.0b17); on success only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
}

impl TaskResult {
    /// The result of a task that failed for this reason, without data.
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
            costs: None,
        }
    }
}

/// What a task took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Seconds, with four decimals.
    pub execution_time_seconds: f64,
}

/// Why a task failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// Decides what becomes of the job.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// For programs: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<RawValue>>,
}

/// Decides what the orchestrator does with a failed task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// May pass: dispatched again, up to 3 times.
    Transient,
    /// Will not pass: the job is quarantined.
    Permanent,
    /// The parameters are wrong: the job fails.
    InvalidInput,
    /// A file is not what its metadata says: the job fails.
    IntegrityMismatch,
    /// It took too long: dispatched again.
    Timeout,
    /// Memory, disk or another resource ran out: dispatched again.
    ResourceExhausted,
    /// A fault of the worker: dispatched again.
    Internal,
    /// A limit was reached: dispatched again.
    LimitExceeded,
    /// Something it depends on is not there: dispatched again.
    DependencyMissing,
    /// Something it depends on failed: quarantined.
    Dependency,
    /// Refused for security: quarantined.
    Security,
    /// Input or output is not what was agreed: quarantined.
    ContractViolation,
    /// Any other; the orchestrator treats it as transient.
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

    /// The code as it travels.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(code) => code,
            known => Self::NAMES
                .iter()
                .find_map(|(code, name)| (code == known).then_some(*name))
                .expect("every code but `Other` has a name"),
        }
    }

    /// Whether the orchestrator dispatches the task again after this code.
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
        Self::NAMES
            .iter()
            .find_map(|(known, name)| (*name == code).then(|| known.clone()))
            .unwrap_or_else(|| Self::Other(code.into()))
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

/// The answer to a result, as far as it matters to a worker. Fields of the wrong type count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Map<String, Value>")]
pub struct ResultAnswer {
    /// `ok` (1.0b2), `accepted` or `ignored` (1.0b17).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why it was ignored: `stale_task`, `job_cancelled` and others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the job did with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transition: Option<String>,
}

impl ResultAnswer {
    /// Reads the body of a 2xx answer; what cannot be read says nothing, and counts as accepted.
    pub fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// Whether the orchestrator had no use for the result. Final: nothing is to be sent again.
    pub fn is_ignored(&self) -> bool {
        self.status.as_deref() == Some("ignored")
    }
}

impl From<Map<String, Value>> for ResultAnswer {
    fn from(mut fields: Map<String, Value>) -> Self {
        Self {
            status: text(&mut fields, "status"),
            reason: text(&mut fields, "reason"),
            transition: text(&mut fields, "transition"),
        }
    }
}
