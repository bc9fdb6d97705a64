//! A result in the outbox, and how results are treated.

use std::time::Duration;

use bytes::Bytes;
use rxon::{JobId, TaskId};

use crate::delivery::record::Key;
use crate::files::DirectoryGuard;

/// How results are treated.
#[derive(Debug, Clone)]
pub(crate) struct OutboxSettings {
    /// The number of tries before a result is kept; at least one is made.
    pub(crate) quick_tries: u32,
    /// The delay before the second try.
    pub(crate) first_delay: Duration,
    /// The age at which a result that was never acknowledged is given up.
    pub(crate) max_age: Duration,
    /// Whether a result that an older orchestrator may have received is sent again.
    pub(crate) resend_ambiguous: bool,
    /// The number of orchestrators that share the limits of the room for results.
    pub(crate) sharers: usize,
}

/// A result.
#[derive(Debug, Clone)]
pub(crate) struct OutboxEntry {
    pub(crate) task_id: TaskId,
    pub(crate) job_id: JobId,
    /// The JSON of the result, not sealed.
    pub(crate) body: Bytes,
    /// The result replaces one that was refused.
    pub(crate) is_replacement: bool,
    /// The belongings of the task, until the result is acknowledged or kept.
    pub(crate) belongings: Option<DirectoryGuard>,
    /// The number of the result on disk, if it is kept there.
    pub(crate) stored: Option<Key>,
}
