//! Options that are one of a few words.

/// How several orchestrators are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultiOrchestratorMode {
    /// One at a time, the first that is healthy.
    Failover,
    /// All, in proportion to their weights.
    RoundRobin,
    /// All, in order of priority.
    Waterfall,
}

/// How a full worker reports itself. The guide tells when to use which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapacityReporting {
    /// Busy when full, as the reference promises. The real orchestrators quarantine a job within milliseconds when
    /// no worker is idle.
    Strict,
    /// Idle even when full, only polling less: tasks wait in the orchestrator's queue for this worker.
    Queue,
}

/// What becomes of polls that are open at shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownPolls {
    /// Awaited where a successor with the same id could lose a task to them, else let go.
    Auto,
    /// Always awaited, within the shutdown limit.
    Await,
    /// Always let go, 1 s after the orchestrator acknowledged that the worker is busy.
    Drop,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// From which level on log lines are written.
pub type LogLevel = tracing::Level;
