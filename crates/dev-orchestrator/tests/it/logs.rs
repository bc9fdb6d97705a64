//! Log lines of tasks and workers.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, LogSource, NewTask, Settings};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::client::{Worker, get};

fn texts(lines: &Value) -> Vec<&str> {
    let lines = lines["lines"].as_array().expect("a list");
    lines.iter().map(|line| line["text"].as_str().expect("a text")).collect()
}

fn line(task_id: &Value, text: &str) -> String {
    json!({"level": "INFO", "message": text, "task_id": task_id, "size": 5}).to_string()
}

#[tokio::test]
async fn the_lines_of_all_tries_of_a_task_are_found() {
    let settings = Settings::new().with_retry_delay(Duration::ZERO);
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let mut browser = Browser::open(&orchestrator).await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let job_id = orchestrator.submit(NewTask::new("x")).expect("room").into_job_id();
    let first = worker.task().await;
    orchestrator.log_line("w", LogSource::Stderr, line(&first["task_id"], "one"));
    let error = json!({"code": "TRANSIENT_ERROR", "message": "again"});
    worker.result(&first, json!({"status": "failure", "error": error})).await;
    let second = worker.task().await;
    orchestrator.log_line("w", LogSource::Stdout, line(&second["task_id"], "two"));

    let path = format!("/api/tasks/{job_id}/logs");
    let lines = get(&orchestrator, &path).await.json();
    assert_eq!(texts(&lines), ["one", "two"]);
    let shown = &lines["lines"][0];
    assert_eq!(
        (&shown["level"], &shown["source"], &shown["worker_id"], &shown["task_id"], &shown["fields"]),
        (&json!("INFO"), &json!("stderr"), &json!("w"), &first["task_id"], &json!({"size": 5}))
    );
    assert!(shown["at"].as_f64().expect("a number") > 1.7e9);
    assert_eq!(lines["next"], lines["lines"][1]["n"]);
    let rest = get(&orchestrator, &format!("{path}?after={}", shown["n"])).await.json();
    assert_eq!(texts(&rest), ["two"]);
    let none = get(&orchestrator, &format!("{path}?after={}", rest["next"])).await.json();
    assert_eq!((texts(&none), &none["next"]), (vec![], &rest["next"]));
    let path = format!("/api/tasks/{}/logs?limit=1", second["task_id"].as_str().expect("a text"));
    assert_eq!(texts(&get(&orchestrator, &path).await.json()), ["one"]);

    let event = browser.next_of("log").await;
    assert_eq!((&event.data["job_id"], &event.data["line"]), (&json!(job_id), shown));
    assert_eq!((&event.data["text"], &event.data["n"]), (&shown["text"], &shown["n"]));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn lines_without_a_task_are_those_of_the_worker() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    orchestrator.log_line("w", LogSource::Stdout, "plain\r\n");
    orchestrator.log_line("w", LogSource::Stdout, line(&json!("task-of-another-1"), "unknown task"));
    orchestrator.log_line("w", LogSource::Stdout, b"\xff!");
    let lines = get(&orchestrator, "/api/workers/w/logs").await.json();
    assert_eq!(texts(&lines), ["plain", "unknown task", "\u{fffd}!"]);
    assert_eq!((&lines["lines"][0]["level"], &lines["dropped"]), (&json!(null), &json!(0)));
    let registered = Worker::registered(&orchestrator, "quiet", &["x"]).await;
    let none = get(&orchestrator, &format!("/api/workers/{}/logs", registered.id)).await.json();
    assert_eq!(none, json!({"lines": [], "next": 0, "dropped": 0}));

    let text = get(&orchestrator, "/api/workers/nobody/logs").await.error(404);
    assert!(text.contains("`nobody`"), "{text}");
    get(&orchestrator, "/api/tasks/job-x/logs").await.error(404);
    for query in ["after=-1", "limit=0", "limit=10001", "since=1"] {
        get(&orchestrator, &format!("/api/workers/w/logs?{query}")).await.error(400);
    }
    orchestrator.shutdown().await;
}
