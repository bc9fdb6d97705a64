//! The delivery of results: each is kept until an orchestrator has acknowledged it.
//!
//! [`outbox`] decides, purely, when each result is sent and what an answer means. [`desk`] is where results are handed in
//! and where their state is kept; [`sender`] sends them. [`spool`] keeps them on disk, as [`record`]s, if that is
//! configured. [`recent`]
//! remembers results that were handed in, for tasks that are dispatched twice; [`ignored`] tells the user of results
//! that an orchestrator has no use for; [`counts`] counts what became of results.

mod counts;
mod desk;
mod ignored;
mod outbox;
mod recent;
mod record;
mod sender;
#[cfg(feature = "durable")]
mod spool;
#[cfg(not(feature = "durable"))]
#[path = "no_spool.rs"]
mod spool;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rxon::model::TaskResult;

pub(crate) use self::counts::DeliveryCounts;
pub(crate) use self::desk::Delivery;
pub use self::ignored::IgnoredResult;
pub(crate) use self::ignored::OnIgnored;
pub(crate) use self::outbox::{OutboxEntry, OutboxSettings};
pub(crate) use self::spool::{OpenedSpool, Spool};
use crate::files::DirectoryGuard;

/// The number of results that are sent to one orchestrator at once.
const SENDERS: usize = 8;

/// The size in bytes from which a result is warned about: the known orchestrators take at most 1 MiB.
const LARGE_RESULT: usize = 900 << 10;

impl Delivery {
    /// Hands in a result. It is sent as soon as it is on disk (if it is kept there) and a sender is free.
    pub(crate) async fn push(self: &Arc<Self>, result: &TaskResult) {
        self.push_with(result, None).await;
    }

    /// Hands in a result with the belongings of its task, which are dropped once the result is acknowledged or its quick
    /// tries have ended.
    pub(crate) async fn push_with(self: &Arc<Self>, result: &TaskResult, belongings: Option<DirectoryGuard>) {
        let body = match serde_json::to_vec(result) {
            Ok(body) => Bytes::from(body),
            Err(error) => {
                tracing::error!(task_id = %result.task_id.shown(), %error, "the result cannot be written as JSON");
                self.abandon(&result.task_id);
                return;
            }
        };
        if body.len() > LARGE_RESULT {
            tracing::warn!(
                task_id = %result.task_id.shown(),
                bytes = body.len(),
                "the result is large: orchestrators take at most 1 MiB; return large data as files"
            );
        }
        let entry = OutboxEntry {
            task_id: result.task_id.clone(),
            job_id: result.job_id.clone(),
            body,
            is_replacement: false,
            belongings,
            stored: None,
        };
        self.start_senders();
        self.add(entry).await;
    }

    /// Sends a result again for a task that was dispatched again, unless one of the task's results is on its way.
    pub(crate) async fn repeat(self: &Arc<Self>, result: OutboxEntry) {
        self.start_senders();
        self.add_again(result).await;
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

/// Gives each orchestrator the results on disk that are for it. Results for others stay in the file until their
/// orchestrator is configured again, or until they are too old.
pub(crate) fn distribute(
    (spool, results): OpenedSpool,
    deliveries: &[Arc<Delivery>],
    max_age: Duration,
) -> Arc<Spool> {
    desk::keeping::distribute(&spool, results, deliveries, max_age);
    for delivery in deliveries.iter().filter(|delivery| delivery.unacknowledged() > 0) {
        delivery.start_senders();
    }
    spool
}
