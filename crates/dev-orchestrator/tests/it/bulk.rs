//! Cancelling and retrying many tasks with one request.

use avtomatika_dev::{DevOrchestrator, Settings, TaskStatus};
use serde_json::{Value, json};

use crate::client::{Worker, get, post, submit};

async fn start() -> (DevOrchestrator, Worker) {
    let settings = Settings::new().without_storage();
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    (orchestrator, worker)
}

async fn bulk(orchestrator: &DevOrchestrator, verb: &str, choice: &Value) -> Value {
    let answer = post(orchestrator, &format!("/api/tasks/{verb}"), &choice.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn failed(answer: &Value) -> Vec<(&str, &str)> {
    let failed = answer["failed"].as_array().expect("a list");
    failed
        .iter()
        .map(|one| (one["id"].as_str().expect("a text"), one["error"].as_str().expect("a text")))
        .collect()
}

#[tokio::test]
async fn tasks_are_cancelled_by_their_ids_and_by_what_they_are() {
    let (orchestrator, worker) = start().await;
    let done = submit(&orchestrator, r#"{"type":"x"}"#).await;
    worker.run(json!({})).await;
    let running = submit(&orchestrator, r#"{"type":"x"}"#).await;
    let task = worker.task().await;
    let waiting = submit(&orchestrator, r#"{"type":"y"}"#).await;
    let other = submit(&orchestrator, r#"{"type":"y"}"#).await;
    let ids = json!({"ids": [done, task["task_id"], "job-x", waiting, waiting, running]});
    let answer = bulk(&orchestrator, "cancel", &ids).await;
    assert_eq!((&answer["count"], answer.get("tasks")), (&json!(2), None), "{answer}");
    let why = failed(&answer);
    assert_eq!(why.len(), 2, "an id that is given twice counts once: {answer}");
    assert!(why[0].0 == done && why[0].1.contains("is already finished"), "{answer}");
    assert!(why[1].0 == "job-x" && why[1].1.contains("no task has the job or task id"), "{answer}");
    let status = |id: &str| orchestrator.task(id).expect("known").status;
    assert_eq!((status(&waiting), status(&other)), (TaskStatus::Cancelled, TaskStatus::Queued));
    assert!(orchestrator.task(&running).expect("known").cancel_requested);

    let both = json!({"ids": [other, running], "type": "y", "status": ["queued"]});
    let answer = bulk(&orchestrator, "cancel", &both).await;
    assert_eq!(answer["count"], 1);
    assert!(failed(&answer)[0].1.contains("is running and has the type `x`"), "{answer}");
    for _ in 0..450 {
        submit(&orchestrator, r#"{"type":"y"}"#).await;
    }
    let answer = bulk(&orchestrator, "cancel", &json!({"status": "queued", "type": "y"})).await;
    assert_eq!(answer, json!({"count": 450, "failed": []}));
    let answer = bulk(&orchestrator, "cancel", &json!({"status": "queued"})).await;
    assert_eq!(answer, json!({"count": 0, "failed": []}));
    let answer = bulk(&orchestrator, "cancel", &json!({"status": "finished"})).await;
    assert_eq!((&answer["count"], failed(&answer)[0].0), (&json!(0), done.as_str()));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn tasks_are_retried_in_the_order_of_their_submission() {
    let (orchestrator, worker) = start().await;
    let mut jobs = Vec::new();
    for number in 0..3 {
        jobs.push(submit(&orchestrator, &format!(r#"{{"type":"x","params":{{"n":{number}}}}}"#)).await);
        worker.run(json!({"status": "failure", "error": {"code": "PERMANENT_ERROR", "message": "no"}})).await;
    }
    let waiting = submit(&orchestrator, r#"{"type":"y"}"#).await;
    let answer = bulk(&orchestrator, "retry", &json!({"status": "quarantined,failed"})).await;
    assert_eq!((&answer["count"], &answer["failed"]), (&json!(3), &json!([])));
    for (index, job) in jobs.iter().enumerate() {
        let new = &answer["tasks"][index];
        assert_eq!(new["of"], json!(job));
        let view = get(&orchestrator, &format!("/api/tasks/{}", new["job_id"].as_str().expect("a text")))
            .await
            .json();
        assert_eq!((&view["params"], &view["task_id"]), (&json!({"n": index}), &new["task_id"]));
    }
    let answer = bulk(&orchestrator, "retry", &json!({"ids": [waiting, jobs[0]]})).await;
    assert_eq!((&answer["count"], &answer["tasks"][0]["of"]), (&json!(1), &json!(jobs[0])));
    assert!(failed(&answer)[0].1.contains("is queued: only a task that has ended"), "{answer}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn nothing_chosen_never_means_everything() {
    let (orchestrator, _) = start().await;
    let job = submit(&orchestrator, r#"{"type":"y"}"#).await;
    let many: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    let many = json!({ "ids": many }).to_string();
    for verb in ["cancel", "retry"] {
        for (body, expected) in [
            ("{}", "no tasks are chosen: expected `ids`, `status` or `type`"),
            (r#"{"ids":null}"#, "no tasks are chosen"),
            ("", "the body is not a choice of tasks"),
            ("[]", "the body is not a choice of tasks"),
            (r#"{"ids":"all"}"#, "`ids`"),
            (r#"{"ids":[1]}"#, "`ids[0]`"),
            (r#"{"status":5}"#, "expected a text, or a list of texts"),
            (r#"{"status":"done"}"#, "`done` is not a status"),
            (r#"{"status":""}"#, "`` is not a status"),
            (r#"{"ids":[],"all":true}"#, "unknown field `all`"),
            (many.as_str(), "`ids` has 10001 entries, expected at most 10000"),
        ] {
            let text = post(&orchestrator, &format!("/api/tasks/{verb}"), body).await.error(400);
            assert!(text.contains(expected), "{verb} {}: {text}", &body[..body.len().min(40)]);
        }
        for nothing in [json!({"ids": []}), json!({"status": []}), json!({"type": ""}), json!({"type": []})] {
            assert_eq!(bulk(&orchestrator, verb, &nothing).await["count"], 0, "{verb} {nothing}");
        }
    }
    assert_eq!(orchestrator.task(&job).expect("known").status, TaskStatus::Queued);
    orchestrator.shutdown().await;
}
