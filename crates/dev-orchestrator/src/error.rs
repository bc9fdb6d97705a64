//! The errors of submitting, waiting, cancelling and retrying.

use rxon::JobId;

/// The reason why a task could not be submitted, found, cancelled or retried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The task is invalid. The text names the invalid value and the expected ones.
    #[error("{0}")]
    InvalidTask(String),
    /// The switch of a fault is invalid. The text names the invalid value and the expected ones.
    #[error("{0}")]
    InvalidFault(String),
    /// The limit of waiting and running tasks is reached. Try again when some have ended.
    #[error("{limit} tasks are waiting or running, which is the limit: try again when some have ended")]
    QueueFull {
        /// [`Settings::with_queue_limit`](crate::Settings::with_queue_limit).
        limit: usize,
    },
    /// The waiting and running tasks take all the memory that is allowed. Try again when some have ended.
    #[error(
        "the waiting and running tasks take all of the {limit} bytes allowed: try again when some have ended"
    )]
    OutOfMemory {
        /// [`Settings::with_memory_limit`](crate::Settings::with_memory_limit).
        limit: usize,
    },
    /// The task is unknown: the id is wrong, or the task ended so long ago that it was removed.
    #[error("no task has the job or task id `{0}`: it never existed here, or it has ended and was removed")]
    UnknownTask(String),
    /// The task has ended, so it cannot be cancelled.
    #[error("`{job_id}` is already {status}: only a waiting or running task can be cancelled")]
    AlreadyEnded {
        /// The job id of the task.
        job_id: JobId,
        /// The status it ended with.
        status: crate::view::TaskStatus,
    },
    /// The task has not ended, so it cannot be retried.
    #[error("`{job_id}` is {status}: only a task that has ended can be retried")]
    NotEnded {
        /// The job id of the task.
        job_id: JobId,
        /// The current status.
        status: crate::view::TaskStatus,
    },
    /// The orchestrator was shut down meanwhile.
    #[error("the orchestrator was shut down")]
    ShutDown,
}
