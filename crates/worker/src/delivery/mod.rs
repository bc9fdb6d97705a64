//! The delivery of results: each is kept until an orchestrator has acknowledged it.
//!
//! [`outbox`] decides, purely, when each result is sent and what an answer means. [`desk`] is where results are handed in
//! and where their state is kept; [`sender`] sends them. [`spool`] keeps them on disk, as [`record`]s, if that is
//! configured. [`recent`] remembers results that were handed in, for tasks that are dispatched twice.

mod desk;
mod outbox;
mod recent;
mod record;
mod sender;
mod spool;

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use rxon::model::TaskResult;
use rxon::{JobId, TaskId};
use serde_json::value::RawValue;

pub(crate) use self::desk::Delivery;
pub(crate) use self::desk::keeping::distribute;
pub use self::desk::report::IgnoredResult;
pub(crate) use self::desk::report::{DeliveryCounts, OnIgnored};
use self::outbox::OutboxEntry;
pub(crate) use self::outbox::OutboxSettings;
pub(crate) use self::spool::Spool;
use crate::files::DirectoryGuard;

/// The number of results that are sent to one orchestrator at once.
const SENDERS: usize = 8;

/// The size in bytes from which a result is warned about: the known orchestrators take at most 1 MiB.
const LARGE_RESULT: usize = 900 << 10;

impl Delivery {
    /// Hands in a result with the belongings of its task, which are dropped once the result is acknowledged or its quick
    /// tries have ended. It is sent as soon as it is on disk (if it is kept there) and a sender is free.
    pub(crate) async fn push(self: &Arc<Self>, result: &TaskResult, belongings: Option<DirectoryGuard>) {
        let TaskResult { task_id, job_id, .. } = result;
        let body = match body(result) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(task_id = %task_id.shown(), %error, "the result cannot be written as JSON");
                return self.abandon(task_id);
            }
        };
        if body.len() > LARGE_RESULT {
            tracing::warn!(
                task_id = %task_id.shown(),
                bytes = body.len(),
                "the result is large: orchestrators take at most 1 MiB; return large data as files"
            );
        }
        let prepared = self.peer.seal.prepare(result).map(Arc::new);
        let entry = OutboxEntry::new(task_id.clone(), job_id.clone(), body);
        let mut entry = OutboxEntry { prepared, belongings, ..entry };
        self.start_senders();
        entry.stored = self.store(&entry).await;
        self.change(|state, now| {
            state.recent.remember(entry.task_id.clone(), entry.body.clone(), now);
            state.outbox.push(entry, now);
        });
    }

    /// Sends a result again for a task that was dispatched again, unless one of the task's results is on its way.
    pub(crate) async fn repeat(self: &Arc<Self>, task_id: TaskId, job_id: JobId, body: Bytes) {
        let mut entry = OutboxEntry::new(task_id, job_id, body);
        self.start_senders();
        entry.stored = self.store(&entry).await;
        let mut unneeded = None;
        self.change(|state, now| {
            if state.outbox.holds(&entry.task_id) {
                unneeded = entry.stored;
            } else {
                state.outbox.push(entry, now);
            }
        });
        self.unstore(unneeded);
    }

    /// Starts the senders where the first result is handed in: on the data path.
    fn start_senders(self: &Arc<Self>) {
        self.start.call_once(|| {
            for _ in 0..SENDERS {
                self.tracker.spawn(sender::run(self.clone()));
            }
        });
    }
}

/// The JSON of a result, not sealed. It may be kept for long, and so takes no more room than it needs: a small one is written
/// to a buffer that is used again, and copied.
fn body(result: &TaskResult) -> serde_json::Result<Bytes> {
    /// The usual length of everything but data.
    const ENVELOPE: usize = 320;
    /// The length up to which a copy costs less than giving room back.
    const SMALL: usize = 4 << 10;
    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let length = |json: &Option<Box<RawValue>>| json.as_ref().map_or(0, |json| json.get().len());
    let mut body = BUFFER.take();
    body.clear();
    body.reserve(ENVELOPE + length(&result.data) + length(&result.metadata));
    serde_json::to_writer(&mut body, result)?;
    if body.capacity() > SMALL {
        return Ok(body.into_boxed_slice().into());
    }
    let copy = Bytes::copy_from_slice(&body);
    BUFFER.set(body);
    Ok(copy)
}
