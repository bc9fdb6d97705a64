//! The results of one orchestrator that are not acknowledged. Pure, but for the rate gate, which it shares.
//!
//! | state | next |
//! |---|---|
//! | ready | in flight, when a sender takes it |
//! | in flight | gone (acknowledged, ignored, rejected), ready again (replaced by a small failure), or waiting |
//! | waiting | ready, when its time has come, or when the orchestrator is up again |
//!
//! After [`OutboxSettings::quick_tries`] a result that waits is *kept*: it is offered every 30 s. [`passage`] decides how
//! many are in flight at once.

mod passage;
mod verdict;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use foldhash::HashMap;
use rxon::TaskId;
use tokio::time::Instant;

pub(crate) use self::passage::Id;
use self::passage::Passage;
pub(crate) use self::verdict::{OutboxEntry, OutboxSettings, Reply, Verdict};
use self::verdict::{Pending, sign};
use crate::delivery::record::Key;
use crate::peer::answer::Answer;
use crate::peer::rate::RateGate;

/// The results of one orchestrator that it has not acknowledged.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(super) settings: OutboxSettings,
    entries: HashMap<Id, Pending>,
    ready: VecDeque<Id>,
    waiting: BTreeSet<(Instant, Id)>,
    /// The number of entries that are in flight.
    in_flight: usize,
    /// The number of entries of each task.
    tasks: HashMap<TaskId, usize>,
    gate: RateGate,
    passage: Passage,
    /// Nothing is sent while this is true; [`offer_all`](Self::offer_all) clears it.
    pub(super) is_held: bool,
    /// The size of all results in bytes.
    pub(super) bytes: usize,
    next_id: Id,
    rng: Rng,
}

impl Outbox {
    pub(crate) fn new(settings: OutboxSettings, gate: RateGate, rng: Rng) -> Self {
        Self {
            passage: Passage::new(settings.max_at_once),
            settings,
            entries: HashMap::default(),
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            in_flight: 0,
            tasks: HashMap::default(),
            gate,
            is_held: false,
            bytes: 0,
            next_id: 0,
            rng,
        }
    }

    /// Adds a result.
    pub(crate) fn push(&mut self, entry: OutboxEntry, now: Instant) {
        self.add(entry, None, now);
    }

    /// Adds a result of an earlier process, which seems to have this age. A single one is tried first.
    pub(crate) fn restore(&mut self, entry: OutboxEntry, age: Duration, now: Instant) {
        self.passage.narrow(now);
        self.add(entry, Some(age), now);
    }

    fn add(&mut self, entry: OutboxEntry, age: Option<Duration>, now: Instant) {
        let id = self.next_id;
        self.next_id += 1;
        self.bytes += entry.body.len();
        *self.tasks.entry(entry.task_id.clone()).or_default() += 1;
        self.entries.insert(id, Pending::new(entry, age, self.settings.first_delay, now));
        self.ready.push_back(id);
    }

    /// Takes the next result to send. It is in flight until [`on_reply`](Self::on_reply) is called for it.
    pub(crate) fn take(&mut self, now: Instant) -> Option<(Id, OutboxEntry)> {
        if self.closed_until(now).is_some() || self.is_paused() {
            return None;
        }
        while let Some((due, id)) = self.waiting.first().copied()
            && due <= now
        {
            self.waiting.remove(&(due, id));
            self.ready.push_back(id);
        }
        let Some(id) = self.ready.pop_front() else {
            self.passage.on_drained();
            return None;
        };
        let pending = self.entries.get_mut(&id)?;
        pending.is_in_flight = true;
        self.in_flight += 1;
        self.passage.on_try(id, now);
        self.gate.on_sent(now, true);
        Some((id, pending.entry.clone()))
    }

    /// Returns when [`take`](Self::take) will have a result, if not now and if that is known.
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

    /// Whether there is a result to send now or later, other than those in flight.
    pub(crate) fn has_more(&self) -> bool {
        let has_results = !self.ready.is_empty() || !self.waiting.is_empty();
        has_results && !self.is_paused()
    }

    fn closed_until(&self, now: Instant) -> Option<Instant> {
        self.gate.closed_until(now).max(self.passage.closed_until(now))
    }

    /// Whether nothing is sent until something happens.
    fn is_paused(&self) -> bool {
        self.is_held || self.passage.is_taken()
    }

    /// Makes all waiting results ready: the orchestrator is up again, or the worker is about to end.
    pub(crate) fn offer_all(&mut self, despite_silence: bool, now: Instant) {
        self.is_held = false;
        if despite_silence {
            self.gate.reset();
        }
        self.passage.on_offer(despite_silence, now);
        self.ready.extend(std::mem::take(&mut self.waiting).into_iter().map(|(_, id)| id));
    }

    /// Ends a try with this reply, read as this answer, which the rate gate already knows. Returns the verdict; `None` if the
    /// result is not in flight any more, because its sender was lost after an earlier verdict. After [`Verdict::Replace`]
    /// the caller is to call [`replace`](Self::replace).
    pub(crate) fn on_reply(
        &mut self,
        id: Id,
        reply: &Reply,
        answer: Option<&Answer<'_>>,
        now: Instant,
    ) -> Option<Verdict> {
        self.passage.on_end(id);
        if let Some(sign) = answer.and_then(sign) {
            self.passage.on_sign(sign, now);
        }
        let pending = self.entries.get_mut(&id).filter(|pending| pending.is_in_flight)?;
        let silence = || self.gate.silence(now);
        let verdict = pending.judge(reply, answer, silence, &self.settings, &mut self.rng, now);
        match &verdict {
            Verdict::Acknowledged | Verdict::Ignored(_) | Verdict::Rejected(_) => drop(self.remove(id)),
            Verdict::Later { delay, .. } | Verdict::Silence(delay) => {
                self.wait(id, now + *delay);
            }
            Verdict::Unauthorized(delay) => {
                let until = self.passage.on_refused(now, *delay);
                self.wait(id, until);
            }
            // It is in flight until it is replaced.
            Verdict::Replace(_) => {}
        }
        Some(verdict)
    }

    /// Lets a result that was in flight wait.
    fn wait(&mut self, id: Id, until: Instant) {
        if let Some(pending) = self.entries.get_mut(&id) {
            self.in_flight -= usize::from(std::mem::take(&mut pending.is_in_flight));
            self.waiting.insert((until, id));
        }
    }

    /// Replaces a result that will never be taken by a small failure.
    pub(crate) fn replace(&mut self, id: Id, body: Bytes, stored: Option<Key>, now: Instant) {
        if let Some(entry) = self.remove(id) {
            self.push(OutboxEntry { body, prepared: None, is_replacement: true, stored, ..entry }, now);
        }
    }

    fn remove(&mut self, id: Id) -> Option<OutboxEntry> {
        let Pending { entry, is_in_flight, .. } = self.entries.remove(&id)?;
        self.in_flight -= usize::from(is_in_flight);
        self.bytes -= entry.body.len();
        // The entry needs an id of its own, but only its handle is copied.
        if let Entry::Occupied(mut count) = self.tasks.entry(entry.task_id.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(entry)
    }

    /// Drops the belongings of all tasks.
    pub(crate) fn drop_belongings(&mut self) {
        for pending in self.entries.values_mut() {
            pending.entry.belongings = None;
        }
    }

    /// The number of results.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether each result was tried and has to wait for its next try.
    pub(crate) fn all_tried(&self, now: Instant) -> bool {
        let is_silent = self.gate.closed_until(now).is_some() || self.passage.is_refused(now);
        let untried = if self.is_held || is_silent { 0 } else { self.ready.len() };
        untried + self.in_flight == 0
    }

    /// Whether there is a result of this task.
    pub(crate) fn holds(&self, task_id: &TaskId) -> bool {
        self.tasks.contains_key(task_id)
    }

    /// The tasks of all results, and the numbers under which the results are on disk.
    pub(crate) fn left_over(&self) -> impl Iterator<Item = (&TaskId, Option<Key>)> {
        self.entries.values().map(|pending| (&pending.entry.task_id, pending.entry.stored))
    }
}

#[cfg(test)]
mod tests;
