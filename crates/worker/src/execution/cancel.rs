//! The handle that tells a task to stop, and the causes.

use std::sync::OnceLock;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::task::outcome::{Outcome, TaskError};

/// The reason a task is told to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A command of the orchestrator.
    Command,
    /// The task exceeded its time limit.
    TimeLimit(Duration),
    /// The task's deadline has passed: its result would arrive too late.
    Deadline,
    /// The worker is ending.
    Shutdown,
}

impl Cause {
    /// The outcome that is reported for a task stopped for this reason.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Command => Outcome::Cancelled { reason: "cancelled by the orchestrator".to_owned() },
            Self::TimeLimit(limit) => Outcome::Failed(TaskError::timeout(format!(
                "the task took longer than its limit of {limit:?}"
            ))),
            Self::Deadline => Outcome::Failed(TaskError::timeout("the task's deadline has passed")),
            Self::Shutdown => Outcome::Failed(TaskError::transient("worker shut down")),
        }
    }
}

/// Tells one task to stop. The first cause counts.
#[derive(Debug, Default)]
pub(crate) struct CancelHandle {
    cause: OnceLock<Cause>,
    /// The token that the handler sees.
    pub(super) token: CancellationToken,
}

impl CancelHandle {
    /// Tells the task to stop. Returns the cause that counts, which is the first.
    pub(crate) fn cancel(&self, cause: Cause) -> &Cause {
        let first = self.cause.get_or_init(|| cause);
        self.token.cancel();
        first
    }

    /// The reason the task was told to stop, if it was.
    pub(crate) fn cause(&self) -> Option<&Cause> {
        self.cause.get()
    }

    /// Waits until the task is told to stop.
    pub(crate) async fn caused(&self) -> Cause {
        self.token.cancelled().await;
        self.cause.get().cloned().expect("the cause is set before the token")
    }
}
