//! The right to transfer something, and to have it in memory meanwhile. `shares` says whose turn it is.

mod shares;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

pub(super) use self::shares::{Amount, Who};
use self::shares::{Granted, Number, Shares};
use crate::threads::lock;

/// The limit.
#[derive(Debug, Clone)]
pub(super) struct Transfers(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    shares: Shares,
    waiting: HashMap<Number, oneshot::Sender<Turn>>,
}

/// The right to transfer something. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    memory: Memory,
    _place: Part,
}

/// The right to have some pieces in memory, which may be needed for longer than the turn. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Memory(Part);

/// What is given back.
#[derive(Debug)]
struct Part {
    transfers: Transfers,
    who: Who,
    amount: Amount,
}

impl Transfers {
    /// So much for all tasks together, and so much for each.
    pub(super) fn new(all: Amount, share: Amount) -> Self {
        Self(Arc::new(Mutex::new(State { shares: Shares::new(all, share), waiting: HashMap::new() })))
    }

    /// Waits for the right to transfer something that takes so many pieces of memory.
    ///
    /// # Cancel safety
    /// Dropped, it stands in nobody's way.
    pub(super) async fn turn(&self, who: Who, pieces: usize) -> Turn {
        let (sender, receiver) = oneshot::channel();
        let number = self.change(|state| {
            let number = state.shares.ask(who, pieces);
            state.waiting.insert(number, sender);
            number
        });
        let _withdraw = Withdraw { transfers: self, number };
        receiver.await.expect("it is kept until it is used or withdrawn")
    }

    /// Does something, and hands out what became free by it.
    fn change<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        let (done, turns) = {
            let mut state = lock(&self.0);
            let done = what(&mut state);
            (done, state.grant_all())
        };
        for (granted, sender) in turns {
            // Where nobody waits for it any more it is dropped, and so given back.
            let _ = sender.send(self.turn_of(&granted));
        }
        done
    }

    fn turn_of(&self, granted: &Granted) -> Turn {
        let part = |places, pieces| Part {
            transfers: self.clone(),
            who: granted.who,
            amount: Amount { places, pieces },
        };
        Turn { memory: Memory(part(0, granted.pieces)), _place: part(1, 0) }
    }
}

impl State {
    fn grant_all(&mut self) -> Vec<(Granted, oneshot::Sender<Turn>)> {
        let mut turns = Vec::new();
        while let Some(granted) = self.shares.grant() {
            let sender = self.waiting.remove(&granted.number).expect("who waits there waits here");
            turns.push((granted, sender));
        }
        turns
    }
}

impl Turn {
    /// Its memory, for which the turn itself has none any more.
    pub(super) fn take_memory(&mut self) -> Memory {
        let Part { transfers, who, .. } = &self.memory.0;
        let none = Part { transfers: transfers.clone(), who: *who, amount: Amount::default() };
        std::mem::replace(&mut self.memory, Memory(none))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.amount != Amount::default() {
            self.transfers.change(|state| state.shares.give_back(self.who, self.amount));
        }
    }
}

/// One that waits, until it does so no more.
struct Withdraw<'a> {
    transfers: &'a Transfers,
    number: Number,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.transfers.change(|state| {
            state.shares.withdraw(self.number);
            state.waiting.remove(&self.number)
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn transfers(places: usize, pieces: usize) -> Transfers {
        let all = Amount { places, pieces };
        Transfers::new(all, all)
    }

    #[tokio::test]
    async fn no_more_than_the_limit_run_at_once() {
        let transfers = transfers(2, 0);
        let (first, _second) = (transfers.turn(1, 0).await, transfers.turn(1, 0).await);
        let mut third = Box::pin(transfers.turn(1, 0));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn memory_is_given_back_by_itself() {
        let transfers = transfers(2, 3);
        let mut first = transfers.turn(1, 3).await;
        let memory = first.take_memory();
        drop(first);
        let mut second = Box::pin(transfers.turn(2, 1));
        assert!((&mut second).now_or_never().is_none(), "the first one's is still in use");
        drop(memory);
        assert!(second.now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_that_is_dropped_while_it_waits_costs_no_turn() {
        let transfers = transfers(1, 1);
        let first = transfers.turn(1, 0).await;
        let mut dropped = Box::pin(transfers.turn(2, 0));
        let mut given = Box::pin(transfers.turn(3, 1));
        assert!((&mut dropped).now_or_never().is_none() && (&mut given).now_or_never().is_none());
        drop(dropped);
        drop(first);
        // It came to the third, who goes away before looking.
        drop(given);
        assert!(transfers.turn(4, 1).now_or_never().is_some());
        assert!(lock(&transfers.0).waiting.is_empty());
    }
}
