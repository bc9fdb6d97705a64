//! Polls are held, and no task is lost in one.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, NewTask, Settings, TaskStatus};
use serde_json::json;
use testkit::Stopwatch;
use tokio::io::AsyncReadExt as _;

use crate::client::{Worker, eventually, in_time, open_polls};

async fn start() -> DevOrchestrator {
    DevOrchestrator::start(Settings::new()).await.expect("a free port")
}

#[tokio::test]
async fn a_held_poll_gets_the_next_task() {
    let orchestrator = start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let submit = async {
        eventually(|| open_polls(&orchestrator) == 1).await;
        orchestrator.submit(NewTask::new("x").with_priority(2.0)).expect("room")
    };
    let (task, submitted) = tokio::join!(worker.task(), submit);
    assert_eq!(task["job_id"], submitted.job_id.as_str());
    assert_eq!(task["task_id"], submitted.task_id.as_str());
    assert_eq!((&task["type"], &task["priority"], &task["params"]), (&json!("x"), &json!(2.0), &json!({})));
    let deadline = task["deadline"].as_f64().expect("a number");
    let timestamp = task["timestamp"].as_f64().expect("a number");
    assert!((deadline - timestamp - 300.0).abs() < 2.0, "{deadline} {timestamp}");
    assert!(task["deadline"].is_u64(), "for SDK 1.0b20, which reads whole numbers only");
    assert_eq!(orchestrator.task(&submitted.task_id).expect("known").status, TaskStatus::Running);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn params_and_data_pass_unchanged() {
    let orchestrator = start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let text = r#"{"z": 0.1, "a":18446744073709551616,"e":1E30, "f":1.10,"dup":1,"dup":2 ,"é":"\u00e9"}"#;
    let body = format!(r#"{{"type":"x","params":{text}}}"#);
    let job_id = crate::client::post(&orchestrator, "/api/tasks", &body).await.json()["job_id"].clone();
    let answer = worker.poll_for("5").await;
    let task = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    assert!(task.contains(text), "{task}");
    let task_id = answer.json()["task_id"].clone();
    let result = format!(r#"{{"job_id":{job_id},"task_id":{task_id},"worker_id":"w","data":{text}}}"#);
    worker.send(hyper::Method::POST, "tasks/result", result).await;
    let path = format!("/api/tasks/{}", job_id.as_str().expect("a text"));
    let view = crate::client::get(&orchestrator, &path).await;
    let view = String::from_utf8(view.body.to_vec()).expect("UTF-8");
    assert_eq!(view.matches(text).count(), 2, "{view}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn an_empty_poll_ends_with_204_when_the_worker_or_the_orchestrator_says_so() {
    let orchestrator = DevOrchestrator::start(Settings::new().with_poll_hold(Duration::from_millis(80)))
        .await
        .expect("a port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    for (wish, least, most) in [("30", 80, 5000), ("0.02", 20, 5000), ("0", 0, 5000)] {
        let start = Stopwatch::start();
        let answer = worker.poll_for(wish).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
        let held = start.took();
        let limits = Duration::from_millis(least)..Duration::from_millis(most);
        assert!(held.is_within(limits), "{wish}: {held:?}");
    }
    for wish in ["-1", "NaN", "soon", ""] {
        let text = worker.poll_for(wish).await.error(400);
        assert!(text.contains("timeout"), "{text}");
    }
    assert_eq!(open_polls(&orchestrator), 0);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn simultaneous_polls_get_different_tasks() {
    let orchestrator = start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let submit = async {
        eventually(|| open_polls(&orchestrator) == 3).await;
        [(); 3].map(|()| orchestrator.submit(NewTask::new("x")).expect("room").job_id.to_string())
    };
    let (one, two, three, submitted) = tokio::join!(worker.task(), worker.task(), worker.task(), submit);
    let mut handed = [one, two, three].map(|task| task["job_id"].as_str().expect("a text").to_owned());
    handed.sort();
    assert_eq!(handed, submitted);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_busy_worker_gets_nothing_until_it_is_idle_again() {
    let orchestrator = start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x", "y"]).await;
    worker.beat(&json!({"worker_id": "w", "status": "busy"})).await;
    orchestrator.submit(NewTask::new("x")).expect("room");
    assert_eq!(worker.poll_for("0.05").await.status, 204);
    worker.beat(&json!({"status": "idle", "available_skills": ["y"], "supported_tasks": ["x", "y"]})).await;
    assert_eq!(worker.poll_for("0.05").await.status, 204);
    let idle = async {
        eventually(|| open_polls(&orchestrator) == 1).await;
        worker.beat(&json!({"status": "idle", "supported_tasks": ["x"]})).await
    };
    let (task, _) = tokio::join!(worker.task(), idle);
    assert_eq!(task["type"], "x");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_poll_whose_client_disconnected_is_closed_at_once() {
    let orchestrator = start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let poll = worker.open_poll().await;
    eventually(|| open_polls(&orchestrator) == 1).await;
    drop(poll);
    eventually(|| open_polls(&orchestrator) == 0).await;
    orchestrator.submit(NewTask::new("x")).expect("room");
    worker.task().await;
    orchestrator.shutdown().await;
}

/// Submits a task before the orchestrator can have noticed that the client is gone.
async fn tasks_meet_closed_connections(rounds: usize) {
    let orchestrator = start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    for round in 0..rounds {
        let poll = worker.open_poll().await;
        eventually(|| open_polls(&orchestrator) == 1).await;
        drop(poll);
        let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
        let task = in_time(worker.task()).await;
        assert_eq!(task["job_id"], submitted.job_id.as_str(), "round {round}");
        worker.result(&task, json!({"status": "success"})).await;
        assert_eq!(orchestrator.wait(&submitted.job_id).await.expect("known").attempts, 1);
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn no_task_is_lost_in_a_closed_connection() {
    tasks_meet_closed_connections(300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_task_is_lost_in_a_closed_connection_with_several_threads() {
    tasks_meet_closed_connections(300).await;
}

#[tokio::test]
async fn a_task_that_was_not_completely_written_goes_back() {
    let orchestrator = start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    // Larger than the buffers of both kernels together.
    let params = json!({"text": "x".repeat(32 * 1024 * 1024)});
    let submitted = orchestrator.submit(NewTask::new("x").with_params(params)).expect("room");
    let mut poll = worker.open_poll().await;
    let mut some = [0; 1000];
    poll.read_exact(&mut some).await.expect("the answer has begun");
    assert_eq!(orchestrator.task(&submitted.job_id).expect("known").status, TaskStatus::Running);
    drop(poll);
    eventually(|| orchestrator.task(&submitted.job_id).expect("known").status == TaskStatus::Queued).await;
    let task = worker.task().await;
    assert_eq!(task["task_id"], submitted.task_id.as_str(), "the same try");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn an_unknown_worker_may_poll_and_gets_nothing() {
    let orchestrator = start().await;
    orchestrator.submit(NewTask::new("x")).expect("room");
    let stranger = Worker::new(&orchestrator, "stranger");
    assert_eq!(stranger.poll_for("0.02").await.status, 204);
    orchestrator.shutdown().await;
}
