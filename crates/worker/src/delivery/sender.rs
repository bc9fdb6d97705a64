//! Sending results.

use std::sync::Arc;
use std::time::Duration;

use rxon::limit::Alarm;
use rxon::transport::{Operation, Request, Transport};

use super::desk::Delivery;
use super::outbox::{Id, OutboxEntry, Reply};
use crate::threads::hook::caught_async;

/// The time without results after which a sender closes its connection.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// The time limit of sending a result.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// The limit of the time in which no byte of a result or its answer moves: a slow line is no failure, and a result that is
/// still on its way must not be sent again beside it.
const IDLE_TIME_LIMIT: Duration = Duration::from_secs(30);

/// The pause after a panic, so that one that repeats at once does not fill the log.
const PANIC_DELAY: Duration = Duration::from_secs(1);

/// Sends results, one at a time, until the delivery is closed. A result whose sending panicked is tried again.
pub(super) async fn run(delivery: Arc<Delivery>) {
    let closed = delivery.closed.clone();
    let mut in_flight = None;
    let sending = async {
        while caught_async(|| send_all(&delivery, &mut in_flight)).await.is_err() {
            tokio::time::sleep(PANIC_DELAY).await;
        }
    };
    closed.run_until_cancelled(sending).await;
}

async fn send_all(delivery: &Delivery, in_flight: &mut Option<(Id, OutboxEntry)>) {
    if let Some((id, entry)) = in_flight.take() {
        delivery.settle(id, &entry, &Reply::Unknown);
        tracing::error!(
            orchestrator = %delivery.peer.name,
            "sending a result panicked: the result is tried again"
        );
    }
    let mut alarm = Alarm::default();
    loop {
        // Without a limit, it waits until there is one.
        let Some(mut next) = delivery.next(&mut alarm, None).await else { continue };
        // The connection is kept until the sender is idle for too long.
        let mut transport = delivery.peer.connector.transport();
        loop {
            let (id, entry) = in_flight.insert(next);
            let reply = send(delivery, &mut *transport, entry).await;
            delivery.settle(*id, entry, &reply);
            *in_flight = None;
            let Some(result) = delivery.next(&mut alarm, Some(IDLE_LIMIT)).await else { break };
            next = result;
        }
    }
}

async fn send(delivery: &Delivery, transport: &mut dyn Transport, entry: &OutboxEntry) -> Reply {
    let peer = &delivery.peer;
    let generation = peer.generation();
    let sealed = match &entry.prepared {
        Some(prepared) => peer.seal.result(&entry.body, prepared),
        None => peer.seal.text(&entry.body, &[], generation),
    };
    let body = match sealed {
        Ok(body) => body,
        Err(problem) => return Reply::Unsendable(format!("the result cannot be signed: {problem}")),
    };
    delivery.begin_try(entry, generation).await;
    let request = Request::new(Operation::Result, TIME_LIMIT).with_idle_limit(IDLE_TIME_LIMIT);
    match transport.exchange(request.with_body(body)).await {
        Ok(response) => Reply::Answer(response),
        Err(error) => Reply::NoAnswer { error, recognises_repeats: generation.recognises_repeats() },
    }
}
