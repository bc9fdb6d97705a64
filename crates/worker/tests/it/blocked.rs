//! A handler that blocks the runtime the worker runs on: what belongs to the control path goes on.

use std::process::Command;
use std::time::Duration;

use avtomatika_worker::prelude::*;
use serde_json::json;
use testkit::capture::Logs;
use testkit::{Endpoint, ScriptedOrchestrator};

use crate::support::{config, push, tasks, told, until, wait_for_heartbeat};

/// A worker on a runtime and a thread of its own, with a task `hog` that blocks both.
fn start(orchestrator: &ScriptedOrchestrator, logs: &Logs) -> std::thread::JoinHandle<u8> {
    let config = config(&orchestrator.url(), &[("WORKER_SHUTDOWN_TIMEOUT", "20")]);
    let worker = tasks().task("hog", hog).config(config).build().expect("a worker");
    let dispatch = logs.dispatch();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tracing::dispatcher::with_default(&dispatch, || runtime.block_on(worker.run()).code())
    })
}

/// What nobody should write, and somebody does.
async fn hog(Params(pause): Params<crate::support::Pause>) -> Json<serde_json::Value> {
    std::thread::sleep(Duration::from_secs_f64(pause.seconds));
    Json(json!({}))
}

/// To this process: nothing but the worker takes it.
fn terminate() {
    let sent = Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

#[tokio::test]
async fn heartbeats_and_the_goodbye_do_not_wait_for_a_blocked_runtime() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let logs = Logs::new();
    let worker = start(&orchestrator, &logs);
    orchestrator.wait_for_open_polls(1).await;
    let id = push(&orchestrator, "hog", json!({"seconds": 4.0}));
    wait_for_heartbeat(&orchestrator, |beat| beat["load"] == json!(1.0)).await;
    let seen = told(&orchestrator).len();
    until(|| told(&orchestrator).len() >= seen + 5).await;
    terminate();
    wait_for_heartbeat(&orchestrator, |beat| beat["status"] == "busy").await;
    logs.wait_for("the runtime the worker runs on is blocked").await;
    assert_eq!(orchestrator.count(Endpoint::Result), 0, "it was told while the runtime was blocked");
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    let code = tokio::task::spawn_blocking(|| worker.join()).await.expect("joined").expect("no panic");
    assert_eq!(code, 0);
    assert_eq!(logs.count("the runtime the worker runs on is blocked"), 1);
}
