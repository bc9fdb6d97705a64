//! Who sends results.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use rxon::transport::{Operation, Request, Transport};
use tokio::time::{Instant, Sleep};

use super::desk::{Delivery, Reply};
use super::outbox::{Entry, Id};
use crate::threads::{lock, until};

/// A sender with nothing to send ends after this time, and closes its connection.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// A panic in here is a mistake of ours: should it come again at once, it shall not fill the log.
const PANIC_DELAY: Duration = Duration::from_secs(1);

/// Sends results, one at a time. However it ends, it gives back its place and what it had in flight.
#[derive(Debug)]
pub(super) struct Sender {
    delivery: Arc<Delivery>,
    in_flight: Option<Id>,
    /// It is still counted.
    counts: bool,
}

impl Sender {
    /// One that was counted by [`Books::hire`](super::desk::Books::hire).
    pub(super) fn hired(delivery: Arc<Delivery>) -> Self {
        Self { delivery, in_flight: None, counts: true }
    }

    /// Sends until there is nothing to send for a while, or the worker closes.
    pub(super) async fn run(mut self) {
        while AssertUnwindSafe(self.send_all()).catch_unwind().await.is_err() {
            tracing::error!(orchestrator = %self.delivery.peer.name, "sending a result panicked: it is tried again");
            let _ = tokio::time::timeout(PANIC_DELAY, self.delivery.closed.cancelled()).await;
            // Not before: a sender that has nothing in flight is thought to be at hand.
            self.put_back();
        }
    }

    async fn send_all(&mut self) {
        let closed = self.delivery.closed.clone();
        let mut transport = self.delivery.peer.connector.transport();
        let mut idle = std::pin::pin!(tokio::time::sleep(IDLE_LIMIT));
        while let Some((id, entry)) = self.next(idle.as_mut()).await {
            tokio::select! {
                biased;
                () = closed.cancelled() => return,
                reply = self.send(&mut *transport, &entry) => self.settle(id, &entry, &reply),
            }
        }
    }

    /// The next result, which is in flight then. None when the sender is to end.
    async fn next(&mut self, mut idle: Pin<&mut Sleep>) -> Option<(Id, Entry)> {
        let Self { delivery, in_flight, counts } = self;
        let began = Instant::now();
        loop {
            let changed = delivery.changed.notified();
            let now = Instant::now();
            let due = {
                let mut books = lock(&delivery.books);
                if let Some((id, entry)) = books.outbox.take(now) {
                    books.busy += 1;
                    *in_flight = Some(id);
                    let hired = books.hire(now);
                    let more = books.outbox.wanted(now) > 0;
                    drop(books);
                    delivery.begin(hired, more);
                    return Some((id, entry));
                }
                let due = books.outbox.next_due(now);
                let others_wait = books.free() > 1;
                if now.duration_since(began) >= IDLE_LIMIT && (due.is_none() || others_wait) {
                    books.senders -= 1;
                    *counts = false;
                    drop(books);
                    // Another may not know yet what this one was waiting for.
                    delivery.changed.notify_last();
                    return None;
                }
                due
            };
            tokio::select! {
                biased;
                () = delivery.closed.cancelled() => return None,
                () = changed => {}
                () = until(due) => {}
                () = &mut idle => {
                    let end = began + IDLE_LIMIT;
                    let now = Instant::now();
                    idle.as_mut().reset(if end > now { end } else { now + IDLE_LIMIT });
                }
            }
        }
    }

    async fn send(&self, transport: &mut dyn Transport, entry: &Entry) -> Reply {
        let peer = &self.delivery.peer;
        let generation = peer.generation();
        let body = match peer.seal.text(&entry.body, &[], generation) {
            Ok(body) => body,
            Err(problem) => return Reply::Unsendable(format!("the result cannot be signed: {problem}")),
        };
        self.delivery.begin_try(entry, generation).await;
        // 30 s, and 1 s for each MiB.
        let time_limit = Duration::from_secs(30 + (body.len() >> 20) as u64);
        match transport.exchange(Request::new(Operation::Result, time_limit).with_body(body)).await {
            Ok(response) => Reply::Answer(response),
            Err(error) => {
                peer.connection_failed();
                Reply::Nothing { error, recognises_repeats: generation.recognises_repeats() }
            }
        }
    }

    fn settle(&mut self, id: Id, entry: &Entry, reply: &Reply) {
        let delivery = &self.delivery;
        let (verdict, room) = {
            let mut books = lock(&delivery.books);
            let verdict = delivery.judge(&mut books, id, entry, reply);
            // From here on it counts as one that waits for something to send: in a moment it does.
            self.in_flight = None;
            books.busy -= 1;
            (verdict, books.room_news())
        };
        delivery.settled.notify_waiters();
        delivery.say(entry, reply, &verdict);
        delivery.say_room(room);
    }

    /// What it had in flight is tried again.
    fn put_back(&mut self) {
        if let Some(id) = self.in_flight.take() {
            let mut books = lock(&self.delivery.books);
            books.busy -= 1;
            books.outbox.on_lost(id, Instant::now());
            drop(books);
            self.delivery.settled.notify_waiters();
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.put_back();
        if self.counts {
            lock(&self.delivery.books).senders -= 1;
        }
    }
}
