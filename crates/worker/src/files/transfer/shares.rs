//! The decision whose transfer is next. Pure.
//!
//! A transfer takes one **place**, and **pieces** of memory for what it keeps there. One task may have less than all of
//! both: the rest lets another task begin at once, however long the transfers of the first task take.
//!
//! | state of a waiting request | decision |
//! |---|---|
//! | its task has all that one task may have | the request waits until the task returns something |
//! | a place and enough memory are free | the task with the fewest places is next; among equals, the request that waits longest |
//! | a place is free, but too little memory | the free memory is kept for the request; only requests without memory pass it |
//! | it is for a part, and as many parts run as may run at once (`parts`) | the request waits until one of them has ended |

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::parts::Parts;

/// The number of a task, for its share of the transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::files) struct TaskNumber(pub(in crate::files) u64);

/// The number of a request, in the order of arrival.
pub(super) type RequestNumber = u64;

/// An amount of places and of pieces of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::files) struct Amount {
    pub(in crate::files) places: usize,
    pub(in crate::files) pieces: usize,
}

/// The free amount, the amounts of the tasks, and the waiting requests.
#[derive(Debug)]
pub(super) struct Shares<T> {
    free: Amount,
    /// The most that one task may have.
    share: Amount,
    used: HashMap<TaskNumber, Amount>,
    /// In order of arrival.
    waiting: BTreeMap<RequestNumber, Request<T>>,
    next: RequestNumber,
    parts: Parts,
}

/// A task's request for a place and pieces of memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<T> {
    pub(super) task: TaskNumber,
    pub(super) pieces: usize,
    /// Whether it is for a part of a large object.
    pub(super) is_part: bool,
    /// Tells the requester that the request is granted.
    pub(super) granted: T,
}

impl<T> Shares<T> {
    pub(super) fn new(all: Amount, share: Amount) -> Self {
        let parts = Parts::new(all.places);
        Self { free: all, share, used: HashMap::new(), waiting: BTreeMap::new(), next: 0, parts }
    }

    /// Adds a request. One for more pieces than one task may have is cut to that.
    pub(super) fn ask(&mut self, request: Request<T>) -> RequestNumber {
        let number = self.next;
        self.next += 1;
        let pieces = request.pieces.min(self.share.pieces);
        self.waiting.insert(number, Request { pieces, ..request });
        number
    }

    /// Counts a transfer that is under way as a part, whatever the limit.
    pub(super) fn begin_part(&mut self) {
        self.parts.begin();
    }

    /// A part has ended that moved this many bytes in this time.
    pub(super) fn end_part(&mut self, bytes: u64, time: Duration) {
        self.parts.end(bytes, time);
    }

    /// Removes a request that may be granted already.
    pub(super) fn withdraw(&mut self, number: RequestNumber) -> Option<Request<T>> {
        self.waiting.remove(&number)
    }

    /// Returns an amount of a task.
    pub(super) fn give_back(&mut self, task: TaskNumber, amount: Amount) {
        self.free.places += amount.places;
        self.free.pieces += amount.pieces;
        if let Some(used) = self.used.get_mut(&task) {
            used.places -= amount.places;
            used.pieces -= amount.pieces;
            if *used == Amount::default() {
                self.used.remove(&task);
            }
        }
    }

    /// Grants the next request. To be called after each change, until it returns None.
    pub(super) fn grant(&mut self) -> Option<Request<T>> {
        let granted = self.waiting.remove(&self.whose_turn()?)?;
        self.free.places -= 1;
        self.free.pieces -= granted.pieces;
        if granted.is_part {
            self.parts.begin();
        }
        let used = self.used.entry(granted.task).or_default();
        used.places += 1;
        used.pieces += granted.pieces;
        Some(granted)
    }

    fn whose_turn(&self) -> Option<RequestNumber> {
        if self.free.places == 0 {
            return None;
        }
        let (first, pieces) = self.first(|_| true)?;
        if pieces <= self.free.pieces { Some(first) } else { Some(self.first(|pieces| pieces == 0)?.0) }
    }

    /// Returns the next of the requests whose number of pieces fits, and whose tasks may have it.
    fn first(&self, fits: impl Fn(usize) -> bool) -> Option<(RequestNumber, usize)> {
        let used = |request: &Request<T>| self.used.get(&request.task).copied().unwrap_or_default();
        let may_have = |request: &Request<T>| {
            let used = used(request);
            let may_begin = !request.is_part || self.parts.may_begin();
            may_begin && used.places < self.share.places && used.pieces + request.pieces <= self.share.pieces
        };
        let possible = self.waiting.iter().filter(|(_, request)| fits(request.pieces) && may_have(request));
        // Among equals, the first is the one that waits longest.
        let next = possible.min_by_key(|(_, request)| used(request).places);
        next.map(|(number, request)| (*number, request.pieces))
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: Amount = Amount { places: 8, pieces: 48 };
    const SHARE: Amount = Amount { places: 7, pieces: 32 };
    const PLACE: Amount = Amount { places: 1, pieces: 0 };
    const NONE: [u64; 0] = [];

    fn shares() -> Shares<()> {
        Shares::new(ALL, SHARE)
    }

    /// Adds requests of one task, and returns the tasks whose transfers begin then.
    fn asked(shares: &mut Shares<()>, task: u64, pieces: usize, times: usize) -> Vec<u64> {
        for _ in 0..times {
            shares.ask(request(task, pieces, ()));
        }
        begun(shares)
    }

    fn request<T>(task: u64, pieces: usize, granted: T) -> Request<T> {
        Request { task: TaskNumber(task), pieces, is_part: false, granted }
    }

    fn returned(shares: &mut Shares<()>, task: u64, amount: Amount) -> Vec<u64> {
        shares.give_back(TaskNumber(task), amount);
        begun(shares)
    }

    fn begun(shares: &mut Shares<()>) -> Vec<u64> {
        std::iter::from_fn(|| shares.grant()).map(|granted| granted.task.0).collect()
    }

    #[test]
    fn a_task_with_any_number_of_files_leaves_a_place_for_another() {
        let mut shares = shares();
        assert_eq!(asked(&mut shares, 1, 0, 40), [1; 7]);
        assert_eq!(asked(&mut shares, 2, 0, 2), [2]);
        assert_eq!(asked(&mut shares, 3, 0, 1), NONE);
    }

    #[test]
    fn a_task_with_large_files_leaves_memory_for_another() {
        let mut shares = shares();
        assert_eq!(asked(&mut shares, 1, 8, 40), [1; 4]);
        // The largest file that goes in one request.
        assert_eq!(asked(&mut shares, 2, 16, 1), [2]);
        assert_eq!(asked(&mut shares, 1, 0, 40), [1; 3], "transfers without memory go on");
    }

    #[test]
    fn a_place_that_is_free_goes_to_the_task_that_has_the_fewest() {
        let mut shares = shares();
        assert_eq!(asked(&mut shares, 1, 0, 40), [1; 7]);
        assert_eq!(asked(&mut shares, 2, 0, 40), [2]);
        assert_eq!(asked(&mut shares, 3, 0, 40), NONE);
        let gets = |shares: &mut Shares<()>, from| returned(shares, from, PLACE);
        let next: Vec<u64> = (0..6).flat_map(|_| gets(&mut shares, 1)).collect();
        // From 7, 1 and 0 places to 3, 3 and 2. Then two tasks have 2, and the requests of task 1 wait longer.
        assert_eq!(next, [3, 2, 3, 2, 1, 1]);
        assert_eq!(gets(&mut shares, 2), [2]);
    }

    #[test]
    fn among_equals_the_first_to_come_is_next() {
        let mut shares = Shares::new(Amount { places: 2, pieces: 0 }, PLACE);
        assert_eq!(asked(&mut shares, 9, 0, 1), [9]);
        assert_eq!(asked(&mut shares, 8, 0, 1), [8]);
        for task in [5, 3, 7] {
            assert_eq!(asked(&mut shares, task, 0, 1), NONE);
        }
        let next: Vec<u64> =
            [9, 8, 5].into_iter().flat_map(|task| returned(&mut shares, task, PLACE)).collect();
        assert_eq!(next, [5, 3, 7]);
    }

    #[test]
    fn a_request_that_waits_for_memory_is_passed_only_by_requests_without_memory() {
        let mut shares = shares();
        assert_eq!(asked(&mut shares, 1, 8, 4), [1; 4]);
        assert_eq!(asked(&mut shares, 2, 8, 1), [2]);
        assert_eq!(asked(&mut shares, 3, 16, 1), NONE, "8 are left");
        assert_eq!(asked(&mut shares, 4, 1, 1), NONE, "it came later");
        assert_eq!(asked(&mut shares, 5, 0, 1), [5]);
        assert_eq!(returned(&mut shares, 1, Amount { places: 1, pieces: 8 }), [3]);
        assert_eq!(returned(&mut shares, 2, Amount { places: 1, pieces: 8 }), [4]);
    }

    #[test]
    fn a_withdrawn_request_delays_no_other() {
        let mut shares = shares();
        asked(&mut shares, 1, 16, 2);
        asked(&mut shares, 2, 8, 1);
        let much = shares.ask(request(3, 16, ()));
        assert_eq!(asked(&mut shares, 4, 8, 1), NONE);
        shares.withdraw(much);
        assert_eq!(begun(&mut shares), [4]);
    }

    #[test]
    fn a_request_for_more_than_one_task_may_have_is_cut() {
        let mut shares = Shares::new(ALL, SHARE);
        shares.ask(request(1, 1000, "it"));
        assert_eq!(shares.grant(), Some(request(1, SHARE.pieces, "it")));
    }

    #[test]
    fn parts_wait_for_parts_and_delay_nothing_else() {
        let mut shares = shares();
        for _ in 0..6 {
            shares.ask(Request { is_part: true, ..request(1, 0, ()) });
        }
        assert_eq!(begun(&mut shares), [1; 4]);
        assert_eq!(asked(&mut shares, 2, 0, 1), [2], "no part");
        // A slow one halves the limit, so none follows it. The next one leaves room for one.
        for (moved, expected) in [(0, vec![]), (0, vec![]), (1 << 30, vec![1])] {
            shares.end_part(moved, Duration::from_secs(60));
            assert_eq!(returned(&mut shares, 1, PLACE), expected, "{moved}");
        }
    }

    proptest! {
        #[test]
        fn no_task_has_too_much_and_no_request_waits_for_ever(
            steps in prop::collection::vec((0_u64..5, 0_usize..40, 0_u8..4), 1..200)
        ) {
            let mut shares = shares();
            let mut had: Vec<(TaskNumber, Amount)> = Vec::new();
            let (mut wanted, mut got) = (0, 0);
            for (task, pieces, step) in steps {
                match step {
                    0 | 1 => {
                        shares.ask(request(task, pieces, ()));
                        wanted += 1;
                    }
                    _ if had.is_empty() => {}
                    2 => {
                        let (task, amount) = had.swap_remove(pieces % had.len());
                        shares.give_back(task, amount);
                    }
                    // Memory may be held for longer than the place, or the place for longer than the memory.
                    _ => {
                        let index = pieces % had.len();
                        let (task, amount) = &mut had[index];
                        shares.give_back(*task, Amount { places: amount.places, pieces: 0 });
                        amount.places = 0;
                    }
                }
                got += grant_all(&mut shares, &mut had);
            }
            while let Some((task, amount)) = had.pop() {
                shares.give_back(task, amount);
                got += grant_all(&mut shares, &mut had);
            }
            prop_assert_eq!(got, wanted);
            prop_assert_eq!(shares.free, ALL);
            prop_assert!(shares.used.is_empty());
        }
    }

    /// Grants all possible requests, and checks of each that it was next.
    fn grant_all(shares: &mut Shares<()>, had: &mut Vec<(TaskNumber, Amount)>) -> usize {
        let mut granted = 0;
        loop {
            let places = |task: TaskNumber| shares.used.get(&task).map_or(0, |used| used.places);
            let before: HashMap<TaskNumber, usize> =
                shares.waiting.values().map(|request| (request.task, places(request.task))).collect();
            let without = shares.waiting.values().filter(|request| request.pieces == 0);
            let without: Vec<TaskNumber> = without.map(|request| request.task).collect();
            let Some(next) = shares.grant() else { break };
            granted += 1;
            for other in without {
                assert!(before[&next.task] <= before[&other] || next.task == other, "{other:?} has fewer");
            }
            had.push((next.task, Amount { places: 1, pieces: next.pieces }));
            let used = shares.used[&next.task];
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
