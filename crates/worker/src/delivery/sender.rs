//! Results, sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rxon::model::{ErrorCode, Failure, TaskResult};
use rxon::transport::{Operation, Request, Transport};
use rxon::{TaskId, WorkerId};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outbox::{Entry, Id, Outbox, Verdict};
use super::recent::{Recent, Seen};
use crate::session::Peer;

/// No more results than this are sent to one orchestrator at once.
const MAX_SENDERS: usize = 8;

/// Beyond this many unacknowledged results no further task is asked for.
const MAX_RESULTS: usize = 10_000;

/// Beyond this many bytes of them too.
const MAX_BYTES: usize = 256 << 20;

/// The orchestrators known take no more than 1 MiB: from here on it is warned about.
const LARGE_RESULT: usize = 900 << 10;

/// The results of one orchestrator, and those who send them.
#[derive(Debug)]
pub(crate) struct Delivery {
    peer: Arc<Peer>,
    worker_id: WorkerId,
    outbox: Mutex<Outbox>,
    recent: Mutex<Recent>,
    /// Something is ready, or the time of something has changed.
    changed: Notify,
    /// A try has ended.
    settled: Notify,
    /// Senders that live, and those of them that wait for something to send.
    senders: AtomicUsize,
    waiting: AtomicUsize,
    tracker: TaskTracker,
    closed: CancellationToken,
}

impl Delivery {
    pub(crate) fn new(
        peer: Arc<Peer>,
        worker_id: WorkerId,
        outbox: Outbox,
        tracker: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            peer,
            worker_id,
            outbox: Mutex::new(outbox),
            recent: Mutex::default(),
            changed: Notify::new(),
            settled: Notify::new(),
            senders: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            tracker,
            closed: CancellationToken::new(),
        })
    }

    /// Hands in a result. It is sent as soon as a sender is free.
    pub(crate) fn push(self: &Arc<Self>, result: &TaskResult) {
        let body = match serde_json::to_vec(result) {
            Ok(body) => Bytes::from(body),
            Err(error) => {
                tracing::error!(task_id = %result.task_id, %error, "the result cannot be written as JSON");
                return;
            }
        };
        if body.len() > LARGE_RESULT {
            tracing::warn!(
                task_id = %result.task_id,
                bytes = body.len(),
                "the result is large: orchestrators take at most 1 MiB; return large data as files"
            );
        }
        let now = Instant::now();
        lock(&self.recent).remember(result.task_id.clone(), body.clone(), now);
        let entry = Entry {
            task_id: result.task_id.clone(),
            job_id: result.job_id.clone(),
            body,
            is_replacement: false,
        };
        self.enqueue(entry, now);
    }

    /// Sends a result once more for a task that was delivered once more.
    pub(crate) fn repeat(self: &Arc<Self>, result: Entry) {
        self.enqueue(result, Instant::now());
    }

    fn enqueue(self: &Arc<Self>, entry: Entry, now: Instant) {
        lock(&self.outbox).push(entry, now);
        self.changed.notify_one();
        if self.waiting.load(Ordering::Relaxed) == 0 && self.senders.load(Ordering::Relaxed) < MAX_SENDERS {
            self.senders.fetch_add(1, Ordering::Relaxed);
            self.tracker.spawn(self.clone().send_all());
        }
    }

    /// Whether one more task may be asked for.
    pub(crate) fn has_room(&self) -> bool {
        let outbox = lock(&self.outbox);
        outbox.len() < MAX_RESULTS && outbox.bytes() < MAX_BYTES
    }

    /// How many results are not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        lock(&self.outbox).len()
    }

    /// The tasks whose results are not acknowledged.
    pub(crate) fn unacknowledged_ids(&self) -> Vec<TaskId> {
        lock(&self.outbox).task_ids()
    }

    /// What is known of a task that ended lately; None too while its result is on its way anyhow.
    pub(crate) fn seen(&self, task_id: &TaskId) -> Option<(Seen, bool)> {
        let seen = lock(&self.recent).find(task_id, Instant::now())?;
        let on_its_way = lock(&self.outbox).holds(task_id);
        Some((seen, on_its_way))
    }

    /// Waits until every result is acknowledged.
    pub(crate) async fn empty(&self) {
        self.until(|outbox| outbox.len() == 0).await;
    }

    /// Waits until every result is acknowledged, or was tried since [`offer_all`](Self::offer_all) in vain.
    pub(crate) async fn all_tried(&self) {
        self.until(|outbox| outbox.all_tried(Instant::now())).await;
    }

    async fn until(&self, done: impl Fn(&Outbox) -> bool) {
        loop {
            let settled = self.settled.notified();
            if done(&lock(&self.outbox)) {
                return;
            }
            settled.await;
        }
    }

    /// The orchestrator is up again, or this is the last chance: what waits is sent now.
    pub(crate) fn offer_all(&self, despite_silence: bool) {
        lock(&self.outbox).offer_all(despite_silence);
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// Ends the senders. What is not acknowledged stays in the outbox.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    async fn send_all(self: Arc<Self>) {
        let mut transport = self.peer.connector.transport();
        while let Some((id, entry)) = self.next().await {
            tokio::select! {
                biased;
                () = self.closed.cancelled() => break,
                () = self.send(&mut *transport, id, entry) => {}
            }
        }
        self.senders.fetch_sub(1, Ordering::Relaxed);
    }

    async fn next(&self) -> Option<(Id, Entry)> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let next = loop {
            let changed = self.changed.notified();
            let (taken, due) = {
                let mut outbox = lock(&self.outbox);
                let taken = outbox.take(Instant::now());
                (taken, outbox.next_due())
            };
            if taken.is_some() {
                break taken;
            }
            let until_due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = until_due => {}
                () = self.closed.cancelled() => break None,
            }
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        next
    }

    async fn send(self: &Arc<Self>, transport: &mut dyn Transport, id: Id, entry: Entry) {
        let generation = self.peer.generation();
        let body = match self.peer.seal.text(&entry.body, &[], generation) {
            Ok(body) => body,
            Err(problem) => {
                let problem = format!("the result cannot be signed: {problem}");
                let verdict = lock(&self.outbox).on_unsendable(id, problem, Instant::now());
                return self.settle(id, &entry, verdict, None);
            }
        };
        // 30 s, and 1 s for each MiB.
        let time_limit = Duration::from_secs(30 + (body.len() >> 20) as u64);
        let request = Request::new(Operation::Result, time_limit).with_body(body);
        match transport.exchange(request).await {
            Ok(response) => {
                let verdict = lock(&self.outbox).on_answer(id, &response, Instant::now());
                let reason = (!response.is_success()).then(|| response.error_text());
                self.settle(id, &entry, verdict, reason);
            }
            Err(error) => {
                self.peer.connection_failed();
                let newer = generation == rxon::model::Generation::Newer;
                let verdict = lock(&self.outbox).on_error(id, &error, newer, Instant::now());
                self.settle(id, &entry, verdict, Some(error.chain().to_string()));
            }
        }
    }

    /// Says what became of a result, and does what is left to do.
    fn settle(self: &Arc<Self>, id: Id, entry: &Entry, verdict: Verdict, reason: Option<String>) {
        let (task_id, job_id, orchestrator) = (&entry.task_id, &entry.job_id, &self.peer.name);
        let reason = reason.unwrap_or_default();
        match verdict {
            Verdict::Acknowledged => {
                tracing::debug!(%task_id, %job_id, %orchestrator, "result acknowledged");
                lock(&self.recent).acknowledge(task_id);
            }
            Verdict::Ignored(why) => {
                tracing::warn!(%task_id, %job_id, %orchestrator, reason = why, "the orchestrator ignored the result");
                lock(&self.recent).acknowledge(task_id);
            }
            Verdict::Later { delay, kept, unauthorized } => {
                if unauthorized {
                    tracing::error!(
                        %task_id, %job_id, %orchestrator, reason,
                        "the result was refused for its credentials and is kept: check `WORKER_TOKEN` (or the \
                         orchestrator's own token) and `WORKER_ID`"
                    );
                } else {
                    tracing::warn!(%task_id, %job_id, %orchestrator, reason, kept, ?delay, "result not sent, tried again");
                }
            }
            Verdict::Silence(silence) => {
                tracing::info!(
                    %orchestrator, ?silence,
                    "the orchestrator limits the rate of results (429): none is sent for a while; it can be raised there"
                );
            }
            Verdict::Replace(problem) => {
                tracing::error!(%task_id, %job_id, %orchestrator, problem, reason, "a failure goes in the result's place");
                let body = self.replacement(entry, &problem, &reason);
                lock(&self.recent).remember(task_id.clone(), body.clone(), Instant::now());
                lock(&self.outbox).replace(id, body, Instant::now());
                self.changed.notify_one();
            }
            Verdict::Rejected(why) => {
                tracing::error!(%task_id, %job_id, %orchestrator, why, reason, "the result is given up");
            }
        }
        self.settled.notify_waiters();
    }

    fn replacement(&self, entry: &Entry, problem: &str, reason: &str) -> Bytes {
        let details = serde_json::json!({"reason": reason});
        let result = TaskResult {
            job_id: entry.job_id.clone(),
            task_id: entry.task_id.clone(),
            worker_id: self.worker_id.clone(),
            origin_worker_id: self.worker_id.clone(),
            status: "failure".to_owned(),
            data: None,
            error: Some(Failure {
                code: ErrorCode::Permanent,
                message: problem.to_owned(),
                details: serde_json::value::to_raw_value(&details).ok(),
            }),
            data_metadata: std::collections::BTreeMap::new(),
            costs: None,
        };
        serde_json::to_vec(&result).expect("texts always serialise").into()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
