//! Handlers that the runtime does not run, and a program that ends its worker by a handle, as it would by signals.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use avtomatika_worker::extract::Outside;
use avtomatika_worker::prelude::*;
use avtomatika_worker::{StopCause, WorkerBuilder};
use serde_json::json;
use testkit::{Endpoint, PATIENCE, Script, ScriptedOrchestrator, Stopwatch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Running, config, push, told, until, wait_for_heartbeat, watch_for};

/// A worker whose tasks named `elsewhere` are sent to whoever holds the receiver.
fn elsewhere() -> (WorkerBuilder, mpsc::Receiver<Outside>) {
    let (sender, receiver) = mpsc::channel();
    let builder = Worker::builder().task("elsewhere", move |context: TaskContext| {
        let sender = sender.clone();
        async move {
            let (outside, outcome) = context.outside();
            sender.send(outside).expect("the test takes it");
            outcome.await
        }
    });
    (builder, receiver)
}

async fn started(variables: &[(&str, &str)]) -> (ScriptedOrchestrator, Running, mpsc::Receiver<Outside>) {
    let orchestrator = ScriptedOrchestrator::start().await;
    let (builder, tasks) = elsewhere();
    let worker = builder.config(config(&orchestrator.url(), variables)).build().expect("a worker");
    (orchestrator, Running::start(worker), tasks)
}

/// The next task. The test's runtime has to go on meanwhile: the worker runs on it.
async fn next(tasks: &mpsc::Receiver<Outside>) -> Outside {
    let began = Instant::now();
    loop {
        match tasks.try_recv() {
            Ok(outside) => return outside,
            Err(_) => assert!(began.elapsed() < PATIENCE, "no task came in {PATIENCE:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn cancel(orchestrator: &ScriptedOrchestrator, id: &str) {
    let answer = testkit::Answer::ok(json!({"status": "ok", "cancel_task_ids": [id]}));
    orchestrator.answer_next(Endpoint::Heartbeat, answer);
    wait_for_heartbeat(orchestrator, |_| true).await;
}

#[tokio::test]
async fn it_ends_in_what_it_is_finished_with_from_any_thread_and_dropped_it_fails() {
    let (orchestrator, _worker, tasks) = started(&[]).await;
    let id = push(&orchestrator, "elsewhere", json!({}));
    let outside = next(&tasks).await;
    assert_eq!(outside.context().task_id().as_str(), id);
    std::thread::spawn(move || outside.finish(Outcome::data(json!({"n": 1})))).join().expect("no panic");
    assert_eq!(orchestrator.wait_for_result(&id).await["data"], json!({"n": 1}));
    let lost = push(&orchestrator, "elsewhere", json!({}));
    drop(next(&tasks).await);
    let result = orchestrator.wait_for_result(&lost).await;
    assert_eq!(
        (&result["status"], &result["error"]["message"]),
        (&json!("failure"), &json!("the handler was lost"))
    );
}

#[tokio::test]
async fn told_to_stop_it_is_reported_as_soon_as_it_has_ended() {
    let (orchestrator, _worker, tasks) = started(&[]).await;
    let id = push(&orchestrator, "elsewhere", json!({}));
    let outside = next(&tasks).await;
    cancel(&orchestrator, &id).await;
    until(|| outside.context().is_cancelled()).await;
    watch_for(Duration::from_millis(300)).await;
    assert_eq!(orchestrator.count(Endpoint::Result), 0, "it has not ended yet");
    outside.finish(Outcome::success());
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "cancelled");
}

#[tokio::test]
async fn one_that_does_not_stop_is_reported_after_5_s_and_keeps_its_slot() {
    let (orchestrator, worker, tasks) = started(&[("MAX_CONCURRENT_TASKS", "1")]).await;
    let id = push(&orchestrator, "elsewhere", json!({}));
    let outside = next(&tasks).await;
    cancel(&orchestrator, &id).await;
    let told_at = Stopwatch::start();
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "cancelled");
    assert!(told_at.took().is_at_least(Duration::from_secs(4)), "{:?}", told_at.took());
    let polls = orchestrator.count(Endpoint::Poll);
    watch_for(Duration::from_millis(500)).await;
    assert_eq!((polls, orchestrator.count(Endpoint::Poll)), (1, 1), "its slot is taken");
    outside.finish(Outcome::success());
    orchestrator.wait_for_requests(Endpoint::Poll, 2).await;
    assert!(worker.stop().await.is_clean());
}

#[tokio::test]
async fn a_worker_that_is_dropped_tells_it() {
    let (orchestrator, worker, tasks) = started(&[]).await;
    push(&orchestrator, "elsewhere", json!({}));
    let outside = next(&tasks).await;
    worker.abandon();
    until(|| outside.context().is_cancelled()).await;
    outside.finish(Outcome::success());
}

#[tokio::test]
async fn a_handle_drains_for_a_cause_and_then_cancels() {
    let (builder, tasks) = elsewhere();
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let handle = worker.handle();
    let running = Running::start(worker);
    let id = push(&orchestrator, "elsewhere", json!({}));
    let outside = next(&tasks).await;
    handle.drain_because(StopCause::Terminate);
    wait_for_heartbeat(&orchestrator, |beat| beat["status"] == "busy").await;
    assert!(handle.is_draining() && !outside.context().is_cancelled());
    handle.cancel();
    until(|| outside.context().is_cancelled()).await;
    outside.finish(Outcome::success());
    let stopped = running.stopped().await;
    assert_eq!((stopped.cause, stopped.cancelled.len()), (StopCause::Terminate, 1));
    assert_eq!(orchestrator.wait_for_result(&id).await["error"]["message"], "worker shut down");
}

#[tokio::test]
async fn a_handle_says_which_models_are_loaded_before_the_worker_runs_and_while_it_does() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
    let (builder, _tasks) = elsewhere();
    let config = config(&orchestrator.url(), &[("HEARTBEAT_INTERVAL", "60")]);
    let worker = builder.config(config).build().expect("a worker");
    let handle = worker.handle();
    handle.add_to_hot_cache("a");
    let _worker = Running::start(worker);
    wait_for_heartbeat(&orchestrator, |beat| beat["hot_cache"] == json!(["a"])).await;
    handle.add_to_hot_cache("b");
    handle.remove_from_hot_cache("a");
    assert_eq!(handle.hot_cache(), ["b"]);
    wait_for_heartbeat(&orchestrator, |beat| beat["hot_cache"] == json!(["b"])).await;
    assert!(told(&orchestrator).len() < 6, "each change is told once");
}

#[tokio::test]
async fn health_is_served_without_signal_handlers_and_knows_when_handlers_are_blocked_elsewhere() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one").port();
    let (builder, _tasks) = elsewhere();
    let port_text = port.to_string();
    let variables = [("WORKER_HOST", "127.0.0.1"), ("WORKER_PORT", port_text.as_str())];
    let worker = builder.config(config(&orchestrator.url(), &variables)).build().expect("a worker");
    let handle = worker.handle();
    let stop = tokio_util::sync::CancellationToken::new();
    let mut set = tokio::task::JoinSet::new();
    set.spawn(worker.run_until_with_health_check(stop.clone().cancelled_owned()));
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
    let address = format!("127.0.0.1:{port}");
    let ask = async || get(&address, "/health").await;
    assert_eq!(ask().await, (200, "OK".to_owned()));
    handle.handlers_blocked_since(Instant::now().checked_sub(Duration::from_secs(2)));
    let (status, text) = ask().await;
    assert!(status == 503 && text.starts_with("the runtime has been blocked for 2"), "{status} {text}");
    handle.handlers_blocked_since(None);
    assert_eq!(ask().await.0, 200);
    stop.cancel();
    assert!(set.join_next().await.expect("one").expect("no panic").expect("it ran").is_clean());
}

/// Status and body of a GET.
async fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}
