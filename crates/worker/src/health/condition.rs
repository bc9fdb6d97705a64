//! How the worker is.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::health::Health;
use crate::health::metrics::{OrchestratorReading, Reading};
use crate::session::Session;

/// The fault of this process that a restart may mend, if there is one. The answer itself proves that the control path
/// works; the beat and the polls prove that the data path does. An orchestrator that is down is not a fault of this
/// process.
pub(super) fn fault(health: &Health) -> Option<String> {
    if let Some(silence) = health.pulse.blocked() {
        let seconds = silence.as_secs_f64();
        return Some(format!(
            "the runtime has been blocked for {seconds:.1} s: polls, handlers and results stand still"
        ));
    }
    health.sessions.iter().find_map(|session| {
        let seconds = session.polls.overdue()?.as_secs_f64();
        Some(format!("a poll to {} should have ended {seconds:.1} s ago", session.origin.peer.name))
    })
}

/// Whether tasks can arrive, and the details as JSON.
pub(super) fn readiness(health: &Health) -> (bool, Value) {
    let draining = health.offer.is_draining();
    let usage = health.offer.slots.usage();
    let served = |session: &Session| {
        session.origin.peer.is_registered() && !session.orchestrators.is_down(session.origin.orchestrator)
    };
    let ready = !draining && health.sessions.iter().any(|session| served(session));
    let orchestrators: Vec<_> = health.sessions.iter().map(|session| orchestrator(session)).collect();
    let unacknowledged: usize =
        health.sessions.iter().map(|session| session.origin.delivery.unacknowledged()).sum();
    let body = json!({
        "ready": ready,
        "draining": draining,
        "slots": {"total": health.offer.slots.limit(), "used": health.offer.slots.limit() - usage.open, "waiting": usage.waiting},
        "outbox": unacknowledged,
        "outbox_on_disk": on_disk(&health.sessions),
        "disk": {"low": health.offer.disk.low()},
        "orchestrators": orchestrators,
    });
    (ready, body)
}

/// Whether results would survive a crash now; None when they are kept in memory only.
fn on_disk(sessions: &[Arc<Session>]) -> Option<bool> {
    sessions.first()?.origin.delivery.is_on_disk()
}

fn orchestrator(session: &Session) -> Value {
    let silences: Map<String, Value> = session
        .origin
        .peer
        .log
        .silences()
        .map(|(exchange, left)| (exchange.to_owned(), json!((left.as_secs_f64() * 10.0).round() / 10.0)))
        .collect();
    json!({
        "url": &*session.origin.peer.name,
        "registered": session.origin.peer.is_registered(),
        "up": !session.orchestrators.is_down(session.origin.orchestrator),
        "polling": session.polls.count() > 0,
        "open_polls": session.polls.count(),
        "websocket": session.origin.peer.has_websocket(),
        "rate_limited_for_seconds": silences,
        "unacknowledged_results": session.origin.delivery.unacknowledged(),
    })
}

/// The values of the gauges.
pub(super) fn reading(health: &Health) -> Reading {
    let usage = health.offer.slots.usage();
    let orchestrators = health.sessions.iter().map(|session| OrchestratorReading {
        name: session.origin.peer.name.to_string(),
        up: !session.orchestrators.is_down(session.origin.orchestrator),
        registered: session.origin.peer.is_registered(),
        websocket: session.origin.peer.has_websocket(),
        pollers: *session.pollers.borrow(),
        unacknowledged: session.origin.delivery.unacknowledged(),
    });
    Reading {
        slots: health.offer.slots.limit(),
        slots_in_use: health.offer.slots.limit() - usage.open,
        tasks_waiting: usage.waiting,
        draining: health.offer.is_draining(),
        disk_low: health.offer.disk.is_low(),
        outbox_on_disk: on_disk(&health.sessions).unwrap_or_default(),
        blocked: health.pulse.blocked().unwrap_or_default(),
        orchestrators: orchestrators.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::metrics::Metrics;
    use crate::health::pulse::Pulse;
    use crate::session::{idle_offer, idle_session};

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_should_have_ended_is_a_fault_until_it_ends() {
        let session = idle_session(Arc::new(rxon::transport::memory::pair().0));
        let health = Health {
            offer: idle_offer(&session),
            sessions: vec![session.clone()],
            pulse: Arc::new(Pulse::new(Arc::default())),
            metrics: Metrics::default(),
        };
        let poll = session.polls.begin(Duration::from_secs(70));
        tokio::time::advance(Duration::from_secs(70)).await;
        assert_eq!(fault(&health), None);
        tokio::time::advance(Duration::from_secs(2)).await;
        let fault_while_overdue = fault(&health).expect("a fault");
        assert_eq!(fault_while_overdue, "a poll to http://peer should have ended 2.0 s ago");
        drop(poll);
        assert_eq!(fault(&health), None);
    }
}
