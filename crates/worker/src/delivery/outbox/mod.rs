//! What becomes of results. Pure.
//!
//! | state | next |
//! |---|---|
//! | ready | in flight, when a sender takes it |
//! | in flight | gone (acknowledged, ignored, rejected), ready again (replaced by a small failure), or waiting |
//! | waiting | ready, when its time has come, or when the orchestrator is up again |
//!
//! After [`OutboxSettings::quick_tries`] a result that waits is *kept*: it is offered every 30 s.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use rxon::backoff::{Backoff, Jitter, add_quarter};
use rxon::model::ResultAnswer;
use rxon::transport::Response;
use rxon::{Error, JobId, TaskId};
use tokio::time::Instant;

/// Kept results are offered this often, plus up to a quarter.
const KEPT_INTERVAL: Duration = Duration::from_secs(30);

/// What was refused for its credentials is tried this often, plus up to a quarter.
const UNAUTHORIZED_INTERVAL: Duration = Duration::from_secs(5);

/// The longest of the quick tries' delays.
const LONGEST_QUICK_DELAY: Duration = Duration::from_secs(60);

/// How long an orchestrator may answer a result with an error of its own before it is given up.
const SERVER_ERROR_PATIENCE: Duration = Duration::from_secs(3600);

/// Without `Retry-After`, this much silence opens an orchestrator's window again: 61 s, measured.
const SILENCE: Duration = Duration::from_secs(61);

/// `Retry-After: 0` is no invitation to knock without pause.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);

/// How results are handled.
#[derive(Debug, Clone)]
pub(crate) struct OutboxSettings {
    /// Tries before a result is kept; at least one is made.
    pub(crate) quick_tries: u32,
    /// Delay before the second.
    pub(crate) first_delay: Duration,
    /// After this time a result that was never acknowledged is given up.
    pub(crate) max_age: Duration,
    /// Whether a result that an older orchestrator may have got is sent again.
    pub(crate) resend_ambiguous: bool,
}

/// One result.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) task_id: TaskId,
    pub(crate) job_id: JobId,
    /// The JSON of the result, not sealed.
    pub(crate) body: Bytes,
    /// It stands in the place of one that was refused.
    pub(crate) is_replacement: bool,
}

/// The number of an entry.
pub(crate) type Id = u64;

/// What an answer, or the lack of one, means for a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The orchestrator has it.
    Acknowledged,
    /// The orchestrator has no use for it. Obeyed.
    Ignored(String),
    /// It is tried again after this delay; `kept` after the quick tries, `unauthorized` when the token was refused.
    Later { delay: Duration, kept: bool, unauthorized: bool },
    /// The orchestrator has had enough of all results for this long.
    Silence(Duration),
    /// This body will never be taken: a small failure goes in its place.
    Replace(String),
    /// It is given up.
    Rejected(String),
}

#[derive(Debug)]
struct State {
    entry: Entry,
    tries: u32,
    backoff: Backoff,
    since: Instant,
    server_error_since: Option<Instant>,
    due: Option<Instant>,
}

/// The results of one orchestrator that it has not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Outbox {
    settings: OutboxSettings,
    entries: HashMap<Id, State>,
    ready: VecDeque<Id>,
    waiting: BTreeSet<(Instant, Id)>,
    silent_until: Option<Instant>,
    bytes: usize,
    next_id: Id,
    rng: Rng,
}

impl Outbox {
    pub(crate) fn new(settings: OutboxSettings, rng: Rng) -> Self {
        Self {
            settings,
            entries: HashMap::new(),
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            silent_until: None,
            bytes: 0,
            next_id: 0,
            rng,
        }
    }

    /// A task has ended.
    pub(crate) fn push(&mut self, entry: Entry, now: Instant) {
        let id = self.next_id;
        self.next_id += 1;
        self.bytes += entry.body.len();
        let backoff = Backoff::new(self.settings.first_delay, LONGEST_QUICK_DELAY, Jitter::AddQuarter);
        let state = State { entry, tries: 0, backoff, since: now, server_error_since: None, due: None };
        self.entries.insert(id, state);
        self.ready.push_back(id);
    }

    /// The next result to send. It is in flight until one of the `on_` methods is called for it.
    pub(crate) fn take(&mut self, now: Instant) -> Option<(Id, Entry)> {
        if self.silent_until.is_some_and(|until| until > now) {
            return None;
        }
        while let Some((due, id)) = self.waiting.first().copied()
            && due <= now
        {
            self.waiting.remove(&(due, id));
            self.ready.push_back(id);
        }
        let id = self.ready.pop_front()?;
        let state = self.entries.get_mut(&id).expect("what is ready is an entry");
        state.tries += 1;
        state.due = None;
        Some((id, state.entry.clone()))
    }

    /// When [`take`](Self::take) will have something, if not now.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = self.waiting.first().map(|(due, _)| *due);
        match (self.ready.is_empty(), self.silent_until) {
            (false, silence) => silence,
            (true, Some(silence)) => due.map(|due| due.max(silence)),
            (true, None) => due,
        }
    }

    /// The orchestrator is reachable again, or the worker is about to end: what waits is offered now.
    pub(crate) fn offer_all(&mut self, despite_silence: bool) {
        if despite_silence {
            self.silent_until = None;
        }
        for (_, id) in std::mem::take(&mut self.waiting) {
            self.ready.push_back(id);
        }
    }

    /// An answer came.
    pub(crate) fn on_answer(&mut self, id: Id, response: &Response, now: Instant) -> Verdict {
        let verdict = self.judge(id, response, now);
        self.apply(id, &verdict, now);
        verdict
    }

    /// No answer came.
    pub(crate) fn on_error(&mut self, id: Id, error: &Error, newer: bool, now: Instant) -> Verdict {
        let verdict = if error.is_ambiguous() && !newer && !self.settings.resend_ambiguous {
            Verdict::Rejected(
                "the orchestrator may have got it, and could not tell a second one from a new one".into(),
            )
        } else {
            if let Some(state) = self.entries.get_mut(&id) {
                state.server_error_since = None;
            }
            self.again(id, now)
        };
        self.apply(id, &verdict, now);
        verdict
    }

    /// It cannot be sent as it is.
    pub(crate) fn on_unsendable(&mut self, id: Id, problem: String, now: Instant) -> Verdict {
        let verdict = match self.entries.get(&id) {
            Some(state) if !state.entry.is_replacement => Verdict::Replace(problem),
            _ => Verdict::Rejected(problem),
        };
        self.apply(id, &verdict, now);
        verdict
    }

    /// Puts a small failure in the place of a result that will never be taken.
    pub(crate) fn replace(&mut self, id: Id, body: Bytes, now: Instant) {
        if let Some(state) = self.entries.remove(&id) {
            self.bytes -= state.entry.body.len();
            self.push(Entry { body, is_replacement: true, ..state.entry }, now);
        }
    }

    fn judge(&mut self, id: Id, response: &Response, now: Instant) -> Verdict {
        if response.is_success() {
            let answer = ResultAnswer::read(&response.body);
            return if answer.is_ignored() {
                Verdict::Ignored(answer.reason.unwrap_or_else(|| "no reason given".to_owned()))
            } else {
                Verdict::Acknowledged
            };
        }
        match response.status {
            429 => {
                let silence = response
                    .retry_after
                    .unwrap_or_else(|| SILENCE + Duration::from_secs_f64(5.0 * self.rng.f64()));
                Verdict::Silence(silence.max(SHORTEST_SILENCE))
            }
            401 | 403 => Verdict::Later {
                delay: add_quarter(UNAUTHORIZED_INTERVAL, &mut self.rng),
                kept: true,
                unauthorized: true,
            },
            400 | 404 | 413 | 422 => {
                let size = self.entries.get(&id).map_or(0, |state| state.entry.body.len());
                let problem = format!("result refused: {}, {size} bytes", response.status);
                match self.entries.get(&id) {
                    Some(state) if !state.entry.is_replacement => Verdict::Replace(problem),
                    _ => Verdict::Rejected(problem),
                }
            }
            500..=599 => self.judge_server_error(id, response, now),
            _ => self.again(id, now),
        }
    }

    /// An error that the orchestrator itself names will stay; one of a proxy before it passes.
    fn judge_server_error(&mut self, id: Id, response: &Response, now: Instant) -> Verdict {
        let named = serde_json::from_slice::<serde_json::Value>(&response.body)
            .ok()
            .and_then(|body| body.get("error")?.as_str().map(str::to_owned));
        let Some(state) = self.entries.get_mut(&id) else { return self.again(id, now) };
        match named {
            Some(error) => {
                let since = *state.server_error_since.get_or_insert(now);
                let unknown_job = error == "Job not found" && state.tries >= self.settings.quick_tries.max(1);
                if unknown_job || now.duration_since(since) >= SERVER_ERROR_PATIENCE {
                    return Verdict::Rejected(format!("{}: {error}", response.status));
                }
            }
            None => state.server_error_since = None,
        }
        self.again(id, now)
    }

    fn again(&mut self, id: Id, now: Instant) -> Verdict {
        let Some(state) = self.entries.get_mut(&id) else {
            return Verdict::Rejected("it is no longer there".to_owned());
        };
        if now.duration_since(state.since) >= self.settings.max_age {
            return Verdict::Rejected("it was not acknowledged in all that time".to_owned());
        }
        let kept = state.tries >= self.settings.quick_tries.max(1);
        let delay =
            if kept { add_quarter(KEPT_INTERVAL, &mut self.rng) } else { state.backoff.next(&mut self.rng) };
        Verdict::Later { delay, kept, unauthorized: false }
    }

    fn apply(&mut self, id: Id, verdict: &Verdict, now: Instant) {
        match verdict {
            Verdict::Acknowledged | Verdict::Ignored(_) | Verdict::Rejected(_) => {
                if let Some(state) = self.entries.remove(&id) {
                    self.bytes -= state.entry.body.len();
                }
            }
            Verdict::Later { delay, .. } => self.wait(id, now + *delay),
            Verdict::Silence(silence) => {
                let until = now + *silence;
                self.silent_until = Some(self.silent_until.map_or(until, |known| known.max(until)));
                if let Some(state) = self.entries.get_mut(&id) {
                    // To be told to wait says nothing against the result.
                    state.tries -= 1;
                }
                self.wait(id, until);
            }
            // The caller makes the replacement: it knows what goes in it.
            Verdict::Replace(_) => {}
        }
    }

    fn wait(&mut self, id: Id, due: Instant) {
        if let Some(state) = self.entries.get_mut(&id) {
            state.due = Some(due);
            self.waiting.insert((due, id));
        }
    }

    /// How many are not acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether each of them was tried and has to wait for its next try.
    pub(crate) fn all_tried(&self, now: Instant) -> bool {
        let silent = self.silent_until.is_some_and(|until| until > now);
        let untried = if silent { 0 } else { self.ready.len() };
        let in_flight = self.entries.len() - self.ready.len() - self.waiting.len();
        untried + in_flight == 0
    }

    /// Their size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether one of this task is there.
    pub(crate) fn holds(&self, task_id: &TaskId) -> bool {
        self.entries.values().any(|state| state.entry.task_id == *task_id)
    }

    /// The tasks whose results are not acknowledged.
    pub(crate) fn task_ids(&self) -> Vec<TaskId> {
        self.entries.values().map(|state| state.entry.task_id.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
