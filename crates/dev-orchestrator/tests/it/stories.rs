//! Stories of tasks, with the files that pass through the local storage.

use avtomatika_dev::{DevOrchestrator, Settings};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use serde_json::{Value, json};

use crate::client::{Worker, get, in_time, post, submit};
use crate::s3::client;

async fn story(orchestrator: &DevOrchestrator, id: &str) -> Value {
    let answer = get(orchestrator, &format!("/api/tasks/{id}/story")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn told(story: &Value) -> Vec<&str> {
    let events = story["events"].as_array().expect("a list");
    events.iter().map(|event| event["event"].as_str().expect("a text")).collect()
}

/// Returns the story when it has this event.
async fn story_with(orchestrator: &DevOrchestrator, id: &str, event: &str) -> Value {
    in_time(async {
        loop {
            let story = story(orchestrator, id).await;
            if told(&story).contains(&event) {
                return story;
            }
        }
    })
    .await
}

#[tokio::test]
async fn files_that_pass_through_the_storage_are_part_of_the_story() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let storage = orchestrator.storage().expect("it was not left out");
    let bucket = storage.bucket();
    storage.put(bucket, "in/a.txt", "hello").await.expect("stored");
    let files = client(storage, bucket, storage.secret_key());
    let params = json!({"type": "x", "params": {"file": format!("s3://{bucket}/in/a.txt")}});
    let job = submit(&orchestrator, &params.to_string()).await;
    // Before the task runs, and after it, the files are none of its worker's business.
    files.get(&Path::from("in/a.txt")).await.expect("there").bytes().await.expect("read");
    let task = worker.task().await;
    let task_id = task["task_id"].as_str().expect("a text");
    let bytes = files.get(&Path::from("in/a.txt")).await.expect("there").bytes().await.expect("read");
    assert_eq!(bytes, "hello");
    story_with(&orchestrator, &job, "inputs_fetched").await;
    files.get(&Path::from("in/none.txt")).await.expect_err("it does not exist");
    let output = Path::from(format!("{task_id}/out.txt"));
    files.put(&output, PutPayload::from("HELLO")).await.expect("stored");
    worker.result(&task, json!({"data": {"file": format!("s3://{bucket}/{output}")}})).await;
    files.get(&output).await.expect("there").bytes().await.expect("read");

    let story = story(&orchestrator, task_id).await;
    assert_eq!(
        told(&story),
        ["submitted", "offered", "delivered", "inputs_fetched", "started", "outputs_sent", "result"]
    );
    assert_eq!(story["job_id"], json!(job));
    for (index, event) in story["events"].as_array().expect("a list").iter().enumerate() {
        assert_eq!((&event["n"], &event["task_id"]), (&json!(index + 1), &task["task_id"]));
        assert!(event["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{event}");
        assert!(event["at"].as_f64().is_some_and(|at| at > 1.7e9), "{event}");
        let is_transfer = index == 3 || index == 5;
        assert_eq!(event.get("source").is_some(), is_transfer, "{event}");
    }
    for (phase, seconds) in story["durations"].as_object().expect("an object") {
        assert!(seconds.as_f64().is_some_and(|seconds| seconds >= 0.0), "{phase}: {seconds}");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn progress_and_the_result_are_told() {
    let settings = Settings::new().without_storage();
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let job = submit(&orchestrator, r#"{"type":"x"}"#).await;
    let task = worker.task().await;
    let event = json!({
        "worker_id": "w", "event_type": "progress", "payload": {"progress": 0.25, "message": "a quarter"},
        "target_job_id": task["job_id"], "target_task_id": task["task_id"],
    });
    worker.post("events", &event).await;
    let error = json!({"code": "PERMANENT_ERROR", "message": "broken"});
    worker.result(&task, json!({"status": "failure", "error": error})).await;
    let story = story(&orchestrator, &job).await;
    assert_eq!(told(&story), ["submitted", "offered", "delivered", "started", "progress", "result"]);
    let (progress, result) = (&story["events"][4], &story["events"][5]);
    assert_eq!((&progress["progress"], &progress["message"]), (&json!(0.25), &json!("a quarter")));
    assert_eq!(
        (&result["status"], &result["error"], &result["worker_id"]),
        (&json!("failure"), &error, &json!("w"))
    );
    let durations = &story["durations"];
    assert_eq!((&durations["inputs"], &durations["outputs"]), (&Value::Null, &Value::Null));
    assert!(durations["handler"].is_f64() && durations["total"].is_f64() && durations["queued"].is_f64());

    let retried = post(&orchestrator, &format!("/api/tasks/{job}/retry"), "").await.json();
    let story = self::story(&orchestrator, &job).await;
    assert_eq!((told(&story)[6], &story["events"][6]["as"]), ("retried", &retried["job_id"]));
    let text = get(&orchestrator, "/api/tasks/job-x/story").await.error(404);
    assert!(text.contains("`job-x`"), "{text}");
    orchestrator.shutdown().await;
}
