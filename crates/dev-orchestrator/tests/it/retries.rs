//! Retries by people, large submissions, and the bytes of payloads.

use avtomatika_dev::{DevOrchestrator, Error, NewTask, Settings};
use serde_json::{Value, json};

use crate::client::{Worker, get, post, submit};

async fn start() -> (DevOrchestrator, Worker) {
    let settings = Settings::new().without_storage();
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    (orchestrator, worker)
}

#[tokio::test]
async fn an_ended_task_is_retried_as_a_new_one() {
    let (orchestrator, worker) = start().await;
    let params = r#"{ "a":1,  "a":18446744073709551616, "b":"\u00e9\/" }"#;
    let first =
        submit(&orchestrator, &format!(r#"{{"type":"x","priority":2,"timeout":9,"params":{params}}}"#)).await;
    let retry = format!("/api/tasks/{first}/retry");
    let text = post(&orchestrator, &retry, "").await.error(409);
    assert_eq!(text, format!("`{first}` is queued: only a task that has ended can be retried"));
    let task = worker.task().await;
    assert!(post(&orchestrator, &retry, "{}").await.error(409).contains("is running"));
    worker.result(&task, json!({"data": {}})).await;

    let mut all = vec![first.clone()];
    for body in ["", "{}", r#"{"params": {"c": 3}}"#] {
        let last = all.last().expect("one");
        let answer = post(&orchestrator, &format!("/api/tasks/{last}/retry"), body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let answer = answer.json();
        assert_eq!(answer["of"], json!(first), "the first of all");
        all.push(answer["job_id"].as_str().expect("a text").to_owned());
        let shown = get(&orchestrator, &format!("/api/tasks/{}", all[all.len() - 1])).await;
        let view = shown.json();
        assert_eq!((&view["task_id"], &view["of"]), (&answer["task_id"], &json!(first)));
        assert_eq!((&view["priority"], &view["timeout"]), (&json!(2.0), &json!(9.0)));
        let kept = String::from_utf8_lossy(&shown.body).contains(params);
        assert_eq!(kept, !body.contains("params"), "byte by byte: {shown:?}");
        let answer = worker.poll_for("5").await;
        assert_eq!(String::from_utf8_lossy(&answer.body).contains(params), kept, "byte by byte: {answer:?}");
        worker.result(&answer.json(), json!({})).await;
    }
    for pair in all.windows(2) {
        let view = get(&orchestrator, &format!("/api/tasks/{}", pair[0])).await.json();
        assert_eq!(view["retried_as"], json!([pair[1]]));
    }
    let again = orchestrator.retry(&first, None).expect("it has ended");
    let view = get(&orchestrator, &format!("/api/tasks/{first}")).await.json();
    assert_eq!(view["retried_as"], json!([all[1], again.job_id]));
    assert!(matches!(orchestrator.retry(&again.job_id, None), Err(Error::NotEnded { .. })));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn what_is_no_retry_is_refused() {
    let (orchestrator, worker) = start().await;
    let job = submit(&orchestrator, r#"{"type":"x"}"#).await;
    worker.run(json!({})).await;
    for (body, expected) in [
        (r#"{"params": [1]}"#, "`params` is `[1]`, expected an object"),
        (r#"{"params": null}"#, "`params` is `null`, expected an object"),
        (r#"{"params": "text"}"#, "`params` is `\"text\"`, expected an object"),
        (r#"{"parms": {}}"#, "unknown field `parms`"),
        (r#"{"params": {}, "priority": 1}"#, "unknown field `priority`"),
        ("{", "the body is not a retry"),
        ("[]", "the body is not a retry"),
        ("{} {}", "trailing characters"),
    ] {
        let text = post(&orchestrator, &format!("/api/tasks/{job}/retry"), body).await.error(400);
        assert!(text.contains(expected), "{body}: {text}");
    }
    let text = post(&orchestrator, "/api/tasks/job-x/retry", "{}").await.error(404);
    assert!(text.contains("`job-x`"), "{text}");
    post(&orchestrator, "/api/tasks/%ff/retry", "{}").await.error(400);
    get(&orchestrator, &format!("/api/tasks/{job}/retry")).await.error(405);
    assert_eq!(orchestrator.tasks(10).len(), 1);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn earlier_tries_are_shown() {
    let (orchestrator, worker) = start().await;
    let job = submit(&orchestrator, r#"{"type":"x"}"#).await;
    let view = get(&orchestrator, &format!("/api/tasks/{job}")).await.json();
    assert_eq!(view["tries"], json!([]));
    let error = json!({"code": "TRANSIENT_ERROR", "message": "try again"});
    let first = worker.run(json!({"status": "failure", "error": error})).await;
    let view = get(&orchestrator, &format!("/api/tasks/{job}")).await.json();
    let earlier = &view["tries"][0];
    assert_eq!((&earlier["task_id"], &earlier["worker_id"]), (&first["task_id"], &json!("w")));
    assert_eq!((&earlier["status"], &earlier["error"]), (&json!("failure"), &error));
    assert!(earlier["started_at"].as_f64() <= earlier["ended_at"].as_f64());
    assert_ne!(view["task_id"], first["task_id"]);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn one_request_submits_a_task_many_times() {
    let (orchestrator, _) = start().await;
    let answer = post(&orchestrator, "/api/tasks", r#"{"type":"y","count":3}"#).await;
    assert_eq!(answer.status, 202);
    let answer = answer.json();
    let tasks = answer["tasks"].as_array().expect("a list");
    assert!(tasks.iter().all(|task| task["status"] == "queued" && task["task_id"].is_string()), "{answer}");
    assert_eq!((tasks.len(), orchestrator.tasks(10).len()), (3, 3));
    assert!(answer["hint"].as_str().expect("a text").contains("`y`"));
    let one = post(&orchestrator, "/api/tasks", r#"{"type":"x","count":1}"#).await.json();
    assert_eq!((one["tasks"].as_array().map(Vec::len), one.get("hint")), (Some(1), None));
    for (count, expected) in [
        ("0", "`count` is `0`, expected 1 to 1000"),
        ("1001", "`count` is `1001`"),
        ("-1", "`count`"),
        ("1.5", "`count`"),
    ] {
        let text =
            post(&orchestrator, "/api/tasks", &format!(r#"{{"type":"x","count":{count}}}"#)).await.error(400);
        assert!(text.contains(expected), "{text}");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn params_may_have_16_mebibytes() {
    let (orchestrator, worker) = start().await;
    let text = "x".repeat(15 * 1024 * 1024);
    let job = submit(&orchestrator, &format!(r#"{{"type":"x","params":{{"text":"{text}"}}}}"#)).await;
    let task = worker.task().await;
    assert_eq!(
        (&task["job_id"], task["params"]["text"].as_str().map(str::len)),
        (&json!(job), Some(text.len()))
    );
    worker.result(&task, json!({})).await;
    let too_large = format!(r#"{{"type":"x","params":{{"text":"{text}{}"}}}}"#, "x".repeat(1024 * 1024));
    for path in ["/api/tasks", &format!("/api/tasks/{job}/retry"), "/api/tasks/retry"] {
        let text = post(&orchestrator, path, &too_large).await.error(413);
        assert!(text.contains("16777216"), "{path}: {text}");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn parameters_that_do_not_fit_the_schema_are_accepted() {
    let (orchestrator, worker) = start().await;
    let schema = json!({"type": "object", "required": ["width"]});
    let skills = json!({"worker_id": "w", "supported_skills": [{"name": "x", "input_schema": schema}]});
    worker.post("workers/register", &skills).await;
    orchestrator.submit(NewTask::new("x")).expect("it may be on purpose");
    assert_eq!(worker.task().await["params"], Value::Object(serde_json::Map::new()));
    orchestrator.shutdown().await;
}
