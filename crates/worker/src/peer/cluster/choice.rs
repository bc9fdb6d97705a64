//! The address of a cluster that the next exchange goes to. Pure.
//!
//! | an exchange with an address | the address |
//! |---|---|
//! | is answered | is as good as any |
//! | fails | comes after all others for 10 s, for 20 s if it fails then, and so on up to 60 s |
//!
//! After that time a single exchange tests it. Until that one is answered, the address still comes after all others: if it
//! hangs, it holds up one exchange and not all of them.
//!
//! Of those that are as good as any, the first in the list comes first. With `ROUND_ROBIN`, polls take turns by weight.

use std::time::Duration;

use tokio::time::Instant;

/// The time for which an address is avoided after its first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// The longest time for which an address is avoided.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The addresses of a cluster, as far as it is known which of them answer.
#[derive(Debug)]
pub(super) struct Choice {
    addresses: Vec<AddressState>,
    /// Polls take turns.
    takes_turns: bool,
}

#[derive(Debug)]
struct AddressState {
    weight: f64,
    /// What it lacks of its share of polls.
    credit: f64,
    trouble: Option<Trouble>,
}

/// The failures of an address since its last answer.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    pause: Duration,
    until: Instant,
    /// An exchange tests it: the pause was begun anew for the others.
    is_tested: bool,
}

impl Choice {
    /// Addresses with these weights, in the order in which they are preferred.
    pub(super) fn new(weights: &[u32], takes_turns: bool) -> Self {
        let address =
            |weight: &u32| AddressState { weight: f64::from((*weight).max(1)), credit: 0.0, trouble: None };
        Self { addresses: weights.iter().map(address).collect(), takes_turns }
    }

    /// All addresses, in the order in which an exchange tries them.
    pub(super) fn order(&mut self, is_poll: bool, now: Instant) -> Vec<usize> {
        let is_good = |address: &AddressState| address.trouble.is_none_or(|trouble| trouble.until <= now);
        let (mut order, mut rest): (Vec<_>, Vec<_>) =
            (0..self.addresses.len()).partition(|index| is_good(&self.addresses[*index]));
        rest.sort_by_key(|index| self.addresses[*index].trouble.map(|trouble| trouble.until));
        if is_poll && self.takes_turns && order.len() > 1 {
            let first = self.take_turn(&order);
            order.swap(0, first);
        }
        if let Some(trouble) = order.first().and_then(|first| self.addresses[*first].trouble.as_mut()) {
            (trouble.until, trouble.is_tested) = (now + trouble.pause, true);
        }
        order.extend(rest);
        order
    }

    /// Smooth weighted round robin among these addresses. Returns the position of the one whose turn it is.
    fn take_turn(&mut self, among: &[usize]) -> usize {
        let all: f64 = among.iter().map(|index| self.addresses[*index].weight).sum();
        for index in among {
            let address = &mut self.addresses[*index];
            address.credit += address.weight;
        }
        let credit = |position: &usize| self.addresses[among[*position]].credit;
        // The first of equal ones.
        let next =
            (0..among.len()).rev().max_by(|one, other| credit(one).total_cmp(&credit(other))).unwrap_or(0);
        self.addresses[among[next]].credit -= all;
        next
    }

    /// Takes in that an address answered. Returns true if it failed before.
    pub(super) fn on_answer(&mut self, index: usize) -> bool {
        self.addresses[index].trouble.take().is_some()
    }

    /// Takes in that an exchange with an address, begun at the time `began`, failed. Returns true if it did not fail before.
    pub(super) fn on_failure(&mut self, index: usize, began: Instant, now: Instant) -> bool {
        let address = &mut self.addresses[index];
        let pause = match address.trouble {
            // Exchanges that were under way together are one failure.
            Some(trouble) if began < trouble.until && !trouble.is_tested => return false,
            Some(trouble) => (trouble.pause * 2).min(MAX_PAUSE),
            None => FIRST_PAUSE,
        };
        address.trouble.replace(Trouble { pause, until: now + pause, is_tested: false }).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_address_that_fails_comes_last_for_longer_and_longer_until_it_answers() {
        let began = Instant::now();
        let at = |seconds: u32| began + seconds * SECOND;
        let mut choice = Choice::new(&[1, 1, 1], false);
        assert_eq!(choice.order(false, began), [0, 1, 2]);
        assert!(choice.on_failure(0, at(0), at(0)));
        assert!(!choice.on_failure(0, at(0), at(1)), "it was under way");
        assert_eq!(choice.order(true, at(9)), [1, 2, 0]);
        assert_eq!(choice.order(true, at(10)), [0, 1, 2], "it is tried again");
        assert_eq!(choice.order(false, at(11)), [1, 2, 0], "by one exchange alone");
        assert!(!choice.on_failure(0, at(10), at(11)));
        assert!(!choice.on_failure(0, at(10), at(12)), "it was under way too");
        assert_eq!(choice.order(false, at(30)), [1, 2, 0]);
        choice.on_failure(1, at(20), at(20));
        assert_eq!(choice.order(false, at(29)), [2, 1, 0], "the one whose pause ends first");
        for _ in 0..5 {
            choice.on_failure(0, at(1000), at(1000));
        }
        assert!(choice.on_answer(0) && !choice.on_answer(0));
        assert!(choice.on_answer(1));
        assert_eq!(choice.order(false, at(1001)), [0, 1, 2]);
    }

    #[test]
    fn one_exchange_after_the_other_tests_an_address_that_hangs() {
        let began = Instant::now();
        let at = |seconds: u32| began + seconds * SECOND;
        let mut choice = Choice::new(&[1, 1], false);
        choice.on_failure(0, at(0), at(0));
        // None of them ends.
        let tests = (0..50).filter(|seconds| choice.order(false, at(*seconds))[0] == 0);
        assert_eq!(tests.collect::<Vec<_>>(), [10, 20, 30, 40]);
        choice.on_failure(0, at(40), at(50));
        assert_eq!(choice.order(false, at(69)), [1, 0]);
        assert_eq!(choice.order(false, at(70)), [0, 1]);
        choice.on_answer(0);
        assert_eq!(choice.order(false, at(71)), [0, 1]);
    }

    #[test]
    fn polls_take_turns_by_weight_among_those_that_answer() {
        let now = Instant::now();
        let mut choice = Choice::new(&[2, 1, 1], true);
        let polls = |choice: &mut Choice| (0..8).map(|_| choice.order(true, now)[0]).collect::<Vec<_>>();
        assert_eq!(polls(&mut choice), [0, 1, 2, 0, 0, 1, 2, 0]);
        assert_eq!(choice.order(false, now), [0, 1, 2], "the rest prefers the first");
        choice.on_failure(0, now, now);
        assert_eq!(polls(&mut choice), [1, 2, 1, 2, 1, 2, 1, 2]);
        assert_eq!(choice.order(true, now).len(), 3);
    }
}
