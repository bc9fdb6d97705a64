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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The next `count` polls when every orchestrator always wishes for one, but those that are down.
    fn polls(turns: &mut Turns, count: usize) -> Vec<usize> {
        (0..count)
            .map(|_| {
                let who = turns.next(2).expect("somebody wishes");
                turns.sent(who);
                who
            })
            .collect()
    }

    fn all_wish(precedence: Precedence, weights: &[u32], now: Instant) -> Turns {
        let mut turns = Turns::new(precedence, weights);
        for who in 0..weights.len() {
            turns.wish(who, now);
        }
        turns
    }

    fn count(polls: &[usize], who: usize) -> usize {
        polls.iter().filter(|poll| **poll == who).count()
    }

    #[test]
    fn polls_follow_the_weights() {
        let now = Instant::now();
        let polls = polls(&mut all_wish(Precedence::Weight, &[100, 50, 10], now), 160);
        assert_eq!((count(&polls, 0), count(&polls, 1), count(&polls, 2)), (100, 50, 10));
        assert_eq!(
            polls[..8],
            [0, 1, 2, 0, 0, 1, 0, 0],
            "smooth: the heaviest does not go first all at once"
        );
    }

    #[test]
    fn ranks_go_in_order() {
        let now = Instant::now();
        let mut turns = all_wish(Precedence::Rank, &[1, 100], now);
        assert_eq!(polls(&mut turns, 3), [0, 0, 0]);
        turns.withdraw(0);
        assert_eq!(turns.next(1), Some(1));
    }

    #[test]
    fn who_has_nothing_lets_those_after_it_go_until_there_is_a_task() {
        let now = Instant::now();
        let mut turns = all_wish(Precedence::Rank, &[1, 1, 1], now);
        for who in [0, 1, 2, 0, 1] {
            assert_eq!(polls(&mut turns, 1), [who]);
            turns.brought_nothing(who);
        }
        turns.brought_task(1, 1, now);
        assert_eq!(polls(&mut turns, 1), [0]);
    }

    #[test]
    fn one_that_is_down_gets_no_slot_that_another_could_use() {
        let now = Instant::now();
        let mut turns = all_wish(Precedence::Weight, &[100, 1], now);
        assert!(turns.set_down(0, true, now) && !turns.set_down(0, true, now));
        assert_eq!(turns.next(2), Some(1));
        turns.withdraw(1);
        assert_eq!((turns.next(1), turns.next(2)), (None, Some(0)), "the last slot is kept for who is up");
        turns.set_down(1, true, now);
        assert_eq!(turns.next(1), Some(0), "there is nobody to keep it for");
    }

    #[test]
    fn one_that_is_up_again_has_saved_up_nothing() {
        let now = Instant::now();
        let mut turns = all_wish(Precedence::Weight, &[1, 1], now);
        turns.set_down(0, true, now);
        polls(&mut turns, 1000);
        turns.set_down(0, false, now);
        assert_eq!(count(&polls(&mut turns, 10), 0), 5);
    }

    #[test]
    fn who_comes_back_has_saved_up_nothing() {
        let began = Instant::now();
        let mut turns = Turns::new(Precedence::Weight, &[1, 1]);
        turns.wish(0, began);
        polls(&mut turns, 1000);
        let later = began + LIVELY_FOR;
        turns.wish(1, later);
        let polls = polls(&mut turns, 10);
        assert_eq!(count(&polls, 0), 5, "{polls:?}");
    }

    #[test]
    fn what_was_polled_beside_a_lively_one_is_owed_but_not_for_ever() {
        let now = Instant::now();
        let mut turns = Turns::new(Precedence::Weight, &[10, 1]);
        turns.brought_task(0, 1, now);
        for _ in 0..1000 {
            turns.sent(1);
        }
        turns.wish(0, now);
        turns.wish(1, now);
        let polls = polls(&mut turns, 60);
        assert_eq!(
            polls.iter().position(|who| *who == 1),
            Some(41),
            "four strides of ten, and the heavier goes first"
        );
    }

    #[test]
    fn pollers_grow_by_weight_among_those_that_have_tasks() {
        let now = Instant::now();
        let mut turns = Turns::new(Precedence::Weight, &[100, 50, 10]);
        let mut pollers = [1, 1, 1];
        for _ in 0..20 {
            for (who, count) in pollers.iter_mut().enumerate() {
                match turns.brought_task(who, *count, now) {
                    Share::Less | Share::Lacking => *count = (*count + 1).min(8),
                    Share::More => *count = (*count - 1).max(1),
                    Share::Exact => {}
                }
            }
        }
        assert_eq!(pollers, [8, 4, 1]);
        assert_eq!(turns.brought_task(2, 8, now), Share::More);
        assert_eq!(turns.brought_task(0, 1, now), Share::Lacking, "it has less than its share, slots or not");
        let later = now + LIVELY_FOR;
        assert_eq!(turns.brought_task(2, 1, later), Share::Less, "the others have no tasks any more");
    }

    #[test]
    fn pauses_are_as_long_as_the_weight_is_light() {
        let now = Instant::now();
        let mut turns = Turns::new(Precedence::Weight, &[100, 50, 10]);
        let strides = |turns: &Turns| [0, 1, 2].map(|who| format!("{:.1}", turns.stride(who)));
        assert_eq!(strides(&turns), ["1.0", "2.0", "10.0"]);
        turns.set_down(0, true, now);
        assert_eq!(strides(&turns), ["1.0", "1.0", "5.0"], "its share goes to the others");
        assert!((Turns::new(Precedence::Rank, &[100, 1]).stride(1) - 1.0).abs() < f64::EPSILON);
    }

    proptest! {
        /// The weights hold over any window, give or take one for each orchestrator, and nobody starves.
        #[test]
        fn weights_hold_over_any_window(
            weights in proptest::collection::vec(1u32..200, 1..6),
            start in 0usize..500,
            length in 1usize..500,
        ) {
            let now = Instant::now();
            let mut turns = all_wish(Precedence::Weight, &weights, now);
            let all = polls(&mut turns, start + length);
            let window = &all[start..];
            let total: u32 = weights.iter().sum();
            for (who, weight) in weights.iter().enumerate() {
                let fair = length as f64 * f64::from(*weight) / f64::from(total);
                let got = count(window, who) as f64;
                prop_assert!((got - fair).abs() <= weights.len() as f64, "{who}: {got} of {fair} in {weights:?}");
            }
        }

        /// One that is down costs the others nothing: they poll as if it were not there.
        #[test]
        fn a_dead_one_costs_the_others_nothing(
            weights in proptest::collection::vec(1u32..200, 2..6),
            dead in 0usize..6,
        ) {
            let now = Instant::now();
            let dead = dead % weights.len();
            let mut turns = all_wish(Precedence::Weight, &weights, now);
            turns.set_down(dead, true, now);
            let with = polls(&mut turns, 300);
            let mut without = weights.clone();
            without.remove(dead);
            let alone = polls(&mut all_wish(Precedence::Weight, &without, now), 300);
            let renumbered: Vec<usize> = alone.iter().map(|who| who + usize::from(*who >= dead)).collect();
            // Strides are measured against the heaviest, dead or not: ties may be broken otherwise.
            for who in 0..weights.len() {
                let difference = count(&with, who).abs_diff(count(&renumbered, who));
                prop_assert!(difference <= 1, "{who}: {difference} in {weights:?}");
            }
            prop_assert_eq!(count(&with, dead), 0);
        }

        /// Whoever wishes is served before long, whatever the others do and however long it was away.
        #[test]
        fn nobody_starves(
            weights in proptest::collection::vec(1u32..50, 2..5),
            steps in proptest::collection::vec((0usize..5, 0u8..4), 1..200),
        ) {
            let mut now = Instant::now();
            let mut turns = Turns::new(Precedence::Weight, &weights);
            for (who, step) in steps {
                let who = who % weights.len();
                match step {
                    0 => turns.sent(who),
                    1 => { turns.brought_task(who, 1, now); }
                    2 => now += Duration::from_millis(400),
                    _ => { turns.wish(who, now); turns.sent(who); turns.withdraw(who); }
                }
            }
            for who in 0..weights.len() {
                turns.wish(who, now);
            }
            // As many turns as everybody's debts of all strides add up to, at most.
            let total: u32 = weights.iter().sum();
            let served = polls(&mut turns, (total as usize + weights.len()) * 6);
            for who in 0..weights.len() {
                prop_assert!(count(&served, who) > 0, "{who} of {weights:?}");
            }
        }
    }
}
