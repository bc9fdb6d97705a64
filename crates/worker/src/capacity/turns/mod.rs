//! Whose turn it is to poll, when more polls are wished for than there are slots. Pure.
//!
//! Weighted round robin in its smooth form: each poll of an orchestrator costs it a *stride*, the heaviest weight
//! divided by its own, and the one that has paid least goes next. Where ranks decide (`WATERFALL`, `FAILOVER`), the
//! first in the list goes next that has not just had nothing; a task begins the list anew.
//!
//! What was paid is remembered only among orchestrators that compete: one that comes back after a pause has neither
//! saved up turns nor lost any, and one that had much to itself owes whoever waits at most [`LONGEST_DEBT`] strides.

use std::cmp::Reverse;
use std::time::Duration;

use tokio::time::Instant;

/// An orchestrator whose poll brought a task is about to poll again, for so long.
const LIVELY_FOR: Duration = Duration::from_secs(1);

/// However much one polled while nobody else did, it waits for no more turns than this.
const LONGEST_DEBT: f64 = 4.0;

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// The weights: `ROUND_ROBIN`.
    Weight,
    /// The place in the list.
    Rank,
}

/// How many pollers an orchestrator should have, beside those it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// One more may begin.
    Less,
    /// One more may begin even without a slot for it: only among those that wait in line the weights decide.
    Lacking,
    Exact,
    /// One should end, so that others get theirs.
    More,
}

/// The turns of all orchestrators of a worker.
#[derive(Debug)]
pub(crate) struct Turns {
    precedence: Precedence,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    weight: u32,
    /// What its polls have cost it.
    paid: f64,
    /// Pollers that wait for a slot.
    wishes: usize,
    down: bool,
    /// Its last poll brought nothing, and no other's has brought a task since.
    passed: bool,
    /// When a poll brought a task last, and how many pollers there were.
    lively: Option<(Instant, usize)>,
}

impl Entry {
    fn is_lively(&self, now: Instant) -> bool {
        self.lively.is_some_and(|(at, _)| now.duration_since(at) < LIVELY_FOR)
    }

    fn competes(&self, now: Instant) -> bool {
        self.wishes > 0 || self.is_lively(now)
    }
}

impl Turns {
    /// Orchestrators with these weights, each at least 1, in the order of their ranks.
    pub(crate) fn new(precedence: Precedence, weights: &[u32]) -> Self {
        let entry = |weight: &u32| Entry {
            weight: *weight,
            paid: 0.0,
            wishes: 0,
            down: false,
            passed: false,
            lively: None,
        };
        Self { precedence, entries: weights.iter().map(entry).collect() }
    }

    /// How many orchestrators there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A poller of this orchestrator waits for a slot from now on.
    pub(crate) fn wish(&mut self, who: usize, now: Instant) {
        if !self.entries[who].competes(now)
            && let Some(least) = self.least_paid_beside(who, now)
        {
            let paid = &mut self.entries[who].paid;
            *paid = paid.max(least);
        }
        self.entries[who].wishes += 1;
        self.forgive();
    }

    /// Nobody who waits owes the others too much.
    fn forgive(&mut self) {
        let heaviest = f64::from(self.heaviest(|_| true));
        let in_line = |entry: &&mut Entry| entry.wishes > 0 && !entry.down;
        let least = self.entries.iter_mut().filter(in_line).map(|entry| entry.paid).min_by(f64::total_cmp);
        let Some(least) = least else { return };
        for entry in self.entries.iter_mut().filter(in_line) {
            entry.paid = entry.paid.min(least + LONGEST_DEBT * heaviest / f64::from(entry.weight));
        }
    }

    /// It waits no longer.
    pub(crate) fn withdraw(&mut self, who: usize) {
        self.entries[who].wishes -= 1;
    }

    /// Whether pollers of others that are up wait for a slot.
    pub(crate) fn others_wait(&self, who: usize) -> bool {
        let mut others = self.entries.iter().enumerate().filter(|(index, _)| *index != who);
        others.any(|(_, entry)| entry.wishes > 0 && !entry.down)
    }

    /// Who takes the next slot of those that are free, of those who wait.
    pub(crate) fn next(&self, free: usize) -> Option<usize> {
        if free == 0 {
            return None;
        }
        let all_down = self.entries.iter().all(|entry| entry.down);
        // A poll to one that is down may hang: it never takes the last slot while another is up.
        let waiting = |down: bool| {
            let of_these = self.entries.iter().enumerate();
            of_these.filter(move |(_, entry)| entry.wishes > 0 && entry.down == down).map(|(index, _)| index)
        };
        self.first_of(waiting(false))
            .or_else(|| self.first_of(waiting(true)).filter(|_| free > 1 || all_down))
    }

    fn first_of(&self, waiting: impl Iterator<Item = usize>) -> Option<usize> {
        match self.precedence {
            Precedence::Rank => waiting.min_by_key(|who| (self.entries[*who].passed, *who)),
            Precedence::Weight => waiting.min_by(|one, other| {
                let (a, b) = (&self.entries[*one], &self.entries[*other]);
                a.paid.total_cmp(&b.paid).then(Reverse(a.weight).cmp(&Reverse(b.weight))).then(one.cmp(other))
            }),
        }
    }

    /// A poll was sent to this orchestrator.
    pub(crate) fn sent(&mut self, who: usize) {
        self.entries[who].paid += self.stride_of(who, self.heaviest(|_| true));
        if self.entries[who].passed {
            // Everybody who waits has had nothing.
            self.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.passed = false);
    }

    /// A poll brought nothing.
    pub(crate) fn brought_nothing(&mut self, who: usize) {
        self.entries[who].passed = true;
    }

    /// A poll brought a task to an orchestrator that has so many pollers. How many it should have.
    pub(crate) fn brought_task(&mut self, who: usize, pollers: usize, now: Instant) -> Share {
        self.entries[who].lively = Some((now, pollers));
        self.begin_anew();
        if self.precedence == Precedence::Rank {
            return Share::Less;
        }
        let (own, pollers) = (u64::from(self.entries[who].weight), pollers as u64);
        let mut others = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some((_, theirs)) = entry.lively
                && index != who
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

    /// How many times longer than the heaviest that is up this one pauses after an empty answer.
    pub(crate) fn stride(&self, who: usize) -> f64 {
        match self.precedence {
            Precedence::Rank => 1.0,
            Precedence::Weight => {
                self.stride_of(who, self.heaviest(|entry| !entry.down).max(self.entries[who].weight))
            }
        }
    }

    /// Whether this orchestrator is down. True when that is news. One that comes back has saved up nothing.
    pub(crate) fn set_down(&mut self, who: usize, down: bool, now: Instant) -> bool {
        if self.entries[who].down == down {
            return false;
        }
        self.entries[who].down = down;
        if let Some(least) = self.least_paid_beside(who, now) {
            let paid = &mut self.entries[who].paid;
            *paid = paid.max(least);
        }
        true
    }

    fn stride_of(&self, who: usize, heaviest: u32) -> f64 {
        f64::from(heaviest) / f64::from(self.entries[who].weight)
    }

    fn heaviest(&self, counts: impl Fn(&Entry) -> bool) -> u32 {
        self.entries.iter().filter(|entry| counts(entry)).map(|entry| entry.weight).max().unwrap_or(1)
    }

    fn least_paid_beside(&self, who: usize, now: Instant) -> Option<f64> {
        let others = self.entries.iter().enumerate();
        let others = others.filter(|(index, entry)| *index != who && !entry.down && entry.competes(now));
        others.map(|(_, entry)| entry.paid).min_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests;
