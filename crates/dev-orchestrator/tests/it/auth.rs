//! Tokens and signatures.

use avtomatika_dev::{DevOrchestrator, NewTask, Settings};
use hyper::{Method, StatusCode};
use rxon::WorkerId;
use rxon::model::Generation;
use rxon::signing::{Seal, Signer, unix_seconds};
use serde_json::{Value, json};

use crate::client::{Worker, request, send};

fn seal(token: &str) -> Seal {
    Seal::new(WorkerId::new("w").expect("an identifier"), token)
}

#[tokio::test]
async fn a_wrong_or_missing_token_is_refused_with_what_to_check() {
    let orchestrator = DevOrchestrator::start(Settings::new().with_token("secret")).await.expect("a port");
    let address = orchestrator.address();
    let body = json!({"worker_id": "w", "supported_tasks": ["x"]}).to_string();
    for token in ["wrong", "secreT", "secret2", ""] {
        for (method, path) in [
            (Method::POST, "/_worker/workers/register"),
            (Method::PATCH, "/_worker/workers/w"),
            (Method::GET, "/_worker/workers/w/tasks/next"),
            (Method::POST, "/_worker/tasks/result"),
            (Method::POST, "/_worker/events"),
        ] {
            let headers = [("x-worker-token", token)];
            let answer = send(address, request(address, method, path, &headers, body.clone())).await;
            let text = answer.error(401);
            assert!(text.contains("`WORKER_TOKEN`") && !text.contains("secret"), "{text}");
        }
    }
    assert_eq!(orchestrator.workers().len(), 0);
    Worker::registered(&orchestrator, "w", &["x"]).await;
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn suspended_tokens_are_refused_until_they_are_accepted_again() {
    let orchestrator = DevOrchestrator::start(Settings::new().with_token("secret")).await.expect("a port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    orchestrator.suspend_tokens(true);
    let text = worker.poll_for("0").await.error(401);
    assert!(text.contains("expired") && !text.contains("secret"), "{text}");
    orchestrator.suspend_tokens(false);
    assert_eq!(worker.poll_for("0").await.status, StatusCode::NO_CONTENT);
    let skills: Vec<String> = orchestrator.skills().iter().map(|skill| skill.name.to_string()).collect();
    assert_eq!(skills, ["x"]);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn without_a_configured_token_any_but_the_empty_one_will_do() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a port");
    let mut worker = Worker::new(&orchestrator, "w");
    worker.token = "whatever".to_owned();
    assert_eq!(worker.poll_for("0").await.status, StatusCode::NO_CONTENT);
    worker.token = String::new();
    worker.poll_for("0").await.error(401);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn signatures_are_checked_when_there_are_any() {
    for settings in [Settings::new(), Settings::new().with_token("secret")] {
        let orchestrator = DevOrchestrator::start(settings).await.expect("a port");
        let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
        orchestrator.submit(NewTask::new("x")).expect("room");
        let task = worker.task().await;
        let registration = json!({"worker_id": "w", "supported_tasks": ["x"]});
        let result = json!({"job_id": task["job_id"], "task_id": task["task_id"], "worker_id": "w"});
        let event = json!({"worker_id": "w", "event_type": "note", "payload": {}, "bubbling_chain": ["v"]});
        for (method, path, message, ignore) in [
            (Method::POST, "workers/register", &registration, &[] as &[&str]),
            (Method::PATCH, "workers/w", &json!({"worker_id": "w", "status": "idle"}), &[]),
            (Method::POST, "tasks/result", &result, &[]),
            (Method::POST, "events", &event, &["bubbling_chain"]),
        ] {
            let right = seal("secret").message(message, ignore, Generation::Newer).expect("signable");
            let wrong = seal("other").message(message, ignore, Generation::Newer).expect("signable");
            let text = worker.send(method.clone(), path, wrong).await.error(403);
            assert!(text.contains("signature"), "{path}: {text}");
            let answer = worker.send(method.clone(), path, right.clone()).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
            let text = worker.send(method, path, right).await.error(403);
            assert_eq!(text, "Duplicate message detected (replay attack)", "{path}");
        }
        orchestrator.shutdown().await;
    }
}

#[tokio::test]
async fn signed_messages_are_fresh() {
    let orchestrator = DevOrchestrator::start(Settings::new().with_token("secret")).await.expect("a port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let signed = |timestamp: Value| {
        let mut message = json!({"worker_id": "w", "status": "idle", "timestamp": timestamp});
        let signature = Signer::new("secret").sign(message.to_string().as_bytes(), &[]).expect("signable");
        message["security"] = json!({"signature": signature, "signer_id": "w"});
        message
    };
    let now = unix_seconds();
    for (timestamp, status, expected) in [
        (json!(now - 90), 403, "Message timestamp expired"),
        (json!(now + 90), 403, "Message timestamp expired"),
        (json!(-1), 403, "Message timestamp expired"),
        (json!(null), 403, "Missing required timestamp"),
        (json!("now"), 400, "`timestamp` is `\"now\"`"),
        (json!(1.5), 400, "`timestamp` is `1.5`"),
    ] {
        let answer = worker.send(Method::PATCH, "workers/w", signed(timestamp.clone()).to_string()).await;
        let text = answer.error(status);
        assert!(text.starts_with(expected), "{timestamp}: {text}");
    }
    assert_eq!(worker.beat(&signed(json!(now - 50))).await, json!({"status": "ok"}));
    let mut foreign = signed(json!(now));
    foreign["security"]["signer_id"] = json!("v");
    worker.send(Method::PATCH, "workers/w", foreign.to_string()).await.error(403);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn nobody_speaks_under_two_names() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let text = worker.post("workers/register", &json!({"worker_id": "v"})).await.error(403);
    assert!(text.contains("`v`") && text.contains("`w`"), "{text}");
    let text = worker.send(Method::PATCH, "workers/w", r#"{"worker_id":"v"}"#).await.error(403);
    assert!(text.contains("`v`") && text.contains("`w`"), "{text}");
    orchestrator.shutdown().await;
}
