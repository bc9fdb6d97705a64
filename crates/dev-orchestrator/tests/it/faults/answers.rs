//! Faults that answer in place of the routes, or let these answer wrongly.

use avtomatika_dev::{DevOrchestrator, Event, Fault, FaultSwitch, NewTask, TaskStatus};
use hyper::Method;
use serde_json::{Value, json};

use super::{started, state, switch_off, switch_on};
use crate::client::{Answer, Worker, eventually, in_time};

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| value.to_str().expect("a text"))
}

#[tokio::test]
async fn errors_come_in_turn() {
    let (orchestrator, worker) = started().await;
    switch_on(&orchestrator, Fault::Error5xx);
    for (status, kind) in
        [(500, "application/json"), (502, "text/html"), (503, "application/json"), (500, "application/json")]
    {
        let answer = worker.send(Method::PATCH, "workers/w", "{}").await;
        assert_eq!((answer.status.as_u16(), header(&answer, "content-type")), (status, Some(kind)));
        assert_eq!(answer.body.starts_with(b"<html>"), status == 502, "{answer:?}");
        if status != 502 {
            answer.error(status);
        }
    }
    assert_eq!(state(&orchestrator, Fault::Error5xx).hits, 4);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn refusals_say_when_to_come_back_except_to_every_second_poll() {
    let (orchestrator, worker) = started().await;
    switch_on(&orchestrator, Fault::TooMany);
    let refused = async |method: Method, path: &str| {
        let answer = worker.send(method, path, "{}").await;
        assert_eq!(answer.status, 429, "{path}");
        header(&answer, "retry-after").map(str::to_owned)
    };
    for expected in [Some("2"), None, Some("2"), None] {
        let poll = refused(Method::GET, "workers/w/tasks/next").await;
        assert_eq!(poll.as_deref(), expected);
        assert_eq!(refused(Method::PATCH, "workers/w").await.as_deref(), Some("2"));
        assert_eq!(refused(Method::POST, "tasks/result").await.as_deref(), Some("2"));
    }
    let registration = worker.post("workers/register", &json!({"worker_id": "w"})).await;
    assert_eq!(registration.status, 200);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn tokens_are_refused_in_turn_and_so_is_a_new_one() {
    let (orchestrator, worker) = started().await;
    switch_on(&orchestrator, Fault::Unauthorized);
    let requests = [
        (Method::PATCH, "workers/w", 401),
        (Method::GET, "workers/w/tasks/next", 403),
        (Method::POST, "auth/token", 401),
        (Method::GET, "ws/w", 403),
    ];
    for (method, path, status) in requests {
        worker.send(method, path, "").await.error(status);
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn forgotten_workers_keep_their_tasks() {
    let (orchestrator, worker) = started().await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    switch_on(&orchestrator, Fault::Forget);
    assert_eq!(state(&orchestrator, Fault::Forget).hits, 1);
    assert!(orchestrator.workers().is_empty());
    assert_eq!(worker.beat(&json!({"status": "idle"})).await, Value::Null);
    let known = Worker::registered(&orchestrator, "w", &["x"]).await;
    assert_eq!(orchestrator.workers()[0].running.len(), 1, "its task is still its own");
    assert_eq!(known.beat(&json!({"status": "idle"})).await["status"], "ok", "only once");
    assert_eq!(worker.result(&task, json!({"status": "success"})).await["status"], "accepted");
    assert_eq!(orchestrator.task(&submitted.job_id).expect("known").status, TaskStatus::Finished);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn workers_are_forgotten_at_their_heartbeats_with_a_rate() {
    let (orchestrator, worker) = started().await;
    let other = Worker::registered(&orchestrator, "v", &["x"]).await;
    let switch = FaultSwitch::on().with_rate(1.0).with_worker("w");
    orchestrator.set_fault(Fault::Forget, switch).expect("valid");
    for _ in 0..2 {
        assert_eq!(orchestrator.workers().len(), 2);
        assert_eq!(worker.beat(&json!({"status": "idle"})).await, Value::Null);
        Worker::registered(&orchestrator, "w", &["x"]).await;
    }
    assert_eq!(other.beat(&json!({"status": "idle"})).await["status"], "ok");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn garbage_is_html_and_takes_no_task_away() {
    let (orchestrator, worker) = started().await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    switch_on(&orchestrator, Fault::Garbage);
    for (method, path, body) in [
        (Method::GET, "workers/w/tasks/next", ""),
        (Method::PATCH, "workers/w", r#"{"status":"busy"}"#),
        (Method::POST, "tasks/result", "no result"),
    ] {
        let answer = worker.send(method, path, body).await;
        assert_eq!((answer.status.as_u16(), header(&answer, "content-type")), (200, Some("text/html")));
        assert!(answer.body.starts_with(b"<html>"), "{answer:?}");
    }
    eventually(|| orchestrator.task(&submitted.job_id).expect("known").status == TaskStatus::Queued).await;
    assert_eq!(worker.poll_for("0").await.status, 204, "busy: without a body nothing is replaced");
    switch_off(&orchestrator, Fault::Garbage);
    worker.beat(&json!({"status": "idle"})).await;
    assert_eq!(worker.task().await["task_id"], submitted.task_id.as_str());
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_task_is_given_twice_to_the_same_worker() {
    let (orchestrator, worker) = started().await;
    let mut feed = orchestrator.subscribe();
    let other = Worker::registered(&orchestrator, "v", &["x"]).await;
    switch_on(&orchestrator, Fault::Duplicate);
    let submitted = orchestrator.submit(NewTask::new("x").with_params(json!({"a": 1}))).expect("room");
    let first = worker.task().await;
    eventually(|| state(&orchestrator, Fault::Duplicate).hits == 1).await;
    assert_eq!(other.poll_for("0").await.status, 204, "not to another one");
    let second = worker.task().await;
    assert_eq!(second["task_id"], submitted.task_id.as_str());
    for member in ["task_id", "job_id", "type", "params", "deadline"] {
        assert_eq!(first[member], second[member], "{member}");
    }
    let hit = loop {
        if let Event::FaultHit { name, task_id, worker_id, is_result } =
            in_time(feed.next()).await.expect("an event")
        {
            break (name, task_id, worker_id.expect("known").to_string(), is_result);
        }
    };
    assert_eq!(hit, (Fault::Duplicate, Some(submitted.task_id.clone()), "w".to_owned(), false));
    assert_eq!(worker.poll_for("0").await.status, 204, "not a third time");
    assert_eq!(worker.result(&first, json!({"status": "success"})).await["status"], "accepted");
    assert_eq!(worker.result(&second, json!({"status": "success"})).await["status"], "ignored");
    assert_eq!(orchestrator.task(&submitted.job_id).expect("known").attempts, 1);
    no_copy_is_left(&orchestrator, &worker).await;
    orchestrator.shutdown().await;
}

/// Checks that a copy is not given out after the fault.
async fn no_copy_is_left(orchestrator: &DevOrchestrator, worker: &Worker) {
    orchestrator.submit(NewTask::new("x")).expect("room");
    worker.task().await;
    eventually(|| state(orchestrator, Fault::Duplicate).hits == 2).await;
    switch_off(orchestrator, Fault::Duplicate);
    assert_eq!(worker.poll_for("0").await.status, 204);
}
