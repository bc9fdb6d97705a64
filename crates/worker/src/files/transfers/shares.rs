//! Whose transfer is next.
//!
//! A transfer takes one **place** and, if it is to be in memory, some **pieces** of that. One task may have less than there
//! is of both: what is left lets another begin at once, however long the first one's transfers take.
//!
//! | somebody waits | next |
//! |---|---|
//! | and his task has all that one task may have | he goes on waiting until it gives something back |
//! | and there is a place and what he wants of memory | whose task has the fewest places has it, of these who waits longest |
//! | and there is a place, but too little memory | what there is of memory is kept for him; those that want none may pass |

use std::collections::{BTreeMap, HashMap};

/// One task, to the limit.
pub(in crate::files) type Who = u64;

/// One that waits, or has waited.
pub(super) type Number = u64;

/// So much of what transfers take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::files) struct Amount {
    pub(in crate::files) places: usize,
    pub(in crate::files) pieces: usize,
}

/// What there is, who has it, and who waits for it.
#[derive(Debug)]
pub(super) struct Shares {
    free: Amount,
    /// What one task may have.
    share: Amount,
    used: HashMap<Who, Amount>,
    /// In the order they came, with the pieces they want.
    waiting: BTreeMap<Number, (Who, usize)>,
    next: Number,
}

/// What somebody has got.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) number: Number,
    pub(super) who: Who,
    pub(super) pieces: usize,
}

impl Shares {
    pub(super) fn new(all: Amount, share: Amount) -> Self {
        Self { free: all, share, used: HashMap::new(), waiting: BTreeMap::new(), next: 0 }
    }

    /// Somebody wants to begin. Of more pieces than one task may have, he gets those.
    pub(super) fn ask(&mut self, who: Who, pieces: usize) -> Number {
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, (who, pieces.min(self.share.pieces)));
        number
    }

    /// Somebody does not wait any more.
    pub(super) fn withdraw(&mut self, number: Number) {
        self.waiting.remove(&number);
    }

    pub(super) fn give_back(&mut self, who: Who, amount: Amount) {
        self.free.places += amount.places;
        self.free.pieces += amount.pieces;
        if let Some(used) = self.used.get_mut(&who) {
            used.places -= amount.places;
            used.pieces -= amount.pieces;
            if *used == Amount::default() {
                self.used.remove(&who);
            }
        }
    }

    /// Lets the next one begin. To be asked until there is none, after whatever happens.
    pub(super) fn grant(&mut self) -> Option<Granted> {
        let granted = self.whose_turn()?;
        self.waiting.remove(&granted.number);
        self.free.places -= 1;
        self.free.pieces -= granted.pieces;
        let used = self.used.entry(granted.who).or_default();
        used.places += 1;
        used.pieces += granted.pieces;
        Some(granted)
    }

    fn whose_turn(&self) -> Option<Granted> {
        if self.free.places == 0 {
            return None;
        }
        let first = self.first(|_| true)?;
        if first.pieces <= self.free.pieces { Some(first) } else { self.first(|pieces| pieces == 0) }
    }

    /// The first of those who want so much, and whose tasks may have it.
    fn first(&self, wants: impl Fn(usize) -> bool) -> Option<Granted> {
        let used = |who: Who| self.used.get(&who).copied().unwrap_or_default();
        let fits = |who: Who, pieces: usize| {
            used(who).places < self.share.places && used(who).pieces + pieces <= self.share.pieces
        };
        let mine = self.waiting.iter().filter(|(_, (who, pieces))| wants(*pieces) && fits(*who, *pieces));
        let (number, (who, pieces)) = mine.min_by_key(|(number, (who, _))| (used(*who).places, **number))?;
        Some(Granted { number: *number, who: *who, pieces: *pieces })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: Amount = Amount { places: 8, pieces: 48 };
    const SHARE: Amount = Amount { places: 7, pieces: 32 };
    const PLACE: Amount = Amount { places: 1, pieces: 0 };
    const NOBODY: [Who; 0] = [];

    fn shares() -> Shares {
        Shares::new(ALL, SHARE)
    }

    /// Has somebody ask so often, and says whose transfers begin then.
    fn asked(shares: &mut Shares, who: Who, pieces: usize, times: usize) -> Vec<Who> {
        for _ in 0..times {
            shares.ask(who, pieces);
        }
        begun(shares)
    }

    fn returned(shares: &mut Shares, who: Who, amount: Amount) -> Vec<Who> {
        shares.give_back(who, amount);
        begun(shares)
    }

    fn begun(shares: &mut Shares) -> Vec<Who> {
        std::iter::from_fn(|| shares.grant()).map(|granted| granted.who).collect()
    }

    #[test]
    fn a_task_with_any_number_of_files_leaves_a_place_for_another() {
        let mut shares = shares();
        assert_eq!(asked(&mut shares, 1, 0, 40), [1; 7]);
        assert_eq!(asked(&mut shares, 2, 0, 2), [2]);
        assert_eq!(asked(&mut shares, 3, 0, 1), NOBODY);
    }

    #[test]
    fn a_task_with_large_files_leaves_memory_for_another() {
        let mut shares = shares();
        assert_eq!(asked(&mut shares, 1, 8, 40), [1; 4]);
        // The largest file that goes in one request.
        assert_eq!(asked(&mut shares, 2, 16, 1), [2]);
        assert_eq!(asked(&mut shares, 1, 0, 40), [1; 3], "what is in no memory goes on");
    }

    #[test]
    fn a_place_that_is_free_goes_to_the_task_that_has_the_fewest() {
        let mut shares = shares();
        assert_eq!(asked(&mut shares, 1, 0, 40), [1; 7]);
        assert_eq!(asked(&mut shares, 2, 0, 40), [2]);
        assert_eq!(asked(&mut shares, 3, 0, 40), NOBODY);
        let gets = |shares: &mut Shares, from| returned(shares, from, PLACE);
        let next: Vec<Who> = (0..6).flat_map(|_| gets(&mut shares, 1)).collect();
        // From seven, one and none to three, three and two. Then two have two, and the first one's wait longer.
        assert_eq!(next, [3, 2, 3, 2, 1, 1]);
        assert_eq!(gets(&mut shares, 2), [2]);
    }

    #[test]
    fn among_equals_who_came_first_is_next() {
        let mut shares = Shares::new(Amount { places: 2, pieces: 0 }, PLACE);
        assert_eq!(asked(&mut shares, 9, 0, 1), [9]);
        assert_eq!(asked(&mut shares, 8, 0, 1), [8]);
        for who in [5, 3, 7] {
            assert_eq!(asked(&mut shares, who, 0, 1), NOBODY);
        }
        let next: Vec<Who> =
            [9, 8, 5].into_iter().flat_map(|who| returned(&mut shares, who, PLACE)).collect();
        assert_eq!(next, [5, 3, 7]);
    }

    #[test]
    fn who_waits_for_much_memory_is_passed_only_by_those_who_want_none() {
        let mut shares = shares();
        assert_eq!(asked(&mut shares, 1, 8, 4), [1; 4]);
        assert_eq!(asked(&mut shares, 2, 8, 1), [2]);
        assert_eq!(asked(&mut shares, 3, 16, 1), NOBODY, "8 are left");
        assert_eq!(asked(&mut shares, 4, 1, 1), NOBODY, "it came later");
        assert_eq!(asked(&mut shares, 5, 0, 1), [5]);
        assert_eq!(returned(&mut shares, 1, Amount { places: 1, pieces: 8 }), [3]);
        assert_eq!(returned(&mut shares, 2, Amount { places: 1, pieces: 8 }), [4]);
    }

    #[test]
    fn who_withdraws_stands_in_nobodys_way() {
        let mut shares = shares();
        asked(&mut shares, 1, 16, 2);
        asked(&mut shares, 2, 8, 1);
        let much = shares.ask(3, 16);
        assert_eq!(asked(&mut shares, 4, 8, 1), NOBODY);
        shares.withdraw(much);
        assert_eq!(begun(&mut shares), [4]);
    }

    #[test]
    fn who_wants_more_than_one_task_may_have_gets_what_it_may_have() {
        let mut shares = shares();
        let number = shares.ask(1, 1000);
        assert_eq!(shares.grant(), Some(Granted { number, who: 1, pieces: SHARE.pieces }));
    }

    proptest! {
        #[test]
        fn nobody_has_too_much_and_nobody_waits_in_vain(
            steps in prop::collection::vec((0_u64..5, 0_usize..40, 0_u8..4), 1..200)
        ) {
            let mut shares = shares();
            let mut had: Vec<(Who, Amount)> = Vec::new();
            let (mut wanted, mut got) = (0, 0);
            for (who, pieces, what) in steps {
                match what {
                    0 | 1 => {
                        shares.ask(who, pieces);
                        wanted += 1;
                    }
                    _ if had.is_empty() => {}
                    2 => {
                        let (who, amount) = had.swap_remove(pieces % had.len());
                        shares.give_back(who, amount);
                    }
                    // Memory may be needed for longer than the place, and the other way round.
                    _ => {
                        let index = pieces % had.len();
                        let (who, amount) = &mut had[index];
                        shares.give_back(*who, Amount { places: amount.places, pieces: 0 });
                        amount.places = 0;
                    }
                }
                got += grant_all(&mut shares, &mut had);
            }
            while let Some((who, amount)) = had.pop() {
                shares.give_back(who, amount);
                got += grant_all(&mut shares, &mut had);
            }
            prop_assert_eq!(got, wanted);
            prop_assert_eq!(shares.free, ALL);
            prop_assert!(shares.used.is_empty());
        }
    }

    /// Lets begin who may, and looks at each whether it was his turn.
    fn grant_all(shares: &mut Shares, had: &mut Vec<(Who, Amount)>) -> usize {
        let mut granted = 0;
        loop {
            let places = |who: Who| shares.used.get(&who).map_or(0, |used| used.places);
            let before: HashMap<Who, usize> =
                shares.waiting.values().map(|(who, _)| (*who, places(*who))).collect();
            let without: Vec<Who> =
                shares.waiting.values().filter(|(_, pieces)| *pieces == 0).map(|(who, _)| *who).collect();
            let Some(next) = shares.grant() else { break };
            granted += 1;
            for other in without {
                assert!(before[&next.who] <= before[&other] || next.who == other, "{other} has fewer");
            }
            had.push((next.who, Amount { places: 1, pieces: next.pieces }));
            let used = shares.used[&next.who];
            assert!(used.places <= SHARE.places && used.pieces <= SHARE.pieces, "{used:?}");
            let all = shares.used.values().fold(Amount::default(), |sum, used| Amount {
                places: sum.places + used.places,
                pieces: sum.pieces + used.pieces,
            });
            assert_eq!((all.places + shares.free.places, all.pieces + shares.free.pieces), (8, 48));
        }
        granted
    }
}
