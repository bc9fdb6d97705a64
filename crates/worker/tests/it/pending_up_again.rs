//! Fails until refused polls count as an orchestrator that is down: add `mod pending_up_again;` to `main.rs` to run it.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Answer, Endpoint, Relay, ScriptedOrchestrator};

use crate::support::{Running, config, push, tasks, watch_for};

/// An orchestrator that restarts between two heartbeats refuses only polls. When they succeed again it is up again,
/// and kept results are offered at once instead of 30 s later.
#[tokio::test]
async fn a_kept_result_is_offered_when_polls_get_through_again() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let relay = Relay::start(orchestrator.addr()).await;
    let variables = [("RESULT_MAX_RETRIES", "1"), ("HEARTBEAT_INTERVAL", "60")];
    let worker = tasks().config(config(&relay.url(), &variables)).build().expect("a worker");
    let worker = Running::start(worker);
    orchestrator.answer_next(Endpoint::Result, Answer::status(503));
    let id = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_requests(Endpoint::Result, 1).await;
    watch_for(Duration::from_millis(300)).await;
    relay.refuse().await;
    relay.cut();
    watch_for(Duration::from_millis(500)).await;
    relay.accept().await;
    let up = Instant::now();
    orchestrator.wait_for_requests(Endpoint::Result, 2).await;
    assert!(up.elapsed() < Duration::from_secs(10), "{id}: {:?}", up.elapsed());
    assert!(worker.stop().await.is_clean());
}
