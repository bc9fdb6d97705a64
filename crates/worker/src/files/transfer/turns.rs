//! Turns to transfer, each with memory for the transfer. `shares` decides whose turn is next.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::oneshot;

use super::shares::{Amount, Request, RequestNumber, Shares, TaskNumber};
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
    /// The begin of the part that it is the place of.
    part: Option<Instant>,
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
        self.asked(task, pieces, false).await
    }

    /// Waits for the turn of a part of a large object. On a slow line, few of them are moved at once.
    ///
    /// # Cancel safety
    /// As for [`turn`](Self::turn).
    pub(in crate::files) async fn part(&self, task: TaskNumber, pieces: usize) -> Turn {
        self.asked(task, pieces, true).await
    }

    async fn asked(&self, task: TaskNumber, pieces: usize, is_part: bool) -> Turn {
        let (sender, receiver) = oneshot::channel();
        let request = Request { task, pieces, is_part, granted: sender };
        let number = self.change(|shares| shares.ask(request));
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
            let holding = |places, pieces, part| Holding {
                transfers: self.clone(),
                task: request.task,
                amount: Amount { places, pieces },
                part,
            };
            let part = request.is_part.then(Instant::now);
            let turn = Turn { place: holding(1, 0, part), memory: holding(0, request.pieces, None) };
            // If the receiver is gone, the turn is dropped, which returns it.
            let _ = request.granted.send(turn);
        }
        result
    }
}

impl Holding {
    /// Makes it the place of a part, whatever the limit.
    pub(in crate::files) fn into_part(mut self) -> Self {
        if self.part.is_none() {
            self.transfers.change(Shares::begin_part);
            self.part = Some(Instant::now());
        }
        self
    }

    /// Its part, if it is the place of one, has moved this many bytes, and has ended. The place stays held.
    pub(in crate::files) fn end_part(&mut self, bytes: u64) {
        if let Some(begin) = self.part.take() {
            self.transfers.change(|shares| shares.end_part(bytes, begin.elapsed()));
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        // A part that has not come to its end failed, or was cancelled.
        self.end_part(0);
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
    async fn a_place_that_becomes_that_of_a_part_counts_as_one_until_its_end() {
        let transfers = transfers(8, 0);
        let mut first = transfers.turn(TaskNumber(1), 0).await.place.into_part();
        let _parts = [
            transfers.part(TaskNumber(1), 0).await,
            transfers.part(TaskNumber(1), 0).await,
            transfers.part(TaskNumber(1), 0).await,
        ];
        let mut fifth = Box::pin(transfers.part(TaskNumber(1), 0));
        assert!((&mut fifth).now_or_never().is_none());
        assert!(transfers.turn(TaskNumber(1), 0).now_or_never().is_some(), "it is no part");
        first.end_part(0);
        assert!(fifth.now_or_never().is_some());
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
