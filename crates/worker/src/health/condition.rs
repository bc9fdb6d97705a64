//! The condition of the worker: whether it is healthy, and whether it is ready for tasks.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::health::Health;
use crate::health::metrics::on_disk;
use crate::session::Session;

/// A fault of this process that a restart may mend, if there is one. The answer itself proves that the control path
/// works; the watchdog and the polls prove that the data path does. An orchestrator that is down is not a fault of this
/// process.
pub(super) fn fault(health: &Health) -> Option<String> {
    if let Some(silence) = health.watchdog.blocked() {
        let seconds = silence.as_secs_f64();
        return Some(format!(
            "the runtime has been blocked for {seconds:.1} s: polls, handlers and results stand still"
        ));
    }
    health.sessions.iter().find_map(|session| {
        let seconds = session.open_polls.overdue()?.as_secs_f64();
        Some(format!("a poll to {} should have ended {seconds:.1} s ago", session.origin.peer.name))
    })
}

/// Whether tasks can arrive, and the details as JSON.
pub(super) fn readiness(health: &Health) -> (bool, Value) {
    let draining = health.offer.is_draining();
    let usage = health.offer.slots.usage();
    let serves = |session: &Arc<Session>| {
        let is_up = session.origin.peer.is_registered() && !session.is_down();
        // Polling pauses while too many results wait.
        is_up && session.origin.delivery.has_room()
    };
    let low = health.offer.disk.low();
    // Polling pauses while a disk is nearly full, too.
    let ready = !draining && low.is_none() && health.sessions.iter().any(serves);
    let orchestrators: Vec<_> = health.sessions.iter().map(|session| orchestrator(session)).collect();
    let unacknowledged: usize =
        health.sessions.iter().map(|session| session.origin.delivery.unacknowledged()).sum();
    let body = json!({
        "ready": ready,
        "draining": draining,
        "slots": {"total": health.offer.slots.limit(), "used": health.offer.slots.limit() - usage.open, "waiting": usage.waiting},
        "outbox": unacknowledged,
        "outbox_on_disk": on_disk(&health.sessions),
        "disk": {"low": low},
        "orchestrators": orchestrators,
    });
    (ready, body)
}

fn orchestrator(session: &Session) -> Value {
    let silences: Map<String, Value> = session
        .origin
        .peer
        .log
        .silences()
        .map(|(exchange, left)| (exchange.to_owned(), json!((left.as_secs_f64() * 10.0).round() / 10.0)))
        .collect();
    let addresses: Vec<&str> = session.origin.peer.lines.iter().map(|line| &*line.name).collect();
    json!({
        "url": &*session.origin.peer.name,
        "addresses": addresses,
        "registered": session.origin.peer.is_registered(),
        "up": !session.is_down(),
        "polling": session.open_polls.count() > 0,
        "open_polls": session.open_polls.count(),
        "websocket": session.origin.peer.has_websocket(),
        "rate_limited_for_seconds": silences,
        "unacknowledged_results": session.origin.delivery.unacknowledged(),
        "has_room_for_results": session.origin.delivery.has_room(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::metrics::Metrics;
    use crate::health::watchdog::RuntimeWatchdog;
    use crate::session::{idle_offer, idle_session};

    /// The health of a worker with one orchestrator; nothing runs yet.
    pub(crate) fn idle_health() -> Health {
        let session = idle_session(Arc::new(rxon::transport::memory::pair().0));
        Health {
            offer: idle_offer(&session),
            sessions: vec![session],
            watchdog: Arc::new(RuntimeWatchdog::new(Arc::default())),
            metrics: Metrics::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_whose_polling_pauses_is_not_ready() {
        let health = idle_health();
        let origin = &health.sessions[0].origin;
        assert!(!readiness(&health).0, "not registered");
        origin.peer.set_registered(rxon::model::Generation::Newer);
        assert!(readiness(&health).0);
        // As many as are kept; nobody takes them.
        for number in 0..10_000 {
            let (task_id, job_id) = (rxon::TaskId::received(number.to_string()), rxon::JobId::received("j"));
            let (task_id, job_id) = (task_id.expect("not empty"), job_id.expect("not empty"));
            assert!(readiness(&health).0 || number % 1000 > 0);
            origin.delivery.repeat(task_id, job_id, "{}".into()).await;
        }
        let (ready, body) = readiness(&health);
        assert_eq!(
            (ready, &body["orchestrators"][0]["has_room_for_results"]),
            (false, &json!(false)),
            "{body}"
        );
        assert_eq!(body["orchestrators"][0]["registered"], true, "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_should_have_ended_is_a_fault_until_it_ends() {
        let health = idle_health();
        let session = &health.sessions[0];
        let poll = session.open_polls.begin(tokio::time::Instant::now(), Duration::from_secs(35));
        tokio::time::advance(Duration::from_secs(70)).await;
        assert_eq!(fault(&health), None);
        tokio::time::advance(Duration::from_secs(2)).await;
        let fault_while_overdue = fault(&health).expect("a fault");
        assert_eq!(fault_while_overdue, "a poll to http://peer should have ended 2.0 s ago");
        drop(poll);
        assert_eq!(fault(&health), None);
    }
}
