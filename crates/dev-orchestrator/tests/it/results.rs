//! The effects of results.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Event, NewTask, Settings, TaskStatus};
use serde_json::{Value, json};

use crate::client::{Worker, in_time};

async fn start() -> (DevOrchestrator, Worker) {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    (orchestrator, worker)
}

#[tokio::test]
async fn success_finishes_with_the_data() {
    let (orchestrator, worker) = start().await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let answer = async {
        let task = worker.task().await;
        worker.result(&task, json!({"status": "needs_review", "data": {"sum": 3}, "error": null})).await
    };
    let (view, answer) = tokio::join!(in_time(orchestrator.wait(&submitted.job_id)), answer);
    let view = view.expect("known");
    assert_eq!(answer, json!({"status": "accepted", "transition": "success_transition"}));
    assert_eq!((view.status, view.result_status.as_deref()), (TaskStatus::Finished, Some("needs_review")));
    assert_eq!(view.data_as::<Value>().expect("JSON"), Some(json!({"sum": 3})));
    assert_eq!(view.worker_id.expect("a worker has it").as_str(), "w");
    let (submitted, started, ended) = (view.submitted_at, view.started_at, view.ended_at);
    assert!(Some(submitted) <= started && started <= ended, "{submitted} {started:?} {ended:?}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn all_members_of_a_result_are_shown_whatever_its_status() {
    let (orchestrator, worker) = start().await;
    for status in ["needs_review", "failure"] {
        let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
        let task = worker.task().await;
        let result = json!({
            "status": status, "data": {"n": 0.1}, "metadata": {"m": 1}, "costs": {"tokens": 7},
            "error": {"code": "PERMANENT_ERROR", "message": "not sharp"},
        });
        worker.result(&task, result.clone()).await;
        let view = in_time(orchestrator.wait(&submitted.job_id)).await.expect("known");
        let view = serde_json::to_value(view).expect("JSON");
        for member in ["data", "metadata", "costs"] {
            assert_eq!(view[member], result[member], "{status}: {member}");
        }
        assert_eq!(view["error"]["message"], "not sharp", "{status}");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn transient_failures_are_tried_again_and_others_are_not() {
    let (orchestrator, worker) = start().await;
    for (code, attempts, status) in [
        ("TRANSIENT_ERROR", 4, TaskStatus::Quarantined),
        ("PERMANENT_ERROR", 1, TaskStatus::Quarantined),
        ("INVALID_INPUT_ERROR", 1, TaskStatus::Failed),
    ] {
        let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
        let mut task_ids = Vec::new();
        for _ in 0..attempts {
            let task = worker.task().await;
            assert_eq!(task["job_id"], submitted.job_id.as_str());
            let error = json!({"code": code, "message": "no luck", "details": {"n": 1}});
            let answer =
                worker.result(&task, json!({"status": "failure", "error": error, "data": null})).await;
            assert_eq!(answer, json!({"status": "accepted", "transition": "failure_handled"}));
            assert!(!task_ids.contains(&task["task_id"]), "a new id");
            task_ids.push(task["task_id"].clone());
        }
        let view = in_time(orchestrator.wait(&submitted.job_id)).await.expect("known");
        assert_eq!((view.status, view.attempts), (status, attempts), "{code}");
        let error = view.error.expect("why");
        assert_eq!((error.code.as_str(), error.message.as_str()), (code, "no luck"));
        assert_eq!(error.details.as_ref().expect("kept").get(), r#"{"n":1}"#);
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn details_that_no_parser_can_hold_pass_too() {
    let (orchestrator, worker) = start().await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    let details = r#"{"n":1E400}"#;
    let body = format!(
        r#"{{"job_id":{},"task_id":{},"worker_id":"w","status":"failure",
            "error":{{"code":"PERMANENT_ERROR","message":"m","details":{details}}}}}"#,
        task["job_id"], task["task_id"]
    );
    let answer = worker.send(hyper::Method::POST, "tasks/result", body).await.json();
    assert_eq!(answer["status"], "accepted");
    for path in ["/api/tasks", &format!("/api/tasks/{}", submitted.job_id)] {
        let shown = crate::client::get(&orchestrator, path).await;
        assert_eq!(shown.status, 200);
        assert!(String::from_utf8_lossy(&shown.body).contains(details), "{path}: {shown:?}");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_result_that_does_not_count_is_ignored_with_a_reason() {
    let (orchestrator, worker) = start().await;
    orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    let success = || json!({"status": "success"});
    let other = Worker::new(&orchestrator, "other");
    assert_eq!(other.result(&task, success()).await["reason"], "worker_mismatch");
    let stale = json!({"job_id": task["job_id"], "task_id": "task-of-yesterday"});
    assert_eq!(worker.result(&stale, success()).await["reason"], "stale_task");
    let unknown = json!({"job_id": "job-of-yesterday", "task_id": task["task_id"]});
    assert_eq!(worker.result(&unknown, success()).await["reason"], "job_not_found");
    assert_eq!(worker.result(&task, success()).await["status"], "accepted");
    let again = worker.result(&task, success()).await;
    assert_eq!((&again["status"], &again["reason"]), (&json!("ignored"), &json!("job_already_terminated")));
    assert!(again["message"].as_str().expect("a text").contains("finished"), "{again}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn data_has_to_be_an_object() {
    let (orchestrator, worker) = start().await;
    orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    for data in [json!([1, 2]), json!("text"), json!(5), json!(false)] {
        let body =
            json!({"job_id": task["job_id"], "task_id": task["task_id"], "worker_id": "w", "data": data});
        let text = worker.post("tasks/result", &body).await.error(400);
        assert!(text.contains("`data`") && text.contains(&data.to_string()), "{text}");
    }
    assert_eq!(worker.result(&task, json!({})).await["status"], "accepted", "no status means success");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_task_past_its_deadline_is_tried_again() {
    let (orchestrator, worker) = start().await;
    let task = NewTask::new("x").with_timeout(Duration::from_millis(10));
    let submitted = orchestrator.submit(task).expect("room");
    let first = worker.task().await;
    let second = in_time(worker.task()).await;
    assert_eq!(first["job_id"], second["job_id"]);
    assert_ne!(first["task_id"], second["task_id"]);
    let current = json!({"status": "idle", "current_tasks": [first["task_id"], second["task_id"]]});
    assert_eq!(worker.beat(&current).await["cancel_task_ids"], json!([first["task_id"]]));
    assert_eq!(worker.result(&first, json!({})).await["reason"], "stale_task");
    let view = orchestrator.task(&submitted.job_id).expect("known");
    assert_eq!(view.error.expect("why").code.as_str(), "TIMEOUT_ERROR");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn progress_is_stored_and_published() {
    let (orchestrator, worker) = start().await;
    let mut feed = orchestrator.subscribe();
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    let event = |id: &str, payload: Value| {
        json!({
            "event_id": id, "worker_id": "w", "origin_worker_id": "w", "event_type": "progress",
            "payload": payload, "target_job_id": task["job_id"], "target_task_id": task["task_id"],
            "event": "progress_update", "progress": 0.5,
        })
    };
    let answer = worker.post("events", &event("1", json!({"progress": 0.5, "message": "half"}))).await.json();
    assert_eq!(answer, json!({"status": "event_accepted"}));
    let view = orchestrator.task(&submitted.job_id).expect("known");
    assert_eq!((view.progress, view.progress_message.as_deref()), (Some(0.5), Some("half")));

    worker.post("events", &event("2", json!({"message": "no number"}))).await.error(400);
    let other = Worker::new(&orchestrator, "other");
    let mut foreign = event("3", json!({"progress": 0.6}));
    foreign["worker_id"] = json!("other");
    other.post("events", &foreign).await.error(403);
    worker.result(&task, json!({"status": "success"})).await;
    let late = worker.post("events", &event("4", json!({"progress": 0.9}))).await.json();
    assert_eq!((&late["status"], &late["code"]), (&json!("error"), &json!("job_already_terminated")));
    let custom = json!({"worker_id": "w", "event_type": "note", "payload": {"a": 1}});
    assert_eq!(worker.post("events", &custom).await.json()["status"], "event_accepted");

    let mut seen = Vec::new();
    while seen.len() < 5 {
        match in_time(feed.next()).await.expect("it goes on") {
            Event::TaskChanged { status, .. } => seen.push(status.to_string()),
            Event::Progress { progress, message, .. } => seen.push(format!("{progress} {message}")),
            Event::Custom { event_type, payload, .. } => {
                seen.push(format!("{event_type} {}", payload.expect("small").get()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, ["queued", "running", "0.5 half", "finished", r#"note {"a":1}"#]);
    orchestrator.shutdown().await;
    assert!(in_time(feed.next()).await.is_none());
}
