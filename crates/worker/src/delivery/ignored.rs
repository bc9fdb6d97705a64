//! Results that an orchestrator has no use for.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rxon::{JobId, TaskId};

use crate::threads::panic_message;

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

/// The user's hook for ignored results.
#[derive(Clone)]
pub(crate) struct OnIgnored(Arc<dyn Fn(&IgnoredResult) + Send + Sync>);

impl OnIgnored {
    pub(crate) fn new(hook: impl Fn(&IgnoredResult) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    /// Calls the hook. A panic in it is logged, and harms nothing else.
    pub(super) fn call(&self, result: &IgnoredResult) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.0)(result))) {
            tracing::error!("`on_ignored_result` panicked: {}", panic_message(&*payload));
        }
    }
}

impl fmt::Debug for OnIgnored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OnIgnored")
    }
}
