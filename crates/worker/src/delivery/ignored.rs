//! Results that an orchestrator has no use for, for whoever wants to know.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rxon::{JobId, TaskId};

use crate::threads::panic_message;

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

/// What the user does about it.
#[derive(Clone)]
pub(crate) struct OnIgnored(Arc<dyn Fn(&IgnoredResult) + Send + Sync>);

impl OnIgnored {
    pub(crate) fn new(hook: impl Fn(&IgnoredResult) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    /// A panic of the hook harms nothing but itself.
    pub(super) fn call(&self, result: &IgnoredResult) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.0)(result))) {
            tracing::error!("what is to be done with ignored results panicked: {}", panic_message(&*payload));
        }
    }
}

impl fmt::Debug for OnIgnored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OnIgnored")
    }
}
