//! Where results are handed in, and what is kept in mind of them.

mod keeping;

pub(crate) use keeping::distribute;

use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use rxon::model::{ErrorCode, Failure, TaskResult};
use rxon::transport::Response;
use rxon::{Error, TaskId, WorkerId};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ignored::{IgnoredResult, OnIgnored};
use super::outbox::{Entry, Id, Outbox, Verdict};
use super::recent::{Recent, Seen};
use super::sender::Sender;
use super::spool::Spool;
use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::files::Belongings;
use crate::peer::{Asked, Peer, ResultEnd, say_rate_limited};
use crate::threads::lock;

/// No more results than this are sent to one orchestrator at once.
const MAX_SENDERS: usize = 8;

/// Beyond this many unacknowledged results no further task is asked for; of several orchestrators each has its part.
const MAX_RESULTS: usize = 10_000;

/// Beyond this many bytes of them too.
const MAX_BYTES: usize = 256 << 20;

/// The orchestrators known take no more than 1 MiB: from here on it is warned about.
const LARGE_RESULT: usize = 900 << 10;

/// The results of one orchestrator, and those who send them.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(super) peer: Arc<Peer>,
    worker_id: WorkerId,
    changes: Arc<HeartbeatTrigger>,
    on_ignored: Option<OnIgnored>,
    pub(super) books: Mutex<Books>,
    /// Something is ready, or the time of something has changed.
    pub(super) changed: Notify,
    /// A try has ended.
    pub(super) settled: Notify,
    /// Senders run where the first result was handed in: on the data path, whoever it is that hires one.
    home: OnceLock<Handle>,
    tracker: TaskTracker,
    pub(super) closed: CancellationToken,
    /// Where results are kept on disk, if they are.
    spool: OnceLock<Arc<Spool>>,
}

/// What is known of results and of their senders: all of it changes at once.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) outbox: Outbox,
    recent: Recent,
    /// Senders that live.
    pub(super) senders: usize,
    /// Those of them that have a result in flight.
    pub(super) busy: usize,
    /// Results that the orchestrator had no use for, so far.
    ignored: u64,
    /// How many orchestrators share the limits.
    sharers: usize,
    /// It was said that no further task is asked for.
    is_full: bool,
}

/// News of the room for results, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoomNews {
    is_full: bool,
    results: usize,
    bytes: usize,
    most_results: usize,
    most_bytes: usize,
}

impl Books {
    /// Senders that take the next result, or are about to.
    pub(super) fn free(&self) -> usize {
        self.senders - self.busy
    }

    fn most(&self) -> (usize, usize) {
        (MAX_RESULTS / self.sharers, MAX_BYTES / self.sharers)
    }

    fn has_room(&self) -> bool {
        let (results, bytes) = self.most();
        self.outbox.len() < results && self.outbox.bytes() < bytes
    }

    /// Whether it is to be said that there is no room any more, or that there is again. Where each result that goes is
    /// followed by another, it is full all the time: a tenth of the room has to be free to say otherwise.
    pub(super) fn room_news(&mut self) -> Option<RoomNews> {
        let (most_results, most_bytes) = self.most();
        let (results, bytes) = (self.outbox.len(), self.outbox.bytes());
        let is_full = if self.is_full {
            results > most_results / 10 * 9 || bytes > most_bytes / 10 * 9
        } else {
            !self.has_room()
        };
        let is_news = std::mem::replace(&mut self.is_full, is_full) != is_full;
        is_news.then_some(RoomNews { is_full, results, bytes, most_results, most_bytes })
    }

    /// Counts as many new senders as there is something to do for; the caller has them begin.
    pub(super) fn hire(&mut self, now: Instant) -> usize {
        let lacking = self.outbox.wanted(now).saturating_sub(self.free());
        let hired = lacking.min(MAX_SENDERS - self.senders);
        self.senders += hired;
        hired
    }
}

/// What came of a try.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Response),
    /// No answer, and whether the orchestrator tells a repeated result from a new one.
    Nothing {
        error: Error,
        recognises_repeats: bool,
    },
    /// It could not even be tried.
    Unsendable(String),
}

impl Reply {
    fn reason(&self) -> String {
        match self {
            Self::Answer(response) => response.error_text(),
            Self::Nothing { error, .. } => error.chain().to_string(),
            Self::Unsendable(_) => String::new(),
        }
    }
}

impl Delivery {
    /// For one of so many orchestrators as share the limits.
    pub(crate) fn new(
        peer: Arc<Peer>,
        worker_id: WorkerId,
        changes: Arc<HeartbeatTrigger>,
        on_ignored: Option<OnIgnored>,
        outbox: Outbox,
        tracker: TaskTracker,
        sharers: usize,
    ) -> Arc<Self> {
        let recent = Recent::new(sharers);
        let books = Books { outbox, recent, senders: 0, busy: 0, ignored: 0, sharers, is_full: false };
        Arc::new(Self {
            peer,
            worker_id,
            changes,
            on_ignored,
            books: Mutex::new(books),
            changed: Notify::new(),
            settled: Notify::new(),
            home: OnceLock::new(),
            tracker,
            closed: CancellationToken::new(),
            spool: OnceLock::new(),
        })
    }

    /// Hands in a result. It is sent as soon as it is on disk, where it is kept there, and a sender is free.
    pub(crate) async fn push(self: &Arc<Self>, result: &TaskResult) {
        self.push_with(result, None).await;
    }

    /// As [`push`](Self::push). What belongs to the task is let go when the result was acknowledged, or its quick tries
    /// have ended.
    pub(crate) async fn push_with(self: &Arc<Self>, result: &TaskResult, belongings: Option<Belongings>) {
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
        let mut entry = Entry {
            task_id: result.task_id.clone(),
            job_id: result.job_id.clone(),
            body: body.clone(),
            is_replacement: false,
            belongings,
            stored: None,
        };
        entry.stored = self.store(&entry).await;
        self.change(|books, now| {
            books.recent.remember(result.task_id.clone(), body, now);
            books.outbox.push(entry, now);
        });
    }

    /// Sends a result once more for a task that was delivered once more; not while one of its results is on its way.
    pub(crate) async fn repeat(self: &Arc<Self>, mut result: Entry) {
        result.stored = self.store(&result).await;
        let mut unwanted = None;
        self.change(|books, now| {
            if books.outbox.holds(&result.task_id) {
                unwanted = result.stored;
            } else {
                books.outbox.push(result, now);
            }
        });
        self.unstore(unwanted);
    }

    /// Changes what there is to send, and sees to it that somebody does.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Books, Instant)) {
        self.home.get_or_init(Handle::current);
        self.rearrange(change);
    }

    fn rearrange(self: &Arc<Self>, change: impl FnOnce(&mut Books, Instant)) {
        let now = Instant::now();
        let (hired, room) = {
            let mut books = lock(&self.books);
            change(&mut books, now);
            (books.hire(now), books.room_news())
        };
        self.say_room(room);
        self.begin(hired, true);
    }

    /// Lets senders begin that were hired, and tells one that waits when there is `more` to do. It tells the next.
    pub(super) fn begin(self: &Arc<Self>, hired: usize, more: bool) {
        for _ in 0..hired {
            let sender = Sender::hired(self.clone());
            // Without a home nothing was ever handed in.
            if let Some(home) = self.home.get() {
                self.tracker.spawn_on(sender.run(), home);
            }
        }
        if more {
            // The one that was busy last: those that are not needed grow idle, and end.
            self.changed.notify_last();
        }
    }

    /// Whether one more task may be asked for.
    pub(crate) fn has_room(&self) -> bool {
        lock(&self.books).has_room()
    }

    /// Waits until one more task may be asked for.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(crate) async fn room(&self) {
        self.until(Books::has_room).await;
    }

    /// How many results are not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        lock(&self.books).outbox.len()
    }

    /// What is known of a task that ended lately, and whether its result is on its way anyhow.
    pub(crate) fn seen(&self, task_id: &TaskId) -> Option<(Seen, bool)> {
        let books = lock(&self.books);
        let on_its_way = books.outbox.holds(task_id);
        match books.recent.find(task_id, Instant::now()) {
            Some(seen) => Some((seen, on_its_way)),
            // It has waited for longer than results are remembered.
            None if on_its_way => Some((Seen { body: Bytes::new(), acknowledged: false }, true)),
            None => None,
        }
    }

    /// Waits until every result is acknowledged.
    pub(crate) async fn empty(&self) {
        self.until(|books| books.outbox.len() == 0).await;
    }

    /// Waits until every result is acknowledged, or was tried since [`offer_all`](Self::offer_all) in vain.
    pub(crate) async fn all_tried(&self) {
        self.until(|books| books.outbox.all_tried(Instant::now())).await;
    }

    async fn until(&self, done: impl Fn(&Books) -> bool) {
        loop {
            let settled = self.settled.notified();
            if done(&lock(&self.books)) {
                return;
            }
            settled.await;
        }
    }

    /// The orchestrator is up again, or this is the last chance: what waits is sent now.
    pub(crate) fn offer_all(self: &Arc<Self>, despite_silence: bool) {
        self.rearrange(|books, now| books.outbox.offer_all(despite_silence, now));
    }

    /// Lets go of what belongs to tasks whose results are not acknowledged: nobody will send them any more.
    pub(crate) fn let_go(&self) {
        lock(&self.books).outbox.let_go();
    }

    /// Ends the senders. What is not acknowledged stays in the outbox.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// What a reply means for a result that was in flight.
    pub(super) fn judge(&self, books: &mut Books, id: Id, entry: &Entry, reply: &Reply) -> Verdict {
        let had_room = books.has_room();
        let verdict = self.decide(books, id, entry, reply);
        if books.has_room() != had_room {
            // One that was busy because of its results is idle again.
            self.changes.on_change();
        }
        verdict
    }

    fn decide(&self, books: &mut Books, id: Id, entry: &Entry, reply: &Reply) -> Verdict {
        let now = Instant::now();
        let verdict = match reply {
            Reply::Answer(response) => books.outbox.on_answer(id, response, now),
            Reply::Nothing { error, recognises_repeats } => {
                books.outbox.on_error(id, error, *recognises_repeats, now)
            }
            Reply::Unsendable(problem) => books.outbox.on_unsendable(id, problem.clone(), now),
        };
        books.ignored += u64::from(matches!(verdict, Verdict::Ignored(_)));
        match &verdict {
            Verdict::Acknowledged | Verdict::Ignored(_) => {
                books.recent.acknowledge(&entry.task_id);
                self.unstore(entry.stored);
            }
            Verdict::Replace(problem) => {
                let body = self.replacement(entry, problem, &reply.reason());
                books.recent.remember(entry.task_id.clone(), body.clone(), now);
                let stored = self.store_instead(entry, body.clone(), problem, &reply.reason());
                books.outbox.replace(id, body, stored, now);
            }
            Verdict::Rejected(why) => self.reject(entry, why, &reply.reason()),
            Verdict::Later { .. } | Verdict::Silence { .. } | Verdict::Unauthorized(_) => {
                self.end_try(entry, books.outbox.resends_ambiguous());
            }
        }
        verdict
    }

    pub(super) fn say_room(&self, news: Option<RoomNews>) {
        let Some(RoomNews { is_full, results, bytes, most_results, most_bytes }) = news else { return };
        let orchestrator = &self.peer.name;
        // Of no task: the one whose result was one too many has no part in it.
        if is_full {
            tracing::warn!(
                parent: None, %orchestrator, results, most_results, bytes, most_bytes,
                "polling pauses: as many results wait for the orchestrator to take them as may"
            );
        } else {
            tracing::info!(
                parent: None, %orchestrator, results, most_results, bytes, most_bytes,
                "polling goes on: there is room for results again"
            );
        }
    }

    /// Says what became of a try: one line where a state changes, and counts where nothing does.
    pub(super) fn say(&self, entry: &Entry, reply: &Reply, verdict: &Verdict) {
        let (task_id, job_id) = (entry.task_id.shown(), entry.job_id.shown());
        let orchestrator = &self.peer.name;
        self.count(reply);
        self.count_verdict(verdict);
        match verdict {
            Verdict::Acknowledged => {
                tracing::debug!(%task_id, %job_id, %orchestrator, "result acknowledged");
            }
            Verdict::Ignored(why) => {
                let ignored = lock(&self.books).ignored;
                tracing::warn!(
                    %task_id, %job_id, %orchestrator, reason = why, ignored,
                    "the orchestrator ignored the result"
                );
                if let Some(hook) = &self.on_ignored {
                    let result = IgnoredResult {
                        task_id: entry.task_id.clone(),
                        job_id: entry.job_id.clone(),
                        orchestrator: orchestrator.clone(),
                        reason: why.clone(),
                    };
                    if let Err(panicked) = hook.call(&result) {
                        tracing::error!("{panicked}");
                    }
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
            Verdict::Silence { silence, first } => {
                if *first {
                    say_rate_limited(orchestrator, "results");
                }
                tracing::debug!(%orchestrator, ?silence, "no result is sent for a while (429)");
            }
            Verdict::Replace(problem) => {
                let reason = reply.reason();
                tracing::error!(%task_id, %job_id, %orchestrator, problem, reason, "a failure goes in the result's place");
            }
            Verdict::Rejected(why) => {
                let reason = reply.reason();
                tracing::error!(%task_id, %job_id, %orchestrator, why, reason, "the result is given up");
            }
        }
    }

    fn count_verdict(&self, verdict: &Verdict) {
        let log = &self.peer.log;
        match verdict {
            Verdict::Acknowledged => log.result(ResultEnd::Acknowledged),
            Verdict::Ignored(_) => log.result(ResultEnd::Ignored),
            Verdict::Replace(_) => log.result(ResultEnd::Replaced),
            Verdict::Rejected(_) => log.result(ResultEnd::Rejected),
            Verdict::Silence { silence, .. } => log.limited(Asked::Result, *silence),
            Verdict::Later { .. } | Verdict::Unauthorized(_) => {}
        }
    }

    fn count(&self, reply: &Reply) {
        let log = &self.peer.log;
        match reply {
            Reply::Answer(response) => match response.status {
                200..=299 | 400 | 404 | 413 | 422 => log.answered(Asked::Result),
                401 | 403 => log.refused(Asked::Result, response),
                429 => {}
                status => log.failed(Asked::Result, &format_args!("{status}: {}", response.error_text())),
            },
            Reply::Nothing { error, .. } => log.failed(Asked::Result, &error.chain()),
            Reply::Unsendable(_) => {}
        }
    }

    fn replacement(&self, entry: &Entry, problem: &str, reason: &str) -> Bytes {
        // What cannot be sent was not answered.
        let details = (!reason.is_empty()).then(|| serde_json::json!({"reason": reason}));
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
                details: details.and_then(|details| serde_json::value::to_raw_value(&details).ok()),
            }),
            data_metadata: std::collections::BTreeMap::new(),
            costs: None,
        };
        serde_json::to_vec(&result).expect("texts always serialise").into()
    }
}

#[cfg(test)]
mod tests;
