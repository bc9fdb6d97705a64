//! Results that an orchestrator has no use for.

use std::sync::Arc;

use rxon::{JobId, TaskId};

use crate::threads::hook::Hook;

/// A result that its orchestrator answered with `ignored`: it came too late, or its job has ended. It is not sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IgnoredResult {
    /// The id of the task.
    pub task_id: TaskId,
    /// The id of the job.
    pub job_id: JobId,
    /// The address of the orchestrator, without credentials.
    pub orchestrator: Arc<str>,
    /// The orchestrator's reason, such as `stale_task`, `job_cancelled` or `job_already_terminated`.
    pub reason: String,
}

/// The user's function for ignored results.
pub(crate) type OnIgnored = Hook<IgnoredResult>;
