//! Scripted answers, seen byte by byte.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use testkit::{Answer, Endpoint, ScriptedOrchestrator};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

const RESULT: &str = "/_worker/tasks/result";

/// An orchestrator that gives this answer to the first result, and a client.
async fn answering(answer: Answer) -> (ScriptedOrchestrator, Client) {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_next(Endpoint::Result, answer);
    let client = Client::of(&orchestrator).await;
    (orchestrator, client)
}

#[tokio::test]
async fn one_off_answers_go_first_then_hooks_then_always_then_the_default() {
    let (orchestrator, mut client) = answering(Answer::status(503)).await;
    orchestrator.answer_next(Endpoint::Result, Answer::Normally);
    orchestrator.answer_always(Endpoint::Result, Answer::status(429).header("retry-after", "7"));
    orchestrator
        .on(Endpoint::Result, |request| (request.body == "hook").then(|| Answer::ok(json!("hooked"))));
    assert_eq!(client.post(RESULT, "hook").await.json(), json!({ "error": "Service Unavailable" }));
    assert_eq!(client.post(RESULT, "hook").await.json()["status"], "accepted");
    assert_eq!(client.post(RESULT, "hook").await.json(), json!("hooked"));
    let refused = client.post(RESULT, "other").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("7")));
    assert_eq!(client.post("/_worker/events", "").await.status, 200, "other endpoints are not concerned");
    orchestrator.answer_normally(Endpoint::Result);
    assert_eq!(client.post(RESULT, "hook").await.json()["status"], "accepted");
    assert_eq!(orchestrator.count(Endpoint::Result), 5);
    assert_eq!(orchestrator.connections_accepted(), 1);
}

#[tokio::test]
async fn a_raw_answer_is_sent_as_it_is() {
    let headers = vec![
        ("content-encoding".to_owned(), "gzip".to_owned()),
        ("Connection".to_owned(), "close".to_owned()),
    ];
    let body = Bytes::from_static(b"\x1f\x8b...");
    let (_orchestrator, mut client) = answering(Answer::Raw { status: 200, headers, body }).await;
    client.send_request("POST", RESULT, "").await.unwrap();
    let wanted = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nConnection: close\r\ncontent-length: 5\r\n\r\n\x1f\x8b...";
    assert_eq!(client.rest().await.unwrap(), wanted);
}

#[tokio::test]
async fn an_answer_can_be_held() {
    let wait = Duration::from_millis(50);
    let (orchestrator, mut client) = answering(Answer::Normally.after(wait)).await;
    let start = Instant::now();
    assert_eq!(client.post(RESULT, "").await.status, 200);
    assert!(start.elapsed() >= wait);
    let gate = CancellationToken::new();
    orchestrator.answer_next(Endpoint::Result, Answer::status(500).once_cancelled(&gate));
    client.send_request("POST", RESULT, "").await.unwrap();
    orchestrator.wait_for_requests(Endpoint::Result, 2).await;
    gate.cancel();
    assert_eq!(client.response().await.unwrap().status, 500);
}

#[tokio::test]
async fn a_hanging_answer_ends_with_the_client() {
    let (orchestrator, mut client) = answering(Answer::Hang).await;
    client.send_request("POST", RESULT, "").await.unwrap();
    orchestrator.wait_for_requests(Endpoint::Result, 1).await;
    assert_eq!(orchestrator.open_connections(), 1);
    drop(client);
    orchestrator.stop().await;
    assert_eq!(orchestrator.open_connections(), 0);
}

#[tokio::test]
async fn closing_in_order_is_an_end_without_an_error() {
    for answer in [Answer::CloseAfterReading, Answer::CloseBeforeReading] {
        let (orchestrator, mut client) = answering(answer.clone()).await;
        client.send_request("POST", RESULT, "body").await.unwrap();
        assert_eq!(client.rest().await.unwrap(), b"");
        let body = orchestrator.requests(Endpoint::Result)[0].body.clone();
        assert_eq!(body.is_empty(), matches!(answer, Answer::CloseBeforeReading));
    }
}

#[tokio::test]
async fn closing_before_reading_does_not_wait_for_the_body() {
    let (_orchestrator, mut client) = answering(Answer::CloseBeforeReading).await;
    client.send(&format!("POST {RESULT} HTTP/1.1\r\nContent-Length: 1000\r\n\r\n")).await.unwrap();
    assert_eq!(client.rest().await.unwrap(), b"");
    client.send(&"x".repeat(1000)).await.unwrap();
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let (orchestrator, mut client) = answering(Answer::Reset).await;
    client.send_request("POST", RESULT, "body").await.unwrap();
    assert_eq!(client.rest().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(orchestrator.requests(Endpoint::Result)[0].body, "body");
}

#[tokio::test]
async fn a_reset_can_come_in_the_middle_of_the_body() {
    let (orchestrator, mut client) = answering(Answer::ResetWhileReading { after: 3 }).await;
    client.send(&format!("POST {RESULT} HTTP/1.1\r\nContent-Length: 1000\r\n\r\nabcd")).await.unwrap();
    assert_eq!(client.rest().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(orchestrator.requests(Endpoint::Result)[0].body, "abc");
}

#[tokio::test]
async fn a_truncated_answer_ends_too_early() {
    let body = Bytes::from_static(b"{\"half\":");
    let (_orchestrator, mut client) =
        answering(Answer::Truncated { status: 200, declared_length: 100, body }).await;
    client.send_request("POST", RESULT, "").await.unwrap();
    let text = String::from_utf8(client.rest().await.unwrap()).unwrap();
    assert!(text.contains("content-length: 100\r\n") && text.ends_with("\r\n\r\n{\"half\":"), "{text}");
}

#[tokio::test]
async fn a_dribbling_answer_is_whole_in_the_end() {
    let every = Duration::from_millis(5);
    let body = Bytes::from_static(b"[1,2,3]");
    let (_orchestrator, mut client) = answering(Answer::Dribble { status: 200, body, chunk: 3, every }).await;
    let start = Instant::now();
    assert_eq!(client.post(RESULT, "").await.body, b"[1,2,3]");
    assert!(start.elapsed() >= 2 * every);
    assert_eq!(client.post(RESULT, "").await.status, 200);
}

#[tokio::test]
async fn a_trickling_answer_is_slow_from_its_first_byte_and_the_connection_stays() {
    let every = Duration::from_millis(5);
    let bytes = Bytes::from_static(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
    let (_orchestrator, mut client) = answering(Answer::Trickle { bytes, chunk: 10, every }).await;
    let start = Instant::now();
    assert_eq!(client.post(RESULT, "").await.body, b"abc");
    assert!(start.elapsed() >= 3 * every);
    assert_eq!(client.post(RESULT, "").await.status, 200);
}

#[tokio::test]
async fn an_endless_answer_comes_as_long_as_it_is_read() {
    let (orchestrator, mut client) = answering(Answer::Endless { status: 200 }).await;
    client.send_request("POST", RESULT, "").await.unwrap();
    let mut much = vec![0; 1024 * 1024];
    client.stream.read_exact(&mut much).await.unwrap();
    assert!(much.starts_with(b"HTTP/1.1 200 OK\r\n"));
    drop(client);
    orchestrator.stop().await;
}

#[tokio::test]
async fn verbatim_bytes_need_not_be_http() {
    let (_orchestrator, mut client) = answering(Answer::Bytes(Bytes::from_static(b"SSH-2.0-x\r\n"))).await;
    client.send_request("POST", RESULT, "").await.unwrap();
    assert_eq!(client.rest().await.unwrap(), b"SSH-2.0-x\r\n");
}
