//! Turns to transfer, each with memory for the transfer. `shares` decides whose turn is next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::shares::{Amount, Granted, RequestNumber, Shares, TaskNumber};
use crate::threads::lock;

/// The limit on transfers, of all tasks and of each. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::files) struct Transfers(Arc<Mutex<TransferQueue>>);

#[derive(Debug)]
struct TransferQueue {
    shares: Shares,
    waiting: HashMap<RequestNumber, oneshot::Sender<Turn>>,
}

/// The turn of one transfer. Returned on drop.
#[derive(Debug)]
pub(in crate::files) struct Turn {
    memory: Memory,
    _place: Holding,
}

/// Memory for a transfer, which may be needed for longer than the turn. Returned on drop.
#[derive(Debug)]
pub(in crate::files) struct Memory(Holding);

/// An amount that a task holds of the limits. Returned on drop.
#[derive(Debug)]
struct Holding {
    transfers: Transfers,
    task: TaskNumber,
    amount: Amount,
}

impl Transfers {
    /// Limits all tasks together to `all`, and each task to `share`.
    pub(in crate::files) fn new(all: Amount, share: Amount) -> Self {
        Self(Arc::new(Mutex::new(TransferQueue { shares: Shares::new(all, share), waiting: HashMap::new() })))
    }

    /// Waits for the turn of a transfer that takes this many pieces of memory.
    ///
    /// # Cancel safety
    /// Dropped, it leaves the queue; a turn that it was just given goes to the next.
    pub(in crate::files) async fn turn(&self, task: TaskNumber, pieces: usize) -> Turn {
        let (sender, receiver) = oneshot::channel();
        let number = self.change(|queue| {
            let number = queue.shares.ask(task, pieces);
            queue.waiting.insert(number, sender);
            number
        });
        let _withdraw = Withdraw { transfers: self, number };
        receiver.await.expect("the sender is kept until it is used or withdrawn")
    }

    /// Changes the queue, and hands out all turns that are possible after the change.
    fn change<T>(&self, apply: impl FnOnce(&mut TransferQueue) -> T) -> T {
        let (result, turns) = {
            let mut queue = lock(&self.0);
            let result = apply(&mut queue);
            (result, queue.grant_all())
        };
        for (granted, sender) in turns {
            // If the receiver is gone, the turn is dropped, which returns it.
            let _ = sender.send(self.turn_of(&granted));
        }
        result
    }

    fn turn_of(&self, granted: &Granted) -> Turn {
        let holding = |places, pieces| Holding {
            transfers: self.clone(),
            task: granted.task,
            amount: Amount { places, pieces },
        };
        Turn { memory: Memory(holding(0, granted.pieces)), _place: holding(1, 0) }
    }
}

impl TransferQueue {
    fn grant_all(&mut self) -> Vec<(Granted, oneshot::Sender<Turn>)> {
        let mut turns = Vec::new();
        while let Some(granted) = self.shares.grant() {
            let sender = self.waiting.remove(&granted.number).expect("a request waits in both or in neither");
            turns.push((granted, sender));
        }
        turns
    }
}

impl Turn {
    /// Takes the memory out of the turn. The turn keeps its place, but has no memory any more.
    pub(in crate::files) fn take_memory(&mut self) -> Memory {
        let Holding { transfers, task, .. } = &self.memory.0;
        let none = Holding { transfers: transfers.clone(), task: *task, amount: Amount::default() };
        std::mem::replace(&mut self.memory, Memory(none))
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if self.amount != Amount::default() {
            self.transfers.change(|queue| queue.shares.give_back(self.task, self.amount));
        }
    }
}

/// Withdraws a request on drop.
struct Withdraw<'a> {
    transfers: &'a Transfers,
    number: RequestNumber,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.transfers.change(|queue| {
            queue.shares.withdraw(self.number);
            queue.waiting.remove(&self.number)
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
    async fn the_number_of_transfers_at_once_is_limited() {
        let transfers = transfers(2, 0);
        let (first, _second) =
            (transfers.turn(TaskNumber(1), 0).await, transfers.turn(TaskNumber(1), 0).await);
        let mut third = Box::pin(transfers.turn(TaskNumber(1), 0));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn memory_can_be_returned_after_the_turn() {
        let transfers = transfers(2, 3);
        let mut first = transfers.turn(TaskNumber(1), 3).await;
        let memory = first.take_memory();
        drop(first);
        let mut second = Box::pin(transfers.turn(TaskNumber(2), 1));
        assert!((&mut second).now_or_never().is_none(), "the memory of the first is still in use");
        drop(memory);
        assert!(second.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_costs_no_turn() {
        let transfers = transfers(1, 1);
        let first = transfers.turn(TaskNumber(1), 0).await;
        let mut dropped = Box::pin(transfers.turn(TaskNumber(2), 0));
        let mut given = Box::pin(transfers.turn(TaskNumber(3), 1));
        assert!((&mut dropped).now_or_never().is_none() && (&mut given).now_or_never().is_none());
        drop(dropped);
        drop(first);
        // The turn was given to the third request, which is dropped before it takes the turn.
        drop(given);
        assert!(transfers.turn(TaskNumber(4), 1).now_or_never().is_some());
        assert!(lock(&transfers.0).waiting.is_empty());
    }
}
