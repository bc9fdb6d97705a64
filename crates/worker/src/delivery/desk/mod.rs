//! The desk where results of one orchestrator are handed in, and where senders fetch them.

pub(super) mod keeping;
pub(super) mod report;

use std::sync::{Arc, Mutex, Once, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use rxon::limit::Alarm;
use rxon::model::{ErrorCode, Failure};
use rxon::{TaskId, WorkerId};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::report::{DeliveryCounts, OnIgnored, Reporter};
use super::outbox::{Id, Outbox, OutboxEntry, OutboxSettings, Reply, Verdict};
use super::recent::{Recent, Seen};
use super::record::failure_body;
use super::spool::Spool;
use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::peer::Peer;
use crate::peer::answer::{Answer, Exchange};
use crate::threads::lock;

/// The number of unacknowledged results beyond which no further task is asked for; several orchestrators share it.
const MAX_RESULTS: usize = 10_000;

/// The size of unacknowledged results in bytes beyond which no further task is asked for, likewise shared.
const MAX_BYTES: usize = 256 << 20;

/// The results of one orchestrator, behind one lock.
#[derive(Debug)]
pub(crate) struct DeskState {
    pub(crate) outbox: Outbox,
    pub(crate) recent: Recent,
    /// The lack of room was logged.
    is_full: bool,
}

/// A change of the room for results, for the log.
#[derive(Debug, Clone, Copy)]
struct RoomChange {
    is_full: bool,
    results: usize,
    bytes: usize,
    max_results: usize,
    max_bytes: usize,
}

impl DeskState {
    fn limits(&self) -> (usize, usize) {
        let sharers = self.outbox.settings.sharers;
        (MAX_RESULTS / sharers, MAX_BYTES / sharers)
    }

    fn has_room(&self) -> bool {
        let (max_results, max_bytes) = self.limits();
        self.outbox.len() < max_results && self.outbox.bytes < max_bytes
    }

    /// Returns the change of the room, if it is worth a log line. Room is back only when a tenth of it is free: otherwise
    /// results that come and go at the limit would log a line each.
    fn take_room_change(&mut self) -> Option<RoomChange> {
        let (max_results, max_bytes) = self.limits();
        let (results, bytes) = (self.outbox.len(), self.outbox.bytes);
        let is_full = if self.is_full {
            results > max_results / 10 * 9 || bytes > max_bytes / 10 * 9
        } else {
            !self.has_room()
        };
        let has_changed = std::mem::replace(&mut self.is_full, is_full) != is_full;
        has_changed.then_some(RoomChange { is_full, results, bytes, max_results, max_bytes })
    }
}

/// The delivery of results to one orchestrator.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(super) peer: Arc<Peer>,
    worker_id: WorkerId,
    heartbeat_trigger: Arc<HeartbeatTrigger>,
    reporter: Reporter,
    state: Mutex<DeskState>,
    /// A result is ready, or the time of one has changed.
    changed: Notify,
    /// A try has ended.
    settled: Notify,
    pub(super) tracker: TaskTracker,
    pub(super) start: Once,
    /// Ends the senders. Results that are not acknowledged stay in the outbox.
    pub(crate) closed: CancellationToken,
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
        let recent = Recent::new(settings.sharers);
        let outbox = Outbox::new(settings, peer.gate(Exchange::Result).clone(), Rng::new());
        Arc::new(Self {
            reporter: Reporter::new(peer.name.clone(), on_ignored, counts),
            peer,
            worker_id,
            heartbeat_trigger,
            state: Mutex::new(DeskState { outbox, recent, is_full: false }),
            changed: Notify::new(),
            settled: Notify::new(),
            tracker,
            start: Once::new(),
            closed: CancellationToken::new(),
            spool: OnceLock::new(),
        })
    }

    /// Changes the results, and wakes a sender.
    pub(super) fn change(&self, change: impl FnOnce(&mut DeskState, Instant)) {
        let room_change = {
            let mut state = lock(&self.state);
            change(&mut state, Instant::now());
            state.take_room_change()
        };
        self.log_room(room_change);
        // The sender that was busy last: the connections of the others can be closed.
        self.changed.notify_last();
    }

    /// Takes the next result to send, which is in flight then. Returns `None` if there was none for as long as `patience`.
    ///
    /// # Cancel safety
    /// Dropped, it takes no result.
    pub(super) async fn next(
        &self,
        alarm: &mut Alarm,
        patience: Option<Duration>,
    ) -> Option<(Id, OutboxEntry)> {
        let mut give_up_at = None;
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let due = {
                let mut state = lock(&self.state);
                if let Some(taken) = state.outbox.take(now) {
                    if state.outbox.has_more() {
                        self.changed.notify_last();
                    }
                    return Some(taken);
                }
                state.recent.forget_old(now);
                state.outbox.next_due(now).into_iter().chain(state.recent.forgets_at()).min()
            };
            let give_up_at = give_up_at.get_or_insert_with(|| patience.map(|patience| now + patience));
            if give_up_at.is_some_and(|at| at <= now) {
                return None;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = alarm.wait(due.into_iter().chain(*give_up_at).min()) => {}
            }
        }
    }

    /// Ends the try of a result that was in flight.
    pub(super) fn settle(&self, id: Id, entry: &OutboxEntry, reply: &Reply) {
        // Results give the fleet no sign.
        let answer = reply.answer();
        let line = answer.as_ref().map(|answer| self.peer.record(Exchange::Result, answer).1);
        let (verdict, room_change) = {
            let mut state = lock(&self.state);
            let had_room = state.has_room();
            let verdict = self.conclude(&mut state, id, entry, reply, answer.as_ref());
            if state.has_room() != had_room {
                // A worker that was busy because of its results is idle again, or the other way round.
                self.heartbeat_trigger.on_change();
            }
            (verdict, state.take_room_change())
        };
        self.settled.notify_waiters();
        if let (Some(line), Some(Verdict::Later { delay, .. } | Verdict::Unauthorized(delay))) =
            (line, &verdict)
        {
            line.again_in(*delay);
        }
        if let Some(verdict) = verdict {
            self.reporter.report(entry, reply, &verdict);
        }
        self.log_room(room_change);
    }

    /// Takes the verdict on a reply and carries it out, on disk too.
    fn conclude(
        &self,
        state: &mut DeskState,
        id: Id,
        entry: &OutboxEntry,
        reply: &Reply,
        answer: Option<&Answer<'_>>,
    ) -> Option<Verdict> {
        let now = Instant::now();
        let verdict = state.outbox.on_reply(id, reply, answer, now)?;
        match &verdict {
            Verdict::Acknowledged | Verdict::Ignored(_) => {
                state.recent.acknowledge(&entry.task_id);
                self.unstore(entry.stored);
            }
            Verdict::Replace(problem) => {
                let body = self.replacement(entry, problem, &reply.reason());
                let stored = self.store_instead(entry, body.clone(), with_reason(problem, reply));
                state.recent.remember(entry.task_id.clone(), body.clone(), now);
                state.outbox.replace(id, body, stored, now);
            }
            Verdict::Rejected(why) => self.unstore_as_rejected(entry.stored, with_reason(why, reply)),
            Verdict::Later { .. } | Verdict::Silence(_) | Verdict::Unauthorized(_) => {
                // It was not received, so that it may be sent again.
                if !state.outbox.settings.resend_ambiguous
                    && let Some((spool, key)) = self.spool.get().zip(entry.stored)
                {
                    spool.change(|ledger| ledger.set_in_flight(key, false));
                }
            }
        }
        Some(verdict)
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
        failure_body(&entry.job_id, &entry.task_id, &self.worker_id, failure)
    }

    fn log_room(&self, change: Option<RoomChange>) {
        let Some(RoomChange { is_full, results, bytes, max_results, max_bytes }) = change else { return };
        let orchestrator = &self.peer.name;
        // Not in the span of a task: the limit is not the concern of the task whose result reached it.
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
        let seen = state.recent.find(task_id, Instant::now);
        // It may have waited for longer than results are remembered.
        seen.or_else(|| is_on_its_way.then(Seen::default)).map(|seen| (seen, is_on_its_way))
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
        // Pollers ask before every poll, and hardly ever have to wait.
        if is_done(&lock(&self.state)) {
            return;
        }
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

    /// Drops the belongings of tasks whose results are not acknowledged: the results are not sent any more.
    pub(crate) fn drop_belongings(&self) {
        lock(&self.state).outbox.drop_belongings();
    }
}

fn with_reason(why: &str, reply: &Reply) -> String {
    let reason = reply.reason();
    if reason.is_empty() { why.to_owned() } else { format!("{why}: {reason}") }
}

#[cfg(test)]
mod tests;
