//! What becomes of results. Pure.
//!
//! | state | next |
//! |---|---|
//! | ready | in flight, when a sender takes it |
//! | in flight | gone (acknowledged, ignored, rejected), ready again (replaced by a small failure), or waiting |
//! | waiting | ready, when its time has come, or when the orchestrator is up again |
//!
//! After [`OutboxSettings::quick_tries`] a result that waits is *kept*: it is offered every 30 s.

mod verdict;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use rxon::backoff::{Backoff, Jitter};
use rxon::transport::Response;
use rxon::{Error, JobId, TaskId};
use tokio::time::Instant;

pub(crate) use self::verdict::Verdict;
use super::spool::Key;
use crate::files::DirectoryGuard;
use crate::peer::rate::RateGate;

/// The longest of the quick tries' delays.
const LONGEST_QUICK_DELAY: Duration = Duration::from_secs(60);

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
    /// What is there until it is acknowledged or kept.
    pub(crate) belongings: Option<DirectoryGuard>,
    /// Under which number it is on disk, where it is kept there.
    pub(crate) stored: Option<Key>,
}

/// The number of an entry.
pub(crate) type Id = u64;

#[derive(Debug)]
struct State {
    entry: Entry,
    tries: u32,
    backoff: Backoff,
    since: Instant,
    /// How old it was then: it may be of an earlier run.
    earlier: Duration,
    server_error_since: Option<Instant>,
    kept: bool,
}

impl State {
    fn age(&self, now: Instant) -> Duration {
        self.earlier.saturating_add(now.duration_since(self.since))
    }
}

/// What is known of the worker's credentials once they were refused, until any answer but 401 and 403 comes.
#[derive(Debug)]
struct Refused {
    /// Nothing is sent before.
    until: Instant,
    /// Then this one alone, to find out.
    probe: Option<Id>,
}

/// The results of one orchestrator that it has not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Outbox {
    settings: OutboxSettings,
    entries: HashMap<Id, State>,
    ready: VecDeque<Id>,
    waiting: BTreeSet<(Instant, Id)>,
    /// How many entries each task has.
    tasks: HashMap<TaskId, usize>,
    gate: RateGate,
    refused: Option<Refused>,
    /// Nothing is sent until somebody says so.
    held: bool,
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
            tasks: HashMap::new(),
            gate: RateGate::default(),
            refused: None,
            held: false,
            bytes: 0,
            next_id: 0,
            rng,
        }
    }

    /// Whether a result that an older orchestrator may have got is sent again.
    pub(crate) fn resends_ambiguous(&self) -> bool {
        self.settings.resend_ambiguous
    }

    /// A task has ended.
    pub(crate) fn push(&mut self, entry: Entry, now: Instant) {
        self.restore(entry, Duration::ZERO, now);
    }

    /// This is of an earlier run, and so old.
    pub(crate) fn restore(&mut self, entry: Entry, earlier: Duration, now: Instant) {
        let id = self.next_id;
        self.next_id += 1;
        self.bytes += entry.body.len();
        let backoff = Backoff::new(self.settings.first_delay, LONGEST_QUICK_DELAY, Jitter::AddQuarter);
        let state =
            State { entry, tries: 0, backoff, since: now, earlier, server_error_since: None, kept: false };
        *self.tasks.entry(state.entry.task_id.clone()).or_default() += 1;
        self.entries.insert(id, state);
        self.ready.push_back(id);
    }

    /// The next result to send. It is in flight until one of the `on_` methods is called for it.
    pub(crate) fn take(&mut self, now: Instant) -> Option<(Id, Entry)> {
        if self.closed_until(now).is_some() || self.is_paused() {
            return None;
        }
        while let Some((due, id)) = self.waiting.first().copied()
            && due <= now
        {
            self.waiting.remove(&(due, id));
            self.ready.push_back(id);
        }
        let id = self.ready.pop_front()?;
        if let Some(refused) = &mut self.refused {
            refused.probe = Some(id);
        }
        self.gate.on_sent(now, true, &mut self.rng);
        let state = self.entries.get_mut(&id).expect("what is ready is an entry");
        state.tries += 1;
        Some((id, state.entry.clone()))
    }

    /// When [`take`](Self::take) will have something, if not now.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.is_paused() {
            return None;
        }
        let closed = self.closed_until(now);
        if !self.ready.is_empty() {
            return closed;
        }
        let (due, _) = self.waiting.first()?;
        Some(*due).max(closed)
    }

    /// How many senders have something to do: one for each result that may be sent, and one to wait for the next.
    pub(crate) fn wanted(&self, now: Instant) -> usize {
        if self.is_paused() {
            return 0;
        }
        let later = usize::from(!self.waiting.is_empty());
        let all = self.ready.len() + later;
        if self.refused.is_some() || self.closed_until(now).is_some() { all.min(1) } else { all }
    }

    fn closed_until(&self, now: Instant) -> Option<Instant> {
        let refused = self.refused.as_ref().map(|refused| refused.until).filter(|until| *until > now);
        self.gate.closed_until(now).max(refused)
    }

    /// Whether nothing is sent until something happens.
    fn is_paused(&self) -> bool {
        self.held || self.refused.as_ref().is_some_and(|refused| refused.probe.is_some())
    }

    /// Nothing is sent until [`release`](Self::release), or [`offer_all`](Self::offer_all).
    pub(crate) fn hold(&mut self) {
        self.held = true;
    }

    /// What there is may be sent.
    pub(crate) fn release(&mut self) {
        self.held = false;
    }

    /// The orchestrator is reachable again, or the worker is about to end: what waits is offered now.
    pub(crate) fn offer_all(&mut self, despite_silence: bool, now: Instant) {
        self.release();
        if despite_silence {
            self.gate = RateGate::default();
            if let Some(refused) = &mut self.refused {
                refused.until = now;
            }
        }
        for (_, id) in std::mem::take(&mut self.waiting) {
            self.ready.push_back(id);
        }
    }

    /// An answer came.
    pub(crate) fn on_answer(&mut self, id: Id, response: &Response, now: Instant) -> Verdict {
        self.tried(id);
        if response.status != 429 {
            self.gate.on_accepted();
        }
        if !response.is_unauthorized() {
            self.refused = None;
        }
        let verdict = self.judge(id, response, now);
        self.apply(id, &verdict, now);
        verdict
    }

    /// No answer came.
    pub(crate) fn on_error(
        &mut self,
        id: Id,
        error: &Error,
        recognises_repeats: bool,
        now: Instant,
    ) -> Verdict {
        self.tried(id);
        let verdict = if error.is_ambiguous() && !recognises_repeats && !self.settings.resend_ambiguous {
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
        self.tried(id);
        let verdict = match self.entries.get(&id) {
            Some(state) if !state.entry.is_replacement => Verdict::Replace(problem),
            _ => Verdict::Rejected(problem),
        };
        self.apply(id, &verdict, now);
        verdict
    }

    /// Its sender is gone, and nothing is known of the try.
    pub(crate) fn on_lost(&mut self, id: Id, now: Instant) -> Verdict {
        self.tried(id);
        let verdict = self.again(id, now);
        self.apply(id, &verdict, now);
        verdict
    }

    /// Puts a small failure in the place of a result that will never be taken.
    pub(crate) fn replace(&mut self, id: Id, body: Bytes, stored: Option<Key>, now: Instant) {
        if let Some(entry) = self.remove(id) {
            self.push(Entry { body, is_replacement: true, stored, ..entry }, now);
        }
    }

    fn remove(&mut self, id: Id) -> Option<Entry> {
        let entry = self.entries.remove(&id)?.entry;
        self.bytes -= entry.body.len();
        if let Some(count) = self.tasks.get_mut(&entry.task_id) {
            *count -= 1;
            if *count == 0 {
                self.tasks.remove(&entry.task_id);
            }
        }
        Some(entry)
    }

    /// A try has ended: if it was to find out about the credentials, another may.
    fn tried(&mut self, id: Id) {
        if let Some(refused) = &mut self.refused
            && refused.probe == Some(id)
        {
            refused.probe = None;
        }
    }

    fn apply(&mut self, id: Id, verdict: &Verdict, now: Instant) {
        match verdict {
            Verdict::Acknowledged | Verdict::Ignored(_) | Verdict::Rejected(_) => {
                self.remove(id);
            }
            Verdict::Later { delay, .. } => self.wait(id, now + *delay),
            Verdict::Unauthorized(delay) => {
                let until = now + *delay;
                // The answers to several that were under way at once make one pause, not a longer one.
                let refused = self.refused.get_or_insert(Refused { until, probe: None });
                if refused.until <= now {
                    refused.until = until;
                }
                let until = refused.until;
                self.wait_untried(id, until);
            }
            Verdict::Silence { silence, .. } => self.wait_untried(id, now + *silence),
            // The caller makes the replacement: it knows what goes in it.
            Verdict::Replace(_) => {}
        }
    }

    fn wait(&mut self, id: Id, due: Instant) {
        if self.entries.contains_key(&id) {
            self.waiting.insert((due, id));
        }
    }

    /// To be told to wait says nothing against the result.
    fn wait_untried(&mut self, id: Id, due: Instant) {
        if let Some(state) = self.entries.get_mut(&id) {
            state.tries = state.tries.saturating_sub(1);
            self.waiting.insert((due, id));
        }
    }

    /// Lets go of what belongs to the tasks.
    pub(crate) fn let_go(&mut self) {
        for state in self.entries.values_mut() {
            state.entry.belongings = None;
        }
    }

    /// How many are not acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether each of them was tried and has to wait for its next try.
    pub(crate) fn all_tried(&self, now: Instant) -> bool {
        let untried = if self.held || self.closed_until(now).is_some() { 0 } else { self.ready.len() };
        let in_flight = self.entries.len() - self.ready.len() - self.waiting.len();
        untried + in_flight == 0
    }

    /// Their size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether one of this task is there.
    pub(crate) fn holds(&self, task_id: &TaskId) -> bool {
        self.tasks.contains_key(task_id)
    }

    /// The results that are not acknowledged: their tasks, and where they are on disk.
    pub(crate) fn left_over(&self) -> impl Iterator<Item = (&TaskId, Option<Key>)> {
        self.entries.values().map(|state| (&state.entry.task_id, state.entry.stored))
    }
}

#[cfg(test)]
mod tests;
