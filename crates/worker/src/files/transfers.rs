//! How many transfers run at once, and whose is next.
//!
//! | state | next |
//! |---|---|
//! | a place is free | the one that asks has it |
//! | none is free | the one that asks waits; a place that is given back goes to the task that has the fewest, of these to the one that waits longest |

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::pace::lock;

/// One task, to the limit.
pub(super) type Who = u64;

/// The limit.
#[derive(Debug, Clone)]
pub(super) struct Transfers(Arc<Mutex<State>>);

/// The right to transfer something. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    transfers: Transfers,
    who: Who,
}

#[derive(Debug)]
struct State {
    free: usize,
    used: HashMap<Who, usize>,
    /// In the order they came.
    waiting: BTreeMap<u64, (Who, oneshot::Sender<()>)>,
    next: u64,
}

impl Transfers {
    pub(super) fn new(limit: usize) -> Self {
        let state = State { free: limit, used: HashMap::new(), waiting: BTreeMap::new(), next: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits for the right to transfer something.
    ///
    /// # Cancel safety
    /// Dropped, it stands in nobody's way.
    pub(super) async fn turn(&self, who: Who) -> Turn {
        let waiting = {
            let mut state = lock(&self.0);
            if state.free > 0 {
                state.take(who);
                None
            } else {
                let (sender, receiver) = oneshot::channel();
                let number = state.next;
                state.next += 1;
                state.waiting.insert(number, (who, sender));
                Some(receiver)
            }
        };
        if let Some(mut waiting) = waiting {
            let mut unused = GiveBack { transfers: self, who, waiting: Some(&mut waiting) };
            // Its sender is dropped only with the whole limit, which this holds.
            let _ = unused.waiting.as_mut().expect("not taken yet").await;
            unused.waiting = None;
        }
        Turn { transfers: self.clone(), who }
    }

    fn give_back(&self, who: Who) {
        let mut state = lock(&self.0);
        state.free += 1;
        if let Some(used) = state.used.get_mut(&who) {
            *used -= 1;
            if *used == 0 {
                state.used.remove(&who);
            }
        }
        while state.free > 0 {
            let Some(number) = state.whose_turn() else { break };
            let (who, sender) = state.waiting.remove(&number).expect("it waits");
            // One that waits no more is passed over.
            if sender.send(()).is_ok() {
                state.take(who);
            }
        }
    }
}

impl State {
    fn take(&mut self, who: Who) {
        self.free -= 1;
        *self.used.entry(who).or_default() += 1;
    }

    fn whose_turn(&self) -> Option<u64> {
        let used = |who: &Who| self.used.get(who).copied().unwrap_or_default();
        let fewest = self.waiting.iter().min_by_key(|(number, (who, _))| (used(who), **number));
        fewest.map(|(number, _)| *number)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.transfers.give_back(self.who);
    }
}

/// A turn that came to somebody who was dropped just then goes to the next.
struct GiveBack<'a> {
    transfers: &'a Transfers,
    who: Who,
    waiting: Option<&'a mut oneshot::Receiver<()>>,
}

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.close();
            if waiting.try_recv().is_ok() {
                self.transfers.give_back(self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn no_more_than_the_limit_run_at_once() {
        let transfers = Transfers::new(2);
        let (first, _second) = (transfers.turn(1).await, transfers.turn(1).await);
        assert!(transfers.turn(1).now_or_never().is_none());
        drop(first);
        assert!(transfers.turn(1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_task_with_many_leaves_room_for_one_with_few() {
        let transfers = Transfers::new(2);
        let (first, second) = (transfers.turn(1).await, transfers.turn(1).await);
        let mut greedy = Box::pin(transfers.turn(1));
        let mut modest = Box::pin(transfers.turn(2));
        assert!((&mut greedy).now_or_never().is_none() && (&mut modest).now_or_never().is_none());
        drop(first);
        assert!((&mut greedy).now_or_never().is_none(), "it has one, the other none");
        let modest = (&mut modest).now_or_never().expect("its turn");
        drop(second);
        assert!((&mut greedy).now_or_never().is_some());
        drop(modest);
    }

    #[tokio::test]
    async fn one_that_is_dropped_while_it_waits_costs_no_turn() {
        let transfers = Transfers::new(1);
        let first = transfers.turn(1).await;
        let mut dropped = Box::pin(transfers.turn(2));
        let mut given = Box::pin(transfers.turn(3));
        assert!((&mut dropped).now_or_never().is_none() && (&mut given).now_or_never().is_none());
        drop(dropped);
        drop(first);
        // It came to the third, who goes away before looking.
        drop(given);
        assert!(transfers.turn(4).now_or_never().is_some());
        assert!(lock(&transfers.0).used.is_empty());
    }
}
