//! Results that an orchestrator has no use for, for whoever wants to know.

use std::sync::Arc;

use rxon::{JobId, TaskId};

use crate::threads::hook::Hook;

/// A result that its orchestrator has answered with `ignored`: it came too late, or for a job that has ended. It is
/// not sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IgnoredResult {
    /// The task.
    pub task_id: TaskId,
    /// Its job.
    pub job_id: JobId,
    /// The address of the orchestrator, without credentials.
    pub orchestrator: Arc<str>,
    /// Why, in the orchestrator's word, such as `stale_task`, `job_cancelled` or `job_already_terminated`.
    pub reason: String,
}

/// The user's function for ignored results.
pub(crate) type OnIgnored = Hook<IgnoredResult>;
