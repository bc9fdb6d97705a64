//! Faults that end or hold connections.

use std::time::Duration;

use avtomatika_dev::{Event, Fault, FaultSwitch, NewTask, TaskStatus};
use futures_util::StreamExt as _;
use hyper::Method;
use serde_json::json;
use testkit::Stopwatch;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

use super::{hits, started, switch_off, switch_on};
use crate::client::{eventually, in_time, open_polls};
use crate::websockets::{answers_a_ping, connect};

#[tokio::test]
async fn refused_connections_are_reset_before_a_byte() {
    let (orchestrator, worker) = started().await;
    switch_on(&orchestrator, Fault::Refuse);
    for (method, path, body) in [
        ("PATCH", "workers/w", "{}"),
        ("POST", "workers/register", r#"{"worker_id":"w"}"#),
        ("GET", "workers/w/tasks/next", ""),
        ("POST", "events", "{}"),
        ("POST", "auth/token", "{}"),
    ] {
        let answer = worker.bytewise(method, path, body).await;
        assert!(answer.is_reset(), "{method} {path}: {answer:?}");
    }
    hits(&orchestrator, Fault::Refuse, 5).await;
    switch_off(&orchestrator, Fault::Refuse);
    assert_eq!(worker.beat(&json!({"status": "idle"})).await["status"], "ok");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn websockets_and_held_polls_are_reset_when_connections_are_refused() {
    let (orchestrator, worker) = started().await;
    let mut socket = connect(&worker).await.expect("a websocket");
    answers_a_ping(&mut socket).await;
    let mut poll = worker.open_poll().await;
    eventually(|| open_polls(&orchestrator) == 1).await;
    switch_on(&orchestrator, Fault::Refuse);
    let error = poll.read_to_end(&mut Vec::new()).await.expect_err("reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let end = in_time(socket.next()).await;
    assert!(matches!(&end, Some(Err(error)) if error.to_string().contains("reset")), "{end:?}");
    eventually(|| open_polls(&orchestrator) == 0).await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    assert_eq!(orchestrator.task(&submitted.job_id).expect("known").status, TaskStatus::Queued);
    switch_off(&orchestrator, Fault::Refuse);
    assert_eq!(worker.task().await["task_id"], submitted.task_id.as_str());
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn nothing_is_answered_while_it_hangs_and_then_connections_are_closed() {
    let (orchestrator, worker) = started().await;
    let mut socket = connect(&worker).await.expect("a websocket");
    answers_a_ping(&mut socket).await;
    let mut poll = worker.open_poll().await;
    eventually(|| open_polls(&orchestrator) == 1).await;
    switch_on(&orchestrator, Fault::Hang);
    let mut beats = JoinSet::new();
    let hanging = worker.clone();
    beats.spawn(async move { hanging.bytewise("PATCH", "workers/w", "{}").await });
    hits(&orchestrator, Fault::Hang, 3).await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    assert_eq!(orchestrator.task(&submitted.job_id).expect("known").status, TaskStatus::Queued);
    assert!(beats.try_join_next().is_none(), "nothing is answered");
    switch_off(&orchestrator, Fault::Hang);
    let beat = beats.join_next().await.expect("it was spawned").expect("no panic");
    assert_eq!((beat.bytes.as_str(), beat.error), ("", None));
    let mut rest = Vec::new();
    poll.read_to_end(&mut rest).await.expect("closed");
    assert_eq!(rest, b"");
    assert!(matches!(in_time(socket.next()).await, None | Some(Err(_))));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_hang_delays_no_shutdown() {
    let (orchestrator, worker) = started().await;
    switch_on(&orchestrator, Fault::Hang);
    let hanging = async { worker.bytewise("PATCH", "workers/w", "{}").await };
    let shutdown = async {
        hits(&orchestrator, Fault::Hang, 1).await;
        let start = Stopwatch::start();
        orchestrator.shutdown().await;
        start.took()
    };
    let (answer, took) = tokio::join!(hanging, shutdown);
    assert_eq!(answer.bytes, "");
    assert!(took.is_below(Duration::from_secs(5)), "{took:?}");
}

#[tokio::test]
async fn slow_answers_come_after_their_delay() {
    let (orchestrator, worker) = started().await;
    let slow = FaultSwitch::on().with_delay(Duration::from_millis(300));
    orchestrator.set_fault(Fault::Slow, slow).expect("valid");
    let start = Stopwatch::start();
    assert_eq!(worker.beat(&json!({"status": "idle"})).await["status"], "ok");
    assert!(start.took().is_at_least(Duration::from_millis(300)), "{:?}", start.took());
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_cut_answer_ends_with_half_of_its_body_and_a_reset() {
    let (orchestrator, worker) = started().await;
    switch_on(&orchestrator, Fault::Cut);
    let whole = r#"{"status":"ok"}"#;
    let answer = worker.bytewise("PATCH", "workers/w", r#"{"status":"idle"}"#).await;
    let (head, body) = answer.bytes.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("content-length: {}", whole.len())), "{head}");
    assert_eq!(body, &whole[..whole.len() / 2]);
    assert_eq!(answer.error, Some(std::io::ErrorKind::ConnectionReset));
    let empty = worker.bytewise("GET", "workers/w/tasks/next?timeout=0", "").await;
    assert!(empty.is_reset(), "{empty:?}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_task_that_was_cut_is_given_again() {
    let (orchestrator, worker) = started().await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    switch_on(&orchestrator, Fault::Cut);
    for _ in 0..3 {
        let answer = worker.bytewise("GET", "workers/w/tasks/next", "").await;
        let (head, body) = answer.bytes.split_once("\r\n\r\n").expect("a head");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        assert_eq!(body.len(), length.parse::<usize>().expect("a number") / 2, "{answer:?}");
        assert_eq!(answer.error, Some(std::io::ErrorKind::ConnectionReset));
        eventually(|| orchestrator.task(&submitted.job_id).expect("known").status == TaskStatus::Queued)
            .await;
    }
    switch_off(&orchestrator, Fault::Cut);
    let task = worker.task().await;
    assert_eq!(task["task_id"], submitted.task_id.as_str(), "the same try");
    assert_eq!(orchestrator.task(&submitted.job_id).expect("known").attempts, 1);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn the_first_answer_to_a_result_is_lost_and_the_result_counts() {
    let (orchestrator, worker) = started().await;
    let mut feed = orchestrator.subscribe();
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    switch_on(&orchestrator, Fault::LoseAck);
    let answer = worker.bytewise("POST", "tasks/result", &worker.success(&task)).await;
    assert!(answer.is_reset(), "{answer:?}");
    let hit = loop {
        if let Event::FaultHit { name, task_id, is_result, .. } =
            in_time(feed.next()).await.expect("an event")
        {
            break (name, task_id, is_result);
        }
    };
    assert_eq!(hit, (Fault::LoseAck, Some(submitted.task_id.clone()), true));
    assert_eq!(orchestrator.task(&submitted.job_id).expect("known").status, TaskStatus::Finished);
    let again = worker.send(Method::POST, "tasks/result", worker.success(&task)).await;
    assert_eq!((again.status.as_u16(), &again.json()["status"]), (200, &json!("ignored")));
    assert_eq!(worker.beat(&json!({"status": "idle"})).await["status"], "ok", "nothing else is hit");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_hit_is_told_while_its_exchange_goes_on() {
    let (orchestrator, worker) = started().await;
    let mut feed = orchestrator.subscribe();
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    switch_on(&orchestrator, Fault::Hang);
    let hit = async {
        loop {
            if let Event::FaultHit { name, task_id, is_result, .. } = feed.next().await.expect("an event") {
                break (name, task_id, is_result);
            }
        }
    };
    tokio::select! {
        _ = worker.send(Method::POST, "tasks/result", worker.success(&task)) => panic!("it hangs"),
        hit = in_time(hit) => assert_eq!(hit, (Fault::Hang, Some(submitted.task_id), true)),
    }
    orchestrator.shutdown().await;
}
