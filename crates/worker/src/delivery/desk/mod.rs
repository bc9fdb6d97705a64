//! The desk where results of one orchestrator are handed in, and where senders fetch them.

pub(super) mod keeping;
mod state;

use std::sync::{Arc, Mutex, Once, OnceLock};

use bytes::Bytes;
use fastrand::Rng;
use rxon::model::{ErrorCode, Failure, TaskResult};
use rxon::{TaskId, WorkerId};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::state::{DeskState, RoomChange};
use super::counts::{DeliveryCounts, ResultCounters};
use super::ignored::{IgnoredResult, OnIgnored};
use super::outbox::{Id, Outbox, OutboxEntry, OutboxSettings, Reply, Verdict};
use super::recent::Seen;
use super::spool::Spool;
use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::peer::Peer;
use crate::peer::answer::Exchange;
use crate::threads::{lock, until};

/// The delivery of results to one orchestrator.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(super) peer: Arc<Peer>,
    worker_id: WorkerId,
    heartbeat_trigger: Arc<HeartbeatTrigger>,
    on_ignored: Option<OnIgnored>,
    counters: ResultCounters,
    state: Mutex<DeskState>,
    /// A result is ready, or the time of one has changed.
    changed: Notify,
    /// A try has ended.
    settled: Notify,
    pub(super) tracker: TaskTracker,
    pub(super) start: Once,
    pub(super) closed: CancellationToken,
    /// The results on disk, if they are kept there.
    spool: OnceLock<Arc<Spool>>,
}

impl Delivery {
    /// A delivery whose senders are not started yet; `tracker` tracks them.
    pub(crate) fn new(
        peer: Arc<Peer>,
        worker_id: WorkerId,
        settings: OutboxSettings,
        heartbeat_trigger: Arc<HeartbeatTrigger>,
        on_ignored: Option<OnIgnored>,
        counts: &DeliveryCounts,
        tracker: TaskTracker,
    ) -> Arc<Self> {
        let sharers = settings.sharers;
        let outbox = Outbox::new(settings, peer.gate(Exchange::Result).clone(), Rng::new());
        Arc::new(Self {
            counters: counts.counters(&peer.name),
            peer,
            worker_id,
            heartbeat_trigger,
            on_ignored,
            state: Mutex::new(DeskState::new(outbox, sharers)),
            changed: Notify::new(),
            settled: Notify::new(),
            tracker,
            start: Once::new(),
            closed: CancellationToken::new(),
            spool: OnceLock::new(),
        })
    }

    /// Adds a result. Returns when it is on disk, if it is kept there.
    pub(super) async fn add(&self, mut entry: OutboxEntry) {
        entry.stored = self.store(&entry).await;
        self.change(|state, now| state.add(entry, now));
    }

    /// Adds a result that was handed in before, unless one of its task is on its way.
    pub(super) async fn add_again(&self, mut entry: OutboxEntry) {
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

    /// Changes the results, and wakes a sender.
    fn change(&self, change: impl FnOnce(&mut DeskState, Instant)) {
        let room_change = {
            let mut state = lock(&self.state);
            change(&mut state, Instant::now());
            state.take_room_change()
        };
        self.log_room(room_change);
        // The sender that was busy last: the connections of the others can be closed.
        self.changed.notify_last();
    }

    /// Takes the next result to send, which is in flight then.
    ///
    /// # Cancel safety
    /// Dropped, it takes no result.
    pub(super) async fn next(&self) -> (Id, OutboxEntry) {
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let due = {
                let mut state = lock(&self.state);
                if let Some(taken) = state.outbox.take(now) {
                    let has_more = state.outbox.has_more();
                    drop(state);
                    if has_more {
                        self.changed.notify_last();
                    }
                    return taken;
                }
                state.outbox.next_due(now)
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = until(due) => {}
            }
        }
    }

    /// Ends the try of a result that was in flight.
    pub(super) fn settle(&self, id: Id, entry: &OutboxEntry, reply: &Reply) {
        if let Some(answer) = reply.answer() {
            // Results give the fleet no sign.
            let _ = self.peer.record(Exchange::Result, &answer);
        }
        let (verdict, room_change) = {
            let mut state = lock(&self.state);
            let had_room = state.has_room();
            let verdict = self.conclude(&mut state, id, entry, reply);
            if state.has_room() != had_room {
                // A worker that was busy because of its results is idle again, or the other way round.
                self.heartbeat_trigger.on_change();
            }
            (verdict, state.take_room_change())
        };
        self.settled.notify_waiters();
        self.report(entry, reply, &verdict);
        self.log_room(room_change);
    }

    /// Carries out the verdict, on disk too.
    fn conclude(&self, state: &mut DeskState, id: Id, entry: &OutboxEntry, reply: &Reply) -> Verdict {
        let now = Instant::now();
        let verdict = state.on_reply(id, &entry.task_id, reply, now);
        match &verdict {
            Verdict::Acknowledged | Verdict::Ignored(_) => self.unstore(entry.stored),
            Verdict::Replace(problem) => {
                let reason = reply.reason();
                let body = self.replacement(entry, problem, &reason);
                let stored = self.store_instead(entry, body.clone(), problem, &reason);
                state.recent.remember(entry.task_id.clone(), body.clone(), now);
                state.outbox.replace(id, body, stored, now);
            }
            Verdict::Rejected(why) => self.reject(entry, why, &reply.reason()),
            Verdict::Later { .. } | Verdict::Silence(_) | Verdict::Unauthorized(_) => {
                self.end_try(entry, state.outbox.resends_ambiguous());
            }
        }
        verdict
    }

    /// The failure that replaces a result.
    fn replacement(&self, entry: &OutboxEntry, problem: &str, reason: &str) -> Bytes {
        // A result that could not be sent got no answer.
        let details = (!reason.is_empty()).then(|| serde_json::json!({"reason": reason}));
        let failure = Failure {
            code: ErrorCode::Permanent,
            message: problem.to_owned(),
            details: details.and_then(|details| serde_json::value::to_raw_value(&details).ok()),
        };
        let (job_id, task_id) = (entry.job_id.clone(), entry.task_id.clone());
        let result = TaskResult::failure(job_id, task_id, self.worker_id.clone(), failure);
        serde_json::to_vec(&result).expect("texts always serialise").into()
    }

    /// Logs and counts a verdict: one line where a state changes.
    fn report(&self, entry: &OutboxEntry, reply: &Reply, verdict: &Verdict) {
        let (task_id, job_id) = (entry.task_id.shown(), entry.job_id.shown());
        let orchestrator = &self.peer.name;
        match verdict {
            Verdict::Acknowledged => {
                self.counters.acknowledged.inc();
                tracing::debug!(%task_id, %job_id, %orchestrator, "result acknowledged");
            }
            Verdict::Ignored(reason) => {
                let ignored = self.counters.ignored.inc() + 1;
                tracing::warn!(
                    %task_id, %job_id, %orchestrator, reason, ignored,
                    "the orchestrator ignored the result"
                );
                if let Some(hook) = &self.on_ignored
                    && let Err(panicked) = hook.call(&IgnoredResult {
                        task_id: entry.task_id.clone(),
                        job_id: entry.job_id.clone(),
                        orchestrator: orchestrator.clone(),
                        reason: reason.clone(),
                    })
                {
                    tracing::error!("{panicked}");
                }
            }
            Verdict::Later { delay, newly_kept: true } => {
                let reason = reply.reason();
                tracing::warn!(
                    %task_id, %job_id, %orchestrator, reason, ?delay,
                    "the result is not sent after its quick tries: it is kept, and offered again and again"
                );
            }
            Verdict::Later { delay, .. } | Verdict::Unauthorized(delay) => {
                tracing::debug!(%task_id, %job_id, %orchestrator, ?delay, "result not sent, tried again");
            }
            Verdict::Silence(silence) => {
                tracing::debug!(%orchestrator, ?silence, "no result is sent for a while (429)");
            }
            Verdict::Replace(problem) => {
                self.counters.replaced.inc();
                let reason = reply.reason();
                tracing::error!(%task_id, %job_id, %orchestrator, problem, reason, "a failure replaces the result");
            }
            Verdict::Rejected(why) => {
                self.counters.rejected.inc();
                let reason = reply.reason();
                tracing::error!(%task_id, %job_id, %orchestrator, why, reason, "the result is given up");
            }
        }
    }

    fn log_room(&self, change: Option<RoomChange>) {
        let Some(RoomChange { is_full, results, bytes, max_results, max_bytes }) = change else { return };
        let orchestrator = &self.peer.name;
        // Not in the span of a task: the task whose result was one too many has no part in it.
        if is_full {
            tracing::warn!(
                parent: None, %orchestrator, results, max_results, bytes, max_bytes,
                "polling pauses: the maximum of unacknowledged results is reached"
            );
        } else {
            tracing::info!(
                parent: None, %orchestrator, results, max_results, bytes, max_bytes,
                "polling goes on: there is room for results again"
            );
        }
    }

    /// Whether one more task may be asked for.
    pub(crate) fn has_room(&self) -> bool {
        lock(&self.state).has_room()
    }

    /// Waits until one more task may be asked for.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(crate) async fn room(&self) {
        self.until(DeskState::has_room).await;
    }

    /// The number of results that are not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        lock(&self.state).outbox.len()
    }

    /// Returns what is known of a task that ended in the last minutes, and whether its result is on its way.
    pub(crate) fn seen(&self, task_id: &TaskId) -> Option<(Seen, bool)> {
        let state = lock(&self.state);
        let is_on_its_way = state.outbox.holds(task_id);
        match state.recent.find(task_id, Instant::now()) {
            Some(seen) => Some((seen, is_on_its_way)),
            // It has waited for longer than results are remembered.
            None if is_on_its_way => Some((Seen { body: Bytes::new(), acknowledged: false }, true)),
            None => None,
        }
    }

    /// Waits until every result is acknowledged.
    pub(crate) async fn empty(&self) {
        self.until(|state| state.outbox.len() == 0).await;
    }

    /// Waits until every result is acknowledged, or was tried in vain since [`offer_all`](Self::offer_all).
    pub(crate) async fn all_tried(&self) {
        self.until(|state| state.outbox.all_tried(Instant::now())).await;
    }

    async fn until(&self, is_done: impl Fn(&DeskState) -> bool) {
        loop {
            let settled = self.settled.notified();
            if is_done(&lock(&self.state)) {
                return;
            }
            settled.await;
        }
    }

    /// Sends all waiting results now: the orchestrator is up again, or this is the last chance.
    pub(crate) fn offer_all(&self, despite_silence: bool) {
        self.change(|state, now| state.outbox.offer_all(despite_silence, now));
    }

    /// Drops the belongings of tasks whose results are not acknowledged: nobody will send them any more.
    pub(crate) fn drop_belongings(&self) {
        lock(&self.state).outbox.drop_belongings();
    }

    /// Ends the senders. Results that are not acknowledged stay in the outbox.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }
}

#[cfg(test)]
mod tests;
