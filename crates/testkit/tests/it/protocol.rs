//! What the orchestrator does without a script.

use serde_json::json;
use testkit::{Endpoint, Script, ScriptedOrchestrator};

use crate::client::Client;

#[tokio::test]
async fn the_newer_generation_says_its_version_and_hides_that_it_forgot() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut client = Client::of(&orchestrator).await;
    let answer = client.register("w1").await;
    assert_eq!(answer.json(), json!({ "status": "registered", "version": "1.0b17" }));
    assert_eq!(answer.header("x-rxon-version"), Some("1.0b17"));
    assert_eq!(client.heartbeat("w1", "{}").await.json(), json!({ "status": "ok" }));
    assert_eq!(client.heartbeat("w1", "").await.json(), json!({ "status": "ttl_refreshed" }));
    assert!(orchestrator.knows("w1"));
    orchestrator.forget_workers();
    assert_eq!(client.heartbeat("w1", "{}").await.json(), json!({ "status": "ok" }));
    assert_eq!(client.heartbeat("w1", "").await.json(), json!(null));
    let answer = client.post("/_worker/tasks/result", "{}").await;
    assert_eq!(answer.json(), json!({ "status": "accepted", "transition": "success_transition" }));
}

#[tokio::test]
async fn the_older_generation_answers_strangers_with_null() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::older()).await;
    let mut client = Client::of(&orchestrator).await;
    assert_eq!(client.heartbeat("w1", "{}").await.json(), json!(null));
    assert_eq!(client.register("w1").await.json(), json!({ "status": "registered" }));
    assert_eq!(client.heartbeat("w1", "{}").await.json(), json!({ "worker_id": "w1" }));
    orchestrator.forget_workers();
    assert_eq!(client.heartbeat("w1", "{}").await.json(), json!(null));
    assert_eq!(client.post("/_worker/tasks/result", "{}").await.json(), json!({ "status": "ok" }));
}

#[tokio::test]
async fn the_other_endpoints_are_known_by_name() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut client = Client::of(&orchestrator).await;
    assert_eq!(client.post("/_worker/events", "{}").await.json(), json!({ "status": "event_accepted" }));
    assert_eq!(client.post("/_worker/auth/token", "").await.status, 404);
    assert_eq!(client.post("/_worker/auth/token/refresh", "{}").await.status, 404);
    assert_eq!(client.request("DELETE", "/_worker/workers/w1", "").await.unwrap().status, 404);
    // Served, but this is no handshake.
    assert_eq!(client.request("GET", "/_worker/ws/w1", "").await.unwrap().status, 400);
    let counts = Endpoint::ALL.map(|endpoint| orchestrator.count(endpoint));
    assert_eq!(counts, [0, 0, 0, 0, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn requests_are_recorded_with_everything_they_had() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut client = Client::of(&orchestrator).await;
    let text = "PATCH /prefix/_worker/workers/w1?a=b HTTP/1.1\r\nX-Worker-Token: secret\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
    client.send(text).await.unwrap();
    client.response().await.unwrap();
    let mut second = Client::of(&orchestrator).await;
    second.heartbeat("w2", "").await;
    let requests = orchestrator.requests(Endpoint::Heartbeat);
    let first = &requests[0];
    assert_eq!((first.method.as_str(), first.path.as_str()), ("PATCH", "/prefix/_worker/workers/w1"));
    assert_eq!(first.query, "a=b");
    assert_eq!(first.header("x-worker-token"), Some("secret"));
    assert_eq!(first.header("x-worker-id"), None);
    assert_eq!(first.json(), json!({ "a": 1 }));
    assert_eq!((first.connection, requests[1].connection), (1, 2));
    assert!(first.at <= requests[1].at);
}

#[tokio::test]
async fn without_recording_requests_are_still_counted() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().without_recording()).await;
    let mut client = Client::of(&orchestrator).await;
    client.register("w1").await;
    assert_eq!(orchestrator.count(Endpoint::Register), 1);
    assert!(orchestrator.wait_for_requests(Endpoint::Register, 1).await.is_empty());
}

#[tokio::test]
async fn bodies_may_come_in_chunks_and_late() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut client = Client::of(&orchestrator).await;
    let head = "POST /_worker/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    client.send(head).await.unwrap();
    assert_eq!(client.response().await.unwrap().status, 100);
    client.send("3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0").await.unwrap();
    client.send("\r\n\r\n").await.unwrap();
    assert_eq!(client.response().await.unwrap().status, 200);
    assert_eq!(orchestrator.requests(Endpoint::Event)[0].json(), json!({ "a": 1 }));
    assert_eq!(client.register("w1").await.status, 200, "the connection goes on after the chunks");
}

#[tokio::test]
async fn requests_may_be_sent_ahead() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut client = Client::of(&orchestrator).await;
    for body in ["1", "22", "333"] {
        client.send_request("POST", "/_worker/events", body).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(client.response().await.unwrap().status, 200);
    }
    let bodies: Vec<_> = orchestrator.requests(Endpoint::Event).into_iter().map(|event| event.body).collect();
    assert_eq!(bodies, ["1", "22", "333"]);
}

#[tokio::test]
async fn a_body_over_the_limit_gets_413_and_garbage_gets_400() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut client = Client::of(&orchestrator).await;
    let big = " ".repeat(1024 * 1024 + 1);
    assert_eq!(client.post("/_worker/tasks/result", &big).await.status, 413);
    assert_eq!(client.post("/_worker/tasks/result", &big[1..]).await.status, 200);
    client.send("what?\r\n\r\n").await.unwrap();
    let rest = String::from_utf8(client.rest().await.unwrap()).unwrap();
    assert!(rest.starts_with("HTTP/1.1 400 "), "{rest}");
}
