//! What can go wrong for those who submit tasks.

use rxon::JobId;

/// Why a task was not submitted, found or cancelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The task is not one. The text says what was wrong and what was expected.
    #[error("{0}")]
    InvalidTask(String),
    /// As many tasks as allowed wait or run. Try again when some have ended.
    #[error("{limit} tasks wait or run already, which is the limit: try again when some have ended")]
    QueueFull {
        /// [`Settings::with_queue_limit`](crate::Settings::with_queue_limit).
        limit: usize,
    },
    /// The tasks that wait or run take all the memory they may. Try again when some have ended.
    #[error(
        "the tasks that wait or run take all of the {limit} bytes they may: try again when some have ended"
    )]
    OutOfMemory {
        /// [`Settings::with_memory_limit`](crate::Settings::with_memory_limit).
        limit: usize,
    },
    /// Nobody knows the task: the id is wrong, or it ended so long ago that it was forgotten.
    #[error("no task has the job or task id `{0}`: it never existed here, or it ended and was forgotten")]
    UnknownTask(String),
    /// It has ended, so there is nothing to cancel.
    #[error("`{job_id}` is {status} already: only a task that waits or runs can be cancelled")]
    AlreadyEnded {
        /// The task.
        job_id: JobId,
        /// How it ended.
        status: crate::TaskStatus,
    },
    /// The orchestrator was shut down meanwhile.
    #[error("the orchestrator was shut down")]
    ShutDown,
}
