//! The turns of orchestrators when more pollers wait than there are slots. Pure.
//!
//! Smooth weighted round robin: each poll of an orchestrator costs it a *stride*, the heaviest weight divided by its own,
//! and the orchestrator that has paid least is next. If ranks decide (`WATERFALL`, `FAILOVER`), the next is the first in
//! the list whose last poll was not empty; a task starts the list again from the beginning.
//!
//! Payments only count among orchestrators that compete: one that comes back after a pause has neither saved up turns nor
//! lost any, and one that polled alone for long owes the waiting ones at most [`MAX_DEBT`] strides.

use std::cmp::Ordering;
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

#[derive(Debug, Default)]
struct Contender {
    weight: f64,
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
        let entry = |weight: &u32| Contender { weight: f64::from(*weight), ..Contender::default() };
        Self { precedence, entries: weights.iter().map(entry).collect() }
    }

    /// The number of orchestrators.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Records that a poller of this orchestrator waits for a slot from now on.
    pub(crate) fn wish(&mut self, orchestrator: OrchestratorIndex, now: Instant) {
        if !self.entries[orchestrator.0].competes(now) {
            self.catch_up(orchestrator, now);
        }
        self.entries[orchestrator.0].wishes += 1;
        self.forgive();
    }

    /// Limits the debts of the waiting orchestrators.
    fn forgive(&mut self) {
        let heaviest = self.heaviest(|_| true);
        let in_line = |entry: &&mut Contender| entry.wishes > 0 && !entry.down;
        let least = self.entries.iter_mut().filter(in_line).map(|entry| entry.paid).min_by(f64::total_cmp);
        let Some(least) = least else { return };
        for entry in self.entries.iter_mut().filter(in_line) {
            entry.paid = entry.paid.min(least + MAX_DEBT * heaviest / entry.weight);
        }
    }

    /// Records that a poller of this orchestrator no longer waits.
    pub(crate) fn withdraw(&mut self, orchestrator: OrchestratorIndex) {
        self.entries[orchestrator.0].wishes -= 1;
    }

    /// Returns true if pollers of other orchestrators that are up wait for a slot.
    pub(crate) fn others_wait(&self, orchestrator: OrchestratorIndex) -> bool {
        self.others(orchestrator).any(|entry| entry.wishes > 0 && !entry.down)
    }

    /// Returns the orchestrator whose poller takes the next of the free slots.
    pub(crate) fn next(&self, free: usize) -> Option<OrchestratorIndex> {
        if free == 0 {
            return None;
        }
        let waiting = self.entries.iter().enumerate().filter(|(_, entry)| entry.wishes > 0);
        let first = waiting.min_by(|(_, one), (_, other)| self.order(one, other));
        // A poll to an orchestrator that is down may hang: it never takes the last slot while another is up.
        let takes =
            |entry: &Contender| !entry.down || free > 1 || self.entries.iter().all(|entry| entry.down);
        first.filter(|(_, entry)| takes(entry)).map(|(index, _)| OrchestratorIndex(index))
    }

    /// The order of waiting orchestrators; if it is equal, the first in the list goes first.
    fn order(&self, one: &Contender, other: &Contender) -> Ordering {
        one.down.cmp(&other.down).then_with(|| match self.precedence {
            Precedence::Rank => one.passed.cmp(&other.passed),
            Precedence::Weight => one.paid.total_cmp(&other.paid).then(other.weight.total_cmp(&one.weight)),
        })
    }

    /// Records that a poll was sent to this orchestrator.
    pub(crate) fn on_poll_sent(&mut self, orchestrator: OrchestratorIndex) {
        let heaviest = self.heaviest(|_| true);
        let entry = &mut self.entries[orchestrator.0];
        entry.paid += heaviest / entry.weight;
        if entry.passed {
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
        let (own, pollers) = (self.entries[orchestrator.0].weight, pollers as f64);
        let others = self.others(orchestrator).filter(|entry| entry.is_lively(now));
        let others = others.filter_map(|entry| Some((entry.lively?.1 as f64, entry.weight)));
        let others: Vec<_> = others.collect();
        if others.iter().any(|(theirs, weight)| pollers * weight > (theirs + 1.0) * own) {
            Share::More
        } else if others.iter().all(|(theirs, weight)| (pollers + 1.0) * weight <= (theirs + 1.0) * own) {
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
                self.heaviest(|entry| !entry.down).max(own) / own
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
        self.catch_up(orchestrator, now);
        true
    }

    fn heaviest(&self, counts: impl Fn(&Contender) -> bool) -> f64 {
        self.entries.iter().filter(|entry| counts(entry)).map(|entry| entry.weight).fold(1.0, f64::max)
    }

    /// Takes from an orchestrator the turns it has saved up while it did not compete.
    fn catch_up(&mut self, orchestrator: OrchestratorIndex, now: Instant) {
        let rivals = self.others(orchestrator).filter(|entry| !entry.down && entry.competes(now));
        if let Some(least) = rivals.map(|entry| entry.paid).min_by(f64::total_cmp) {
            let paid = &mut self.entries[orchestrator.0].paid;
            *paid = paid.max(least);
        }
    }

    fn others(&self, orchestrator: OrchestratorIndex) -> impl Iterator<Item = &Contender> {
        let others = self.entries.iter().enumerate().filter(move |(index, _)| *index != orchestrator.0);
        others.map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests;
