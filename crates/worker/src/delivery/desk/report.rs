//! The report of verdicts on results: in the log, in the counts, and to the user's function for ignored results.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use rxon::{JobId, TaskId};

use crate::delivery::outbox::{OutboxEntry, Reply, Verdict};
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

/// The counters of results for all orchestrators.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeliveryCounts(Family<Vec<(&'static str, String)>, Counter>);

impl DeliveryCounts {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("results", "Results by orchestrator and verdict", self.0.clone());
    }
}

/// Reports the verdicts on results of one orchestrator.
#[derive(Debug)]
pub(super) struct Reporter {
    orchestrator: Arc<str>,
    on_ignored: Option<OnIgnored>,
    acknowledged: Counter,
    ignored: Counter,
    replaced: Counter,
    rejected: Counter,
}

impl Reporter {
    pub(super) fn new(name: Arc<str>, on_ignored: Option<OnIgnored>, counts: &DeliveryCounts) -> Self {
        let verdicts = ["acknowledged", "ignored", "replaced", "rejected"];
        let [acknowledged, ignored, replaced, rejected] = verdicts.map(|verdict| {
            let labels = vec![("orchestrator", name.to_string()), ("verdict", verdict.to_owned())];
            counts.0.get_or_create_owned(&labels)
        });
        Self { orchestrator: name, on_ignored, acknowledged, ignored, replaced, rejected }
    }

    /// Logs and counts a verdict: one line where a state changes.
    pub(super) fn report(&self, entry: &OutboxEntry, reply: &Reply, verdict: &Verdict) {
        // Secrets are masked in the ids of lines that are written, and in no others.
        let OutboxEntry { task_id, job_id, .. } = entry;
        let orchestrator = &self.orchestrator;
        match verdict {
            Verdict::Acknowledged => {
                self.acknowledged.inc();
                tracing::debug!(
                    task_id = %task_id.shown(), job_id = %job_id.shown(), %orchestrator,
                    "result acknowledged"
                );
            }
            Verdict::Ignored(reason) => {
                let ignored = self.ignored.inc() + 1;
                tracing::warn!(
                    task_id = %task_id.shown(), job_id = %job_id.shown(), %orchestrator, reason, ignored,
                    "the orchestrator ignored the result"
                );
                if let Some(hook) = &self.on_ignored
                    && let Err(panicked) = hook.call(&IgnoredResult {
                        task_id: task_id.clone(),
                        job_id: job_id.clone(),
                        orchestrator: orchestrator.clone(),
                        reason: reason.clone(),
                    })
                {
                    tracing::error!("{panicked}");
                }
            }
            Verdict::Later { delay, newly_kept: true } => {
                tracing::warn!(
                    task_id = %task_id.shown(), job_id = %job_id.shown(), %orchestrator,
                    reason = reply.reason(), ?delay,
                    "the result is not sent after its quick tries: it is kept, and offered every 30 s"
                );
            }
            Verdict::Later { delay, .. } | Verdict::Unauthorized(delay) => {
                tracing::debug!(
                    task_id = %task_id.shown(), job_id = %job_id.shown(), %orchestrator, ?delay,
                    "result not sent, tried again"
                );
            }
            Verdict::Silence(silence) => {
                tracing::debug!(%orchestrator, ?silence, "no result is sent for a while (429)");
            }
            Verdict::Replace(problem) => {
                self.replaced.inc();
                tracing::error!(
                    task_id = %task_id.shown(), job_id = %job_id.shown(), %orchestrator, problem,
                    reason = reply.reason(),
                    "a failure replaces the result"
                );
            }
            Verdict::Rejected(why) => {
                self.rejected.inc();
                tracing::error!(
                    task_id = %task_id.shown(), job_id = %job_id.shown(), %orchestrator, why,
                    reason = reply.reason(), "the result is given up"
                );
            }
        }
    }
}
