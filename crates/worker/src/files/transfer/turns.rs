//! Turns to transfer, each with memory for the transfer. `shares` decides whose turn is next.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::shares::{Amount, RequestNumber, Shares, TaskNumber};
use crate::threads::lock;

/// The limit on transfers, of all tasks and of each. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::files) struct Transfers(Arc<Mutex<Shares<oneshot::Sender<Turn>>>>);

/// The turn of one transfer. Its memory may be needed for longer than its place.
#[derive(Debug)]
pub(in crate::files) struct Turn {
    pub(in crate::files) place: Holding,
    pub(in crate::files) memory: Holding,
}

/// An amount that a task holds of the limits. Returned on drop.
#[derive(Debug)]
pub(in crate::files) struct Holding {
    transfers: Transfers,
    task: TaskNumber,
    amount: Amount,
}

impl Transfers {
    /// Limits all tasks together to `all`, and each task to `share`.
    pub(in crate::files) fn new(all: Amount, share: Amount) -> Self {
        Self(Arc::new(Mutex::new(Shares::new(all, share))))
    }

    /// Waits for the turn of a transfer that takes this many pieces of memory.
    ///
    /// # Cancel safety
    /// Dropped, it leaves the queue; a turn that it was just given goes to the next.
    pub(in crate::files) async fn turn(&self, task: TaskNumber, pieces: usize) -> Turn {
        let (sender, receiver) = oneshot::channel();
        let number = self.change(|shares| shares.ask(task, pieces, sender));
        let _withdraw = Withdraw { transfers: self, number };
        receiver.await.expect("the sender is kept until it is used or withdrawn")
    }

    /// Changes the shares, and hands out all turns that are possible after the change.
    fn change<T>(&self, apply: impl FnOnce(&mut Shares<oneshot::Sender<Turn>>) -> T) -> T {
        let (result, granted) = {
            let mut shares = lock(&self.0);
            let result = apply(&mut shares);
            (result, std::iter::from_fn(|| shares.grant()).collect::<Vec<_>>())
        };
        for request in granted {
            let holding = |places, pieces| Holding {
                transfers: self.clone(),
                task: request.task,
                amount: Amount { places, pieces },
            };
            let turn = Turn { place: holding(1, 0), memory: holding(0, request.pieces) };
            // If the receiver is gone, the turn is dropped, which returns it.
            let _ = request.granted.send(turn);
        }
        result
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if self.amount != Amount::default() {
            self.transfers.change(|shares| shares.give_back(self.task, self.amount));
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
        self.transfers.change(|shares| shares.withdraw(self.number));
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
        let Turn { place, memory } = transfers.turn(TaskNumber(1), 3).await;
        drop(place);
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
        assert!(lock(&transfers.0).is_idle());
    }
}
