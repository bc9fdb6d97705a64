//! How the worker is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use crate::core::Core;
use crate::health::metrics::{OrchestratorReading, Reading};
use crate::session::Session;

/// What is wrong with this process, if anything is: what a restart may mend. Whoever asks is answered on the control
/// path, so that this lives is proven by the answer; that the data path lives is proven by its pulse and its polls. An
/// orchestrator that is down is no fault of this process.
pub(super) fn fault(core: &Core, sessions: &[Arc<Session>]) -> Option<String> {
    if let Some(silence) = core.pulse.blocked() {
        let seconds = silence.as_secs_f64();
        return Some(format!(
            "the runtime has been blocked for {seconds:.1} s: polls, handlers and results stand still"
        ));
    }
    sessions.iter().find_map(|session| {
        let seconds = session.polls.overdue()?.as_secs_f64();
        Some(format!("a poll to {} should have ended {seconds:.1} s ago", session.peer.name))
    })
}

/// Whether tasks can come, and what there is to know.
pub(super) fn readiness(core: &Core, sessions: &[Arc<Session>]) -> (bool, Value) {
    let draining = core.draining.load(Ordering::Relaxed);
    let usage = core.slots.usage();
    let served =
        |session: &Session| session.peer.is_registered() && !session.orchestrators.is_down(session.who);
    let ready = !draining && sessions.iter().any(|session| served(session));
    let orchestrators: Vec<_> = sessions.iter().map(|session| orchestrator(session)).collect();
    let unacknowledged: usize = sessions.iter().map(|session| session.delivery.unacknowledged()).sum();
    let body = json!({
        "ready": ready,
        "draining": draining,
        "slots": {"total": core.slots.limit(), "used": core.slots.limit() - usage.open, "waiting": usage.waiting},
        "outbox": unacknowledged,
        "outbox_on_disk": on_disk(sessions),
        "disk": {"low": core.disk.low()},
        "orchestrators": orchestrators,
    });
    (ready, body)
}

/// Whether results would survive the process now; None where they are not to.
fn on_disk(sessions: &[Arc<Session>]) -> Option<bool> {
    sessions.first()?.delivery.is_on_disk()
}

fn orchestrator(session: &Session) -> Value {
    let silences: Map<String, Value> = session
        .peer
        .log
        .silences()
        .map(|(exchange, left)| (exchange.to_owned(), json!((left.as_secs_f64() * 10.0).round() / 10.0)))
        .collect();
    json!({
        "url": &*session.peer.name,
        "registered": session.peer.is_registered(),
        "up": !session.orchestrators.is_down(session.who),
        "polling": session.polls.count() > 0,
        "open_polls": session.polls.count(),
        "websocket": session.peer.has_websocket(),
        "rate_limited_for_seconds": silences,
        "unacknowledged_results": session.delivery.unacknowledged(),
    })
}

/// What metrics are made of.
pub(super) fn reading(core: &Core, sessions: &[Arc<Session>]) -> Reading {
    let usage = core.slots.usage();
    let orchestrators = sessions.iter().map(|session| OrchestratorReading {
        name: session.peer.name.to_string(),
        up: !session.orchestrators.is_down(session.who),
        registered: session.peer.is_registered(),
        websocket: session.peer.has_websocket(),
        pollers: *session.pollers.borrow(),
        unacknowledged: session.delivery.unacknowledged(),
    });
    Reading {
        slots: core.slots.limit(),
        slots_in_use: core.slots.limit() - usage.open,
        tasks_waiting: usage.waiting,
        draining: core.draining.load(Ordering::Relaxed),
        disk_low: core.disk.is_low(),
        outbox_on_disk: on_disk(sessions).unwrap_or_default(),
        blocked: core.pulse.blocked().unwrap_or_default(),
        orchestrators: orchestrators.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::idle_assembly;

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_should_have_ended_is_a_fault_until_it_ends() {
        let assembly = idle_assembly();
        let (core, sessions) = (&assembly.core, &assembly.sessions);
        let poll = sessions[0].polls.begin(Duration::from_secs(70));
        tokio::time::advance(Duration::from_secs(70)).await;
        assert_eq!(fault(core, sessions), None);
        tokio::time::advance(Duration::from_secs(2)).await;
        let said = fault(core, sessions).expect("a fault");
        assert_eq!(said, "a poll to http://127.0.0.1:1 should have ended 2.0 s ago");
        drop(poll);
        assert_eq!(fault(core, sessions), None);
    }
}
