//! The JSON API for people.

use avtomatika_dev::{DevOrchestrator, NewTask, Settings, TaskStatus};
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{Worker, get, post, request, send};

async fn start() -> DevOrchestrator {
    DevOrchestrator::start(Settings::new()).await.expect("a free port")
}

#[tokio::test]
async fn a_task_is_submitted_seen_listed_and_cancelled() {
    let orchestrator = start().await;
    let answer =
        post(&orchestrator, "/api/tasks", r#"{"type":"x","params":{"a":1},"priority":2,"timeout":7}"#).await;
    assert_eq!(answer.status, 202);
    let submitted = answer.json();
    assert_eq!(submitted["status"], "queued");
    assert!(submitted["hint"].as_str().expect("a text").contains("`x`"), "{submitted}");
    let job_id = submitted["job_id"].as_str().expect("a text");

    for id in [job_id, submitted["task_id"].as_str().expect("a text")] {
        let task = get(&orchestrator, &format!("/api/tasks/{id}")).await.json();
        assert_eq!(
            (&task["job_id"], &task["status"], &task["type"]),
            (&json!(job_id), &json!("queued"), &json!("x"))
        );
        assert_eq!(
            (&task["params"], &task["priority"], &task["attempts"]),
            (&json!({"a": 1}), &json!(2.0), &json!(0))
        );
        assert!(task["submitted_at"].as_f64().expect("a number") > 1.7e9 && task.get("ended_at").is_none());
    }

    let cancel = format!("/api/tasks/{job_id}/cancel");
    assert_eq!(post(&orchestrator, &cancel, "").await.json(), json!({"status": "cancelled"}));
    let text = post(&orchestrator, &cancel, "").await.error(409);
    assert!(text.contains("already cancelled"), "{text}");
    post(&orchestrator, "/api/tasks/job-x/cancel", "").await.error(404);
    let text = get(&orchestrator, "/api/tasks/job-x").await.error(404);
    assert!(text.contains("`job-x`"), "{text}");

    orchestrator.submit(NewTask::new("y")).expect("room");
    orchestrator.submit(NewTask::new("z")).expect("room");
    let names = |list: &Value| -> Vec<String> {
        let tasks = list["tasks"].as_array().expect("a list");
        tasks.iter().map(|task| task["type"].as_str().expect("a text").to_owned()).collect()
    };
    let list = get(&orchestrator, "/api/tasks").await.json();
    assert_eq!((names(&list), &list["total"]), (vec!["z".into(), "y".into(), "x".into()], &json!(3)));
    assert!(list["tasks"][0].get("params").is_none(), "{list}");
    let list = get(&orchestrator, "/api/tasks?status=queued&limit=1").await.json();
    assert_eq!((names(&list), &list["total"]), (vec!["z".into()], &json!(2)));
    let text = get(&orchestrator, "/api/tasks?status=done").await.error(400);
    assert!(text.contains("`done`") && text.contains("`queued`"), "{text}");
    get(&orchestrator, "/api/tasks?limit=-1").await.error(400);
    get(&orchestrator, "/api/tasks?page=1").await.error(400);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_worker_on_this_machine_is_told_what_it_needs_and_nobody_else_is() {
    let settings = Settings::new().with_token("hunter2").with_allowed_host("orchestrator");
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let address = orchestrator.address();
    let health = async |headers: &[(&str, &str)]| {
        send(address, request(address, Method::GET, "/api/health", headers, "")).await.json()
    };
    let told = health(&[]).await;
    let storage = orchestrator.storage().expect("a storage");
    assert_eq!(told["environment"]["ORCHESTRATOR_URL"], orchestrator.url());
    assert_eq!(told["environment"]["WORKER_TOKEN"], "hunter2");
    for (name, value) in storage.variables() {
        assert_eq!(told["environment"][name], value);
    }
    assert_eq!(health(&[("host", "localhost:8080")]).await, told);
    for headers in [
        [("host", "orchestrator"), ("accept", "*/*")],
        [("host", "localhost"), ("host", "orchestrator")],
        [("host", "localhost"), ("origin", "http://evil.example")],
        [("host", "localhost"), ("sec-fetch-site", "cross-site")],
    ] {
        let told = health(&headers).await;
        assert_eq!((&told["status"], told.get("environment")), (&json!("ok"), None), "{headers:?}");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn workers_and_health_are_shown() {
    let orchestrator = start().await;
    assert_eq!(get(&orchestrator, "/api/health").await.json()["status"], "ok");
    assert_eq!(get(&orchestrator, "/api/workers").await.json(), json!({"workers": []}));
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let submitted = post(&orchestrator, "/api/tasks", r#"{"type":"x"}"#).await.json();
    assert!(submitted.get("hint").is_none(), "{submitted}");
    worker.task().await;
    worker.beat(&json!({"status": "busy"})).await;
    let workers = get(&orchestrator, "/api/workers").await.json();
    let shown = &workers["workers"][0];
    assert_eq!(
        (&shown["status"], &shown["accepts"], &shown["tasks"]),
        (&json!("busy"), &json!([]), &json!(["x"]))
    );
    assert_eq!(shown["running"], json!([submitted["job_id"]]));
    assert!(shown["last_heard"].as_f64().expect("a number") < 20.0);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn what_is_no_task_is_refused_with_the_value_and_what_was_expected() {
    let orchestrator = start().await;
    for (body, expected) in [
        ("", "the body is not a task"),
        ("{", "the body is not a task"),
        ("[]", "the body is not a task"),
        ("{} {}", "trailing characters"),
        ("{}", "missing field `type`"),
        (r#"{"type":5}"#, "`type`: invalid type: integer `5`, expected a string"),
        (r#"{"type":"a b"}"#, "`a b` is not an identifier"),
        (r#"{"type":"x","params":[1]}"#, "`params` is `[1]`, expected an object"),
        (r#"{"type":"x","priority":"high"}"#, "`priority`: invalid type: string \"high\""),
        (r#"{"type":"x","timeout":-1}"#, "`timeout` is `-1`"),
        (r#"{"type":"x","timeout":0}"#, "`timeout` is 0"),
        (r#"{"type":"x","timeout":1e-12}"#, "`timeout` is 0"),
        (r#"{"type":"x","parms":{}}"#, "unknown field `parms`"),
        (r#"{"type":"x"} tail"#, "trailing characters"),
    ] {
        let text = post(&orchestrator, "/api/tasks", body).await.error(400);
        assert!(text.contains(expected), "{body}: {text}");
    }
    assert_eq!(orchestrator.tasks(10).len(), 0);
    let far = post(&orchestrator, "/api/tasks", r#"{"type":"x","timeout":1e300}"#).await;
    far.error(400);
    let long =
        post(&orchestrator, "/api/tasks", r#"{"type":"x","timeout":1e15,"params":null,"priority":null}"#)
            .await;
    assert_eq!(long.status, 202, "a year at most");
    Worker::registered(&orchestrator, "w", &["x"]).await.task().await;
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_full_queue_is_said_so() {
    let orchestrator = DevOrchestrator::start(Settings::new().with_queue_limit(1)).await.expect("a port");
    orchestrator.submit(NewTask::new("x")).expect("room");
    let text = post(&orchestrator, "/api/tasks", r#"{"type":"x"}"#).await.error(503);
    assert!(text.contains("1 tasks are waiting or running"), "{text}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn other_peoples_web_pages_are_kept_out() {
    let orchestrator = start().await;
    let address = orchestrator.address();
    let body = r#"{"type":"x"}"#;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"] {
        let headers = [("content-type", content_type)];
        let answer = send(address, request(address, Method::POST, "/api/tasks", &headers, body)).await;
        let text = answer.error(415);
        assert!(text.contains("`application/json`"), "{text}");
    }
    let json = ("content-type", "application/json; charset=utf-8");
    for path in ["/api/tasks", "/_worker/workers/register", "/nothing"] {
        let headers = [("host", "evil.example:8080"), ("x-worker-token", "t"), json];
        let text = send(address, request(address, Method::POST, path, &headers, body)).await.error(403);
        assert!(text.contains("`evil.example:8080`"), "{text}");
    }
    assert_eq!(orchestrator.tasks(1).len(), 0);
    let headers = [("host", "localhost"), json];
    assert_eq!(send(address, request(address, Method::POST, "/api/tasks", &headers, body)).await.status, 202);
    orchestrator.shutdown().await;

    let settings = Settings::new().with_token("secret").with_allowed_host("orchestrator");
    let orchestrator = DevOrchestrator::start(settings).await.expect("a port");
    let address = orchestrator.address();
    let headers = [("host", "docker.internal"), ("x-worker-token", "secret")];
    let poll = request(address, Method::GET, "/_worker/workers/w/tasks/next?timeout=0", &headers, "");
    assert_eq!(send(address, poll).await.status, 204, "a client that knows the token may use any name");
    let headers = [("host", "orchestrator:8080")];
    assert_eq!(send(address, request(address, Method::GET, "/api/tasks", &headers, "")).await.status, 200);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn the_same_can_be_done_in_the_process() {
    let orchestrator = start().await;
    let error = orchestrator.submit(NewTask::new("no name")).expect_err("no identifier");
    assert!(error.to_string().contains("`no name`"), "{error}");
    let error = orchestrator.submit(NewTask::new("x").with_params([1])).expect_err("no object");
    assert!(error.to_string().contains("`[1]`"), "{error}");
    let error = orchestrator.submit(NewTask::new("x").with_priority(f64::NAN)).expect_err("no number");
    assert!(error.to_string().contains("`NaN`"), "{error}");
    let submitted = orchestrator.submit(NewTask::new("x")).expect("a task");
    assert!(orchestrator.task("job-x").is_none());
    assert!(orchestrator.wait("job-x").await.is_err());
    let (view, _) = tokio::join!(orchestrator.wait(&submitted.job_id), async {
        orchestrator.cancel(&submitted.task_id).expect("it waits")
    });
    assert_eq!(view.expect("known").status, TaskStatus::Cancelled);
    assert_eq!(orchestrator.wait(&submitted.job_id).await.expect("known").status, TaskStatus::Cancelled);
    orchestrator.shutdown().await;
}
