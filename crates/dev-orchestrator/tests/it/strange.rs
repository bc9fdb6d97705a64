//! Requests that no correct client sends.

use avtomatika_dev::{DevOrchestrator, NewTask, Settings};
use hyper::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Worker, get, in_time};

async fn start() -> (DevOrchestrator, Worker) {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    (orchestrator, worker)
}

#[tokio::test]
async fn malformed_messages_are_400_and_say_why() {
    let (orchestrator, worker) = start().await;
    let (register, result, events) = ("workers/register", "tasks/result", "events");
    for (method, path, body, expected) in [
        (Method::POST, register, "", "the body is not a registration"),
        (Method::POST, register, "<html>", "the body is not a registration"),
        (Method::POST, register, "[]", "the body is not a registration"),
        (Method::POST, register, "{}", "missing field `worker_id`"),
        (Method::POST, register, r#"{"worker_id":"a b"}"#, "`a b` is not an identifier"),
        (Method::POST, register, r#"{"worker_id":"w","supported_tasks":["x",5]}"#, "`supported_tasks[1]`"),
        (Method::POST, register, r#"{"worker_id":"w","supported_skills":[{}]}"#, "missing field `name`"),
        (Method::POST, register, r#"{"worker_id":"w","security":5}"#, "`security`"),
        (Method::POST, register, "{\"worker_id\":\"\\ud800\"}", "the body is not a registration"),
        (Method::PATCH, "workers/w", "null", "the body is not a heartbeat"),
        (Method::PATCH, "workers/w", r#"{"status":1}"#, "`status`"),
        (Method::PATCH, "workers/w", r#"{"current_tasks":[1]}"#, "`current_tasks[0]`"),
        (Method::PATCH, "workers/a%20b", "", "`a b` is not an identifier"),
        (Method::PATCH, "workers/%ff", "", "UTF-8"),
        (Method::POST, result, r#"{"job_id":"j"}"#, "missing field `task_id`"),
        (Method::POST, result, r#"{"job_id":"j","task_id":"t","error":"why"}"#, "`error`"),
        (Method::POST, result, r#"{"job_id":"j","task_id":"t","worker_id":"a/b"}"#, "`a/b`"),
        (Method::POST, events, r#"{"event_type":"progress"}"#, "missing field `payload`"),
        (Method::POST, events, r#"{"event_type":"progress","payload":[]}"#, "a payload of progress"),
    ] {
        let text = worker.send(method.clone(), path, body).await.error(400);
        assert!(text.contains(expected), "{method} {path} {body}: {text}");
    }
    let deep = format!(r#"{{"worker_id":"w","metadata":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    worker.send(Method::POST, register, deep).await;
    let many = json!({"worker_id": "w", "supported_tasks": vec!["x"; 1001]});
    let text = worker.post(register, &many).await.error(400);
    assert!(text.contains("1001 entries"), "{text}");
    assert_eq!(worker.beat(&json!({"status": "idle"})).await["status"], "ok", "still at work");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn bodies_over_a_mebibyte_are_413() {
    let (orchestrator, worker) = start().await;
    orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    for bytes in [1024 * 1024, 20 * 1024 * 1024] {
        let data = json!({"text": "x".repeat(bytes)});
        let body =
            json!({"job_id": task["job_id"], "task_id": task["task_id"], "worker_id": "w", "data": data});
        let text = worker.post("tasks/result", &body).await.error(413);
        assert!(text.contains("1048576"), "{text}");
    }
    let data = json!({"text": "x".repeat(1000 * 1024)});
    assert_eq!(worker.result(&task, json!({"data": data})).await["status"], "accepted");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn unknown_routes_and_methods_are_answered_in_json() {
    let (orchestrator, worker) = start().await;
    for path in ["auth/token", "ws", "", "workers/w/tasks"] {
        let text = worker.send(Method::POST, path, "").await.error(404);
        assert!(text.contains(&format!("POST /_worker/{path}")), "{text}");
    }
    get(&orchestrator, "/nothing").await.error(404);
    let text = worker.send(Method::DELETE, "workers/w", "").await.error(405);
    assert!(text.contains("`DELETE`"), "{text}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn data_other_than_http_does_no_harm() {
    let (orchestrator, worker) = start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /_worker/tasks/result HTTP/1.1\r\nhost: localhost\r\nx-worker-token: t\r\ncontent-length: 10\r\n\r\n{",
        b"POST /_worker/tasks/result HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /_worker/tasks/result HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(worker.address).await.expect("it listens");
        stream.write_all(bytes).await.expect("written");
        stream.shutdown().await.expect("half closed");
        let mut answer = Vec::new();
        // Some are answered, some are not; all of them end.
        let _ = in_time(stream.read_to_end(&mut answer)).await;
    }
    assert_eq!(worker.beat(&json!({"status": "idle"})).await["status"], "ok");
    orchestrator.shutdown().await;
}
