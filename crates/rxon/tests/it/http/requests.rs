//! Requests as sent, and their answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rxon::transport::{Operation, PollQuery, Polled, TransportExt as _};
use rxon::{ErrorKind, TaskName, WorkerId};
use serde_json::json;
use testkit::{Answer, Endpoint, Recorded, ScriptedOrchestrator};

use crate::client::{Client, LONG, TOKEN, poll, request, send};

#[tokio::test]
async fn every_operation_has_its_address_and_its_headers() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let skills = [TaskName::new("resize_image").unwrap(), TaskName::new("echo").unwrap()];
    let query = Arc::new(PollQuery::new(Duration::from_secs(30), &skills, &skills[1..]));
    for (prefix, operation, endpoint, method, path) in [
        ("", Operation::Register, Endpoint::Register, "POST", "workers/register"),
        ("/", Operation::Heartbeat, Endpoint::Heartbeat, "PATCH", "workers/worker_1-a"),
        ("/api/v%201//", Operation::Poll(query), Endpoint::Poll, "GET", "workers/worker_1-a/tasks/next"),
        ("/a", Operation::Result, Endpoint::Result, "POST", "tasks/result"),
        ("/a/b", Operation::Event, Endpoint::Event, "POST", "events"),
        ("/c", Operation::Token, Endpoint::Token, "POST", "auth/token"),
    ] {
        let mut transport = Client::at(&format!("{}{prefix}", orchestrator.url())).transport();
        for body in ["", r#"{"ключ":1}"#] {
            transport.exchange(request(operation.clone(), body)).await.expect(path);
            let seen = orchestrator.requests(endpoint).pop().expect(path);
            assert_eq!((seen.method.as_str(), &seen.body[..]), (method, body.as_bytes()));
            assert_eq!(seen.path, format!("{}/_worker/{path}", prefix.trim_end_matches('/')));
            let query = if method == "GET" {
                "timeout=30&available_skills=resize_image,echo&hot_skills=echo"
            } else {
                ""
            };
            assert_eq!(seen.query, query);
            has_the_headers(&seen, &orchestrator.addr().to_string());
        }
    }
    assert_eq!(orchestrator.count(Endpoint::Other), 0);
}

fn has_the_headers(seen: &Recorded, host: &str) {
    let mut wanted = vec![
        ("accept", "application/json".to_owned()),
        ("accept-encoding", "gzip".to_owned()),
        ("host", host.to_owned()),
        ("user-agent", "rxon-test/1".to_owned()),
        ("x-rxon-version", "1.0b17".to_owned()),
        ("x-worker-id", "worker_1-a".to_owned()),
        ("x-worker-token", TOKEN.to_owned()),
    ];
    if !seen.body.is_empty() {
        wanted.push(("content-length", seen.body.len().to_string()));
        wanted.push(("content-type", "application/json".to_owned()));
    }
    wanted.sort();
    let mut names: Vec<_> =
        seen.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
    names.sort();
    let wanted: Vec<_> = wanted.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(names, wanted, "{} {}", seen.method, seen.path);
}

#[tokio::test]
async fn an_odd_worker_id_is_encoded_in_addresses() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let client = Client::of(&orchestrator).named(WorkerId::received("a b/../%2f?ü#").unwrap());
    let mut transport = client.transport();
    transport.exchange(poll()).await.expect("an answer");
    transport.exchange(request(Operation::Heartbeat, "{}")).await.expect("an answer");
    let encoded = "a%20b%2F%2E%2E%2F%252f%3F%C3%BC%23";
    assert_eq!(
        orchestrator.requests(Endpoint::Poll)[0].path,
        format!("/_worker/workers/{encoded}/tasks/next")
    );
    assert_eq!(orchestrator.requests(Endpoint::Heartbeat)[0].path, format!("/_worker/workers/{encoded}"));
}

#[tokio::test]
async fn credentials_of_the_address_become_a_header() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut transport = Client::at(&format!("http://me:p%40ss@{}", orchestrator.addr())).transport();
    send(&mut *transport).await.expect("an answer");
    let seen = &orchestrator.requests(Endpoint::Result)[0];
    assert_eq!(seen.header("authorization"), Some("Basic bWU6cEBzcw=="));
    assert_eq!(seen.header("host"), Some(orchestrator.addr().to_string().as_str()));
}

#[tokio::test]
async fn a_new_token_counts_from_the_next_request() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let client = Client::of(&orchestrator);
    let mut transport = client.transport();
    send(&mut *transport).await.expect("an answer");
    client.token().replace("fresh").unwrap();
    send(&mut *transport).await.expect("an answer");
    let error = client.token().replace("line\nbreak").expect_err("no header can hold it");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Message, false));
    assert!(!format!("{error} {error:?}").contains("break"));
    send(&mut *transport).await.expect("an answer");
    let seen = orchestrator.requests(Endpoint::Result);
    let tokens: Vec<_> =
        seen.iter().map(|request| request.header("x-worker-token").unwrap_or_default()).collect();
    assert_eq!(tokens, [TOKEN, "fresh", "fresh"]);
    assert!(seen.iter().all(|request| request.connection == 1), "no new connection is needed");
}

#[tokio::test]
async fn every_status_is_a_response_and_redirects_are_not_followed() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut transport = Client::of(&orchestrator).transport();
    for status in [200, 201, 204, 299, 304, 400, 401, 403, 404, 408, 413, 418, 422, 429, 500, 502, 503, 599] {
        let body =
            Bytes::from_static(if matches!(status, 204 | 304) { b"" } else { b"<html>no JSON</html>" });
        let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
        orchestrator.answer_next(Endpoint::Result, Answer::Raw { status, headers, body: body.clone() });
        let response = send(&mut *transport).await.expect("an answer");
        assert_eq!((response.status, &response.body), (status, &body));
    }
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = format!("{}/_worker/events", orchestrator.url());
        let location = format!("{}?token=secret", elsewhere.replace("://", "://me:secret@"));
        orchestrator.answer_next(Endpoint::Result, Answer::status(status).header("location", &location));
        let response = send(&mut *transport).await.expect("an answer");
        assert_eq!(response.status, status);
        let text = response.error_text();
        assert!(text.contains(&elsewhere) && text.contains("not followed"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    assert_eq!((orchestrator.count(Endpoint::Event), orchestrator.connections_accepted()), (0, 1));
}

#[tokio::test]
async fn retry_after_is_seconds_or_a_date_and_anything_else_counts_as_ten_minutes() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut transport = Client::of(&orchestrator).transport();
    let mut asked = async |value: &str| {
        orchestrator.answer_next(Endpoint::Result, Answer::status(429).header("Retry-After", value));
        send(&mut *transport).await.expect("an answer").retry_after
    };
    assert_eq!(asked("7").await, Some(Duration::from_secs(7)));
    assert_eq!(asked("0.5").await, Some(Duration::from_millis(500)));
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
    let wait = asked(&date).await.expect("a date");
    assert!((80..=90).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT").await, Some(Duration::ZERO), "a date gone by");
    for rubbish in ["", "soon", "-1", "NaN", "1 hour", "\u{e9}", "1700000000"] {
        assert_eq!(asked(rubbish).await, Some(Duration::from_secs(600)), "{rubbish}");
    }
}

#[tokio::test]
async fn polls_end_in_a_task_nothing_a_problem_or_a_refusal() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut transport = Client::of(&orchestrator).transport();
    let query = Arc::new(PollQuery::new(LONG, &[], &[]));
    let mut polled = async |answer: Answer| {
        orchestrator.answer_next(Endpoint::Poll, answer);
        transport.poll(query.clone(), LONG).await.expect("an answer")
    };
    let task = json!({"job_id": "j", "task_id": "t", "type": "x"});
    assert!(matches!(polled(Answer::ok(task)).await, Polled::Task(task, _) if task.name.as_str() == "x"));
    let nothing = Answer::Raw { status: 204, headers: Vec::new(), body: Bytes::new() };
    assert!(matches!(polled(nothing).await, Polled::Nothing));
    let html = polled(Answer::body("<html>\n502 Bad Gateway</html>")).await;
    let Polled::Malformed { problem, excerpt, is_object: false } = html else { panic!("{html:?}") };
    assert!(problem.ids.is_none() && excerpt == r"<html>\n502 Bad Gateway</html>", "{problem} {excerpt}");
    let empty = polled(Answer::body("")).await;
    assert!(matches!(empty, Polled::Malformed { is_object: false, .. }), "{empty:?}");
    let object = polled(Answer::body("\n\t{\"x\": 1}")).await;
    assert!(matches!(object, Polled::Malformed { is_object: true, .. }), "{object:?}");
    let refused = polled(Answer::status(503)).await;
    assert!(matches!(&refused, Polled::Refused(response) if response.status == 503), "{refused:?}");
    let moved = polled(Answer::status(302).header("location", "/")).await;
    assert!(matches!(&moved, Polled::Refused(response) if response.status == 302), "{moved:?}");
}

#[tokio::test]
async fn an_answer_may_have_many_headers_and_too_many_are_named() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let with = |count: usize| {
        let accepted = Answer::ok(json!({"status": "accepted"}));
        (0..count).fold(accepted, |answer, number| answer.header(&format!("x-trace-{number}"), "a"))
    };
    let mut transport = Client::of(&orchestrator).transport();
    for count in [101, 390] {
        orchestrator.answer_next(Endpoint::Result, with(count));
        assert_eq!(send(&mut *transport).await.expect("an answer").status, 200);
    }
    orchestrator.answer_next(Endpoint::Result, with(401));
    let error = send(&mut *transport).await.expect_err("they are too many");
    assert_eq!((error.kind(), error.status()), (ErrorKind::TooLarge, Some(200)), "{error:?}");
    assert!(error.to_string().contains("more than 400 headers"), "{error}");
}
