//! The turns of orchestrators when more pollers wait than there are slots. Pure.
//!
//! Smooth weighted round robin: each poll of an orchestrator costs it a *stride*, the heaviest weight divided by its own,
//! and the orchestrator that has paid least is next. If ranks decide (`WATERFALL`, `FAILOVER`), the next is the first in
//! the list whose last poll was not empty; a task starts the list again from the beginning.
//!
//! Payments only count among orchestrators that compete: one that comes back after a pause has neither saved up turns nor
//! lost any, and one that polled alone for long owes the waiting ones at most [`MAX_DEBT`] strides.

use std::cmp::Reverse;
use std::time::Duration;

use tokio::time::Instant;

use crate::capacity::orchestrator_index::OrchestratorIndex;

/// The time after a task during which an orchestrator counts as about to poll again.
const LIVELY_FOR: Duration = Duration::from_secs(1);

/// The maximum debt, in strides, of an orchestrator that polled while no other did.
const MAX_DEBT: f64 = 4.0;

/// The rule that decides who is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// The weights: `ROUND_ROBIN`.
    Weight,
    /// The place in the list: `WATERFALL`, `FAILOVER`.
    Rank,
}

/// The pollers of an orchestrator, compared with its fair share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Start one more poller if a slot is free.
    Less,
    /// Start one more poller even if no slot is free: weights only apply to pollers that are waiting.
    Lacking,
    /// Keep the pollers.
    Exact,
    /// End one poller, so that other orchestrators get their share.
    More,
}

/// The turns of all orchestrators of a worker.
#[derive(Debug)]
pub(crate) struct Turns {
    precedence: Precedence,
    entries: Vec<Contender>,
}

#[derive(Debug)]
struct Contender {
    weight: u32,
    /// The strides paid for its polls.
    paid: f64,
    /// The number of its pollers that wait for a slot.
    wishes: usize,
    down: bool,
    /// Its last poll was empty, and no poll of any orchestrator has returned a task since.
    passed: bool,
    /// The time of its last task, and the number of its pollers then.
    lively: Option<(Instant, usize)>,
}

impl Contender {
    fn is_lively(&self, now: Instant) -> bool {
        self.lively.is_some_and(|(at, _)| now.duration_since(at) < LIVELY_FOR)
    }

    fn competes(&self, now: Instant) -> bool {
        self.wishes > 0 || self.is_lively(now)
    }
}

impl Turns {
    /// Creates the turns of orchestrators with these weights, each at least 1, in the order of their ranks.
    pub(crate) fn new(precedence: Precedence, weights: &[u32]) -> Self {
        let entry = |weight: &u32| Contender {
            weight: *weight,
            paid: 0.0,
            wishes: 0,
            down: false,
            passed: false,
            lively: None,
        };
        Self { precedence, entries: weights.iter().map(entry).collect() }
    }

    /// The number of orchestrators.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Records that a poller of this orchestrator waits for a slot from now on.
    pub(crate) fn wish(&mut self, orchestrator: OrchestratorIndex, now: Instant) {
        if !self.entries[orchestrator.0].competes(now)
            && let Some(least) = self.least_paid_beside(orchestrator, now)
        {
            let paid = &mut self.entries[orchestrator.0].paid;
            *paid = paid.max(least);
        }
        self.entries[orchestrator.0].wishes += 1;
        self.forgive();
    }

    /// Limits the debts of the waiting orchestrators.
    fn forgive(&mut self) {
        let heaviest = f64::from(self.heaviest(|_| true));
        let in_line = |entry: &&mut Contender| entry.wishes > 0 && !entry.down;
        let least = self.entries.iter_mut().filter(in_line).map(|entry| entry.paid).min_by(f64::total_cmp);
        let Some(least) = least else { return };
        for entry in self.entries.iter_mut().filter(in_line) {
            entry.paid = entry.paid.min(least + MAX_DEBT * heaviest / f64::from(entry.weight));
        }
    }

    /// Records that a poller of this orchestrator no longer waits.
    pub(crate) fn withdraw(&mut self, orchestrator: OrchestratorIndex) {
        self.entries[orchestrator.0].wishes -= 1;
    }

    /// Returns true if pollers of other orchestrators that are up wait for a slot.
    pub(crate) fn others_wait(&self, orchestrator: OrchestratorIndex) -> bool {
        let mut others = self.entries.iter().enumerate().filter(|(index, _)| *index != orchestrator.0);
        others.any(|(_, entry)| entry.wishes > 0 && !entry.down)
    }

    /// Returns the orchestrator whose poller takes the next of the free slots.
    pub(crate) fn next(&self, free: usize) -> Option<OrchestratorIndex> {
        if free == 0 {
            return None;
        }
        let all_down = self.entries.iter().all(|entry| entry.down);
        // A poll to an orchestrator that is down may hang: it never takes the last slot while another is up.
        let waiting = |down: bool| {
            let of_these = self.entries.iter().enumerate();
            of_these.filter(move |(_, entry)| entry.wishes > 0 && entry.down == down).map(|(index, _)| index)
        };
        self.first_of(waiting(false))
            .or_else(|| self.first_of(waiting(true)).filter(|_| free > 1 || all_down))
            .map(OrchestratorIndex)
    }

    fn first_of(&self, waiting: impl Iterator<Item = usize>) -> Option<usize> {
        match self.precedence {
            Precedence::Rank => waiting.min_by_key(|index| (self.entries[*index].passed, *index)),
            Precedence::Weight => waiting.min_by(|one, other| {
                let (a, b) = (&self.entries[*one], &self.entries[*other]);
                a.paid.total_cmp(&b.paid).then(Reverse(a.weight).cmp(&Reverse(b.weight))).then(one.cmp(other))
            }),
        }
    }

    /// Records that a poll was sent to this orchestrator.
    pub(crate) fn on_poll_sent(&mut self, orchestrator: OrchestratorIndex) {
        self.entries[orchestrator.0].paid += self.stride_of(orchestrator, self.heaviest(|_| true));
        if self.entries[orchestrator.0].passed {
            // The last polls of all waiting orchestrators were empty.
            self.restart_list();
        }
    }

    fn restart_list(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.passed = false);
    }

    /// Records that a poll of this orchestrator returned no task.
    pub(crate) fn on_no_task(&mut self, orchestrator: OrchestratorIndex) {
        self.entries[orchestrator.0].passed = true;
    }

    /// Records that a poll of this orchestrator, which has this many pollers, returned a task. Returns its share of pollers.
    pub(crate) fn on_task(&mut self, orchestrator: OrchestratorIndex, pollers: usize, now: Instant) -> Share {
        self.entries[orchestrator.0].lively = Some((now, pollers));
        self.restart_list();
        if self.precedence == Precedence::Rank {
            return Share::Less;
        }
        let (own, pollers) = (u64::from(self.entries[orchestrator.0].weight), pollers as u64);
        let mut others = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some((_, theirs)) = entry.lively
                && index != orchestrator.0
                && entry.is_lively(now)
            {
                others.push((theirs as u64, u64::from(entry.weight)));
            }
        }
        if others.iter().any(|(theirs, weight)| pollers * weight > (theirs + 1) * own) {
            Share::More
        } else if others.iter().all(|(theirs, weight)| (pollers + 1) * weight <= (theirs + 1) * own) {
            if others.is_empty() { Share::Less } else { Share::Lacking }
        } else {
            Share::Exact
        }
    }

    /// The pause of this orchestrator after an empty answer, as a multiple of that of the heaviest orchestrator that is up.
    pub(crate) fn stride(&self, orchestrator: OrchestratorIndex) -> f64 {
        match self.precedence {
            Precedence::Rank => 1.0,
            Precedence::Weight => {
                let own = self.entries[orchestrator.0].weight;
                self.stride_of(orchestrator, self.heaviest(|entry| !entry.down).max(own))
            }
        }
    }

    /// Records that this orchestrator is down, or up again; one that is up again has saved up no turns. Returns true if
    /// that is a change.
    pub(crate) fn set_down(&mut self, orchestrator: OrchestratorIndex, down: bool, now: Instant) -> bool {
        if self.entries[orchestrator.0].down == down {
            return false;
        }
        self.entries[orchestrator.0].down = down;
        if let Some(least) = self.least_paid_beside(orchestrator, now) {
            let paid = &mut self.entries[orchestrator.0].paid;
            *paid = paid.max(least);
        }
        true
    }

    fn stride_of(&self, orchestrator: OrchestratorIndex, heaviest: u32) -> f64 {
        f64::from(heaviest) / f64::from(self.entries[orchestrator.0].weight)
    }

    fn heaviest(&self, counts: impl Fn(&Contender) -> bool) -> u32 {
        self.entries.iter().filter(|entry| counts(entry)).map(|entry| entry.weight).max().unwrap_or(1)
    }

    fn least_paid_beside(&self, orchestrator: OrchestratorIndex, now: Instant) -> Option<f64> {
        let others = self.entries.iter().enumerate();
        let others =
            others.filter(|(index, entry)| *index != orchestrator.0 && !entry.down && entry.competes(now));
        others.map(|(_, entry)| entry.paid).min_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests;
