//! Requests that make no sense, to every route of the description.

use avtomatika_dev::{DevOrchestrator, NewTask, Settings};
use hyper::Method;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::client::{Answer, Worker, get, request, send};

/// A described operation.
struct Operation {
    id: String,
    method: Method,
    path: String,
    /// The parameters in the query, with the type of their values.
    query: Vec<(String, Value)>,
    /// The content type of the body, if there is one.
    content: Option<String>,
    /// Whether the description has an answer with this status.
    statuses: Vec<String>,
}

impl Operation {
    fn has(&self, status: u16) -> bool {
        self.statuses.contains(&status.to_string())
    }

    /// The path for something that is there.
    fn target(&self, job: &str) -> String {
        let id = if self.path.starts_with("/api/workers") { "w" } else { job };
        let bucket = self.path.replace("{id}", id).replace("{bucket}", "avtomatika-payloads");
        bucket.replace("{key}", "rubbish")
    }

    /// Whether the body may be anything.
    fn takes_files(&self) -> bool {
        self.id == "putFile"
    }
}

async fn operations(orchestrator: &DevOrchestrator) -> Vec<Operation> {
    let document = get(orchestrator, "/api/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("an object");
    let all = paths.iter().flat_map(|(path, operations)| {
        operations.as_object().expect("an object").iter().map(|(method, operation)| {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let query = parameters.iter().filter(|parameter| parameter["in"] == "query");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let content = operation.pointer("/requestBody/content").and_then(Value::as_object);
            Operation {
                id: text(&operation["operationId"]),
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                query: query.map(|one| (text(&one["name"]), one["schema"]["type"].clone())).collect(),
                content: content.and_then(|content| content.keys().next().cloned()),
                statuses: operation["responses"].as_object().expect("an object").keys().cloned().collect(),
            }
        })
    });
    all.collect()
}

struct Scene {
    orchestrator: DevOrchestrator,
    operations: Vec<Operation>,
    job: String,
}

impl Scene {
    async fn start() -> Self {
        let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
        Worker::registered(&orchestrator, "w", &["x"]).await;
        let job = orchestrator.submit(NewTask::new("x")).expect("room").into_job_id().to_string();
        let operations = operations(&orchestrator).await;
        assert!(operations.len() > 15, "{}", operations.len());
        Self { orchestrator, operations, job }
    }

    async fn call(&self, operation: &Operation, target: &str, body: &[u8]) -> Answer {
        let headers: Vec<(&str, &str)> =
            operation.content.iter().map(|name| ("content-type", name.as_str())).collect();
        let address = self.orchestrator.address();
        send(address, request(address, operation.method.clone(), target, &headers, body.to_vec())).await
    }

    /// Nothing of all that has changed anything.
    async fn end(self) {
        let task = get(&self.orchestrator, &format!("/api/tasks/{}", self.job)).await.json();
        assert_eq!(task["status"], "queued");
        assert_eq!(get(&self.orchestrator, "/api/tasks").await.json()["total"], 1);
        let faults = get(&self.orchestrator, "/api/faults").await.json();
        let switches = faults["faults"].as_object().expect("an object");
        assert!(switches.values().all(|fault| fault["on"] == json!(false)), "{faults}");
        self.orchestrator.shutdown().await;
    }
}

#[tokio::test]
async fn bodies_that_are_no_messages_are_refused_with_a_reason() {
    let scene = Scene::start().await;
    let bodies: [&[u8]; 12] = [
        b"{",
        b"<html>hello</html>",
        b"\xff\xfe",
        b"[1, 2",
        b"[]",
        b"[{\"type\": \"x\"}]",
        b"5",
        b"\"text\"",
        b"null",
        b"NaN",
        b"{} {}",
        b"\0",
    ];
    let mut refused = 0;
    for operation in scene.operations.iter().filter(|one| one.content.is_some() && !one.takes_files()) {
        for body in bodies {
            let answer = scene.call(operation, &operation.target(&scene.job), body).await;
            let text = answer.error(400);
            assert!(operation.has(400) && text.len() > 10, "{}: {text}", operation.id);
            refused += 1;
        }
    }
    assert!(refused >= 7 * bodies.len(), "{refused}");
    scene.end().await;
}

#[tokio::test]
async fn members_of_wrong_types_and_unknown_ones_are_named() {
    let scene = Scene::start().await;
    let retry = format!("/api/tasks/{}/retry", scene.job);
    for (method, path, body, named) in [
        (Method::POST, "/api/tasks", r#"{"type": 5}"#, "type"),
        (Method::POST, "/api/tasks", r#"{"type": ""}"#, "type"),
        (Method::POST, "/api/tasks", r#"{"type": "x", "params": [1]}"#, "params"),
        (Method::POST, "/api/tasks", r#"{"type": "x", "params": "a"}"#, "params"),
        (Method::POST, "/api/tasks", r#"{"type": "x", "priority": "high"}"#, "priority"),
        (Method::POST, "/api/tasks", r#"{"type": "x", "timeout": -1}"#, "timeout"),
        (Method::POST, "/api/tasks", r#"{"type": "x", "timeout": 1e300}"#, "timeout"),
        (Method::POST, "/api/tasks", r#"{"type": "x", "count": 0}"#, "count"),
        (Method::POST, "/api/tasks", r#"{"type": "x", "count": 1.5}"#, "count"),
        (Method::POST, "/api/tasks", r#"{"type": "x", "prams": {}}"#, "prams"),
        (Method::POST, "/api/tasks", r#"{"params": {}}"#, "type"),
        (Method::POST, retry.as_str(), r#"{"params": 5}"#, "params"),
        (Method::POST, retry.as_str(), r#"{"parms": {}}"#, "parms"),
        (Method::POST, "/api/tasks/cancel", r#"{"ids": "all"}"#, "ids"),
        (Method::POST, "/api/tasks/cancel", r#"{"ids": [1]}"#, "ids"),
        (Method::POST, "/api/tasks/cancel", r#"{"status": "lost"}"#, "lost"),
        (Method::POST, "/api/tasks/cancel", r"{}", "ids"),
        (Method::POST, "/api/tasks/retry", r#"{"ids": {"a": 1}}"#, "ids"),
        (Method::POST, "/api/tasks/retry", r#"{"all": true}"#, "all"),
        (Method::PUT, "/api/faults", r#"{"explode": {"on": true}}"#, "explode"),
        (Method::PUT, "/api/faults", r#"{"slow": true}"#, "slow"),
        (Method::PUT, "/api/faults", r#"{"slow": {"on": "yes"}}"#, "on"),
        (Method::PUT, "/api/faults", r#"{"slow": {"on": true, "rate": 2}}"#, "rate"),
        (Method::PUT, "/api/faults", r#"{"slow": {"on": true, "for": "x"}}"#, "for"),
        (Method::PUT, "/api/faults", r#"{"slow": {"on": true}, "hang": {"rate": -1}}"#, "hang"),
    ] {
        let json = [("content-type", "application/json")];
        let address = scene.orchestrator.address();
        let answer = send(address, request(address, method.clone(), path, &json, body)).await;
        let text = answer.error(400);
        assert!(text.contains(named), "{method} {path} {body}: {text}");
    }
    scene.end().await;
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() {
    let scene = Scene::start().await;
    let huge =
        [&b"{\"type\": \"x\", \"params\": {\"a\": \""[..], &vec![b'x'; 17 * 1024 * 1024], b"\"}}"].concat();
    let mut refused = 0;
    for operation in scene.operations.iter().filter(|one| one.content.is_some() && !one.takes_files()) {
        let answer = scene.call(operation, &operation.target(&scene.job), &huge).await;
        let text = answer.error(413);
        assert!(operation.has(413), "{} does not describe it: {text}", operation.id);
        refused += 1;
    }
    assert!(refused >= 7, "{refused}");
    scene.end().await;
}

#[tokio::test]
async fn queries_that_are_wrong_are_named() {
    let scene = Scene::start().await;
    let mut refused = 0;
    for operation in scene.operations.iter().filter(|one| !one.query.is_empty()) {
        let target = operation.target(&scene.job);
        let required = if operation.id == "getTest" { "lang=curl&" } else { "" };
        let text = scene.call(operation, &format!("{target}?{required}nonsense=1"), b"").await.error(400);
        assert!(text.contains("nonsense"), "{}: {text}", operation.id);
        for (name, kind) in &operation.query {
            for value in ["x", "-1", "1e99", "%ff", "99999999999999999999999"] {
                let answer = scene.call(operation, &format!("{target}?{required}{name}={value}"), b"").await;
                let is_number = kind == "integer" && !matches!(value, "%ff");
                assert!(answer.status.as_u16() < 500, "{} {name}={value}: {answer:?}", operation.id);
                if is_number {
                    let text = answer.error(400);
                    assert!(text.contains(name.as_str()), "{} {name}={value}: {text}", operation.id);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused >= 20, "{refused}");
    scene.end().await;
}

#[tokio::test]
async fn paths_and_methods_that_nobody_has_are_answered_in_json() {
    let scene = Scene::start().await;
    let long = "x".repeat(10_000);
    let ids = ["%00", "%ff", "..%2f..%2fetc%2fpasswd", "%F0%9F%92%A9", "a%20b", "'%3B--", long.as_str()];
    for operation in &scene.operations {
        for id in ids {
            if !operation.path.contains('{') || operation.takes_files() {
                continue;
            }
            let target = operation.path.replace("{id}", id).replace("{bucket}", id).replace("{key}", id);
            let target = if operation.id == "getTest" { target + "?lang=curl" } else { target };
            let answer = scene.call(operation, &target, b"{}").await;
            assert!(matches!(answer.status.as_u16(), 400 | 404), "{} {id}: {answer:?}", operation.id);
            answer.error(answer.status.as_u16());
        }
        let target = operation.target(&scene.job);
        for method in ["DELETE", "PATCH", "BREW"] {
            let address = scene.orchestrator.address();
            let method: Method = method.parse().expect("a method");
            let json = [("content-type", "application/json")];
            let text = send(address, request(address, method.clone(), &target, &json, "{}")).await.error(405);
            assert!(text.contains(method.as_str()), "{text}");
        }
    }
    scene.end().await;
}

#[tokio::test]
async fn browsers_that_go_away_free_their_places() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let mut browsers = Vec::new();
    for _ in 0..256 {
        browsers.push(Browser::open(&orchestrator).await);
    }
    let refused = Browser::open_after(&orchestrator, None).await.err();
    assert_eq!(refused.map(|status| status.as_u16()), Some(503));
    // One goes away while events are on their way to it, all others without a word.
    orchestrator.submit(NewTask::new("x")).expect("room");
    browsers[0].next_of("task").await;
    browsers.clear();
    let mut browser = crate::client::in_time(async {
        loop {
            match Browser::open_after(&orchestrator, None).await {
                Ok(browser) => return browser,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    })
    .await;
    assert_eq!(browser.next().await.expect("an event").name, "snapshot");
    orchestrator.shutdown().await;
}
