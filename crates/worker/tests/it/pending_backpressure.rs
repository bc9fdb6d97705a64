//! Fails until a worker that asks for no further task says so: add `mod pending_backpressure;` to `main.rs` to run it.

use std::time::Duration;

use avtomatika_worker::prelude::*;
use serde_json::json;
use testkit::{Answer, Endpoint, ScriptedOrchestrator};

use crate::support::{Running, config, push, tasks, wait_for_heartbeat, watch_for};

/// With 256 MiB of results that nobody takes, no poll is sent: an orchestrator that is told `idle` dispatches tasks
/// which then wait for nobody knows how long.
#[tokio::test]
async fn a_worker_that_pauses_because_of_its_results_is_busy() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(429).header("retry-after", "600"));
    let large = async || Json(json!({"text": "x".repeat(16 << 20)}));
    let variables = [("MAX_CONCURRENT_TASKS", "2"), ("WORKER_SHUTDOWN_TIMEOUT", "0.1")];
    let worker = tasks().task("large", large).config(config(&orchestrator.url(), &variables));
    let worker = Running::start(worker.build().expect("a worker"));
    wait_for_heartbeat(&orchestrator, |body| body["status"] == "idle").await;
    for _ in 0..18 {
        push(&orchestrator, "large", json!({}));
    }
    orchestrator.wait_for_no_open_poll().await;
    watch_for(Duration::from_secs(3)).await;
    assert!(orchestrator.open_polls() == 0, "polling pauses");
    let seen = orchestrator.count(Endpoint::Heartbeat);
    let beats = orchestrator.wait_for_requests(Endpoint::Heartbeat, seen + 4).await;
    let last = beats.iter().rfind(|beat| !beat.body.is_empty()).expect("a heartbeat").json();
    worker.abandon();
    assert_eq!((&last["status"], &last["available_skills"]), (&json!("busy"), &json!([])), "load {}", last["load"]);
}
