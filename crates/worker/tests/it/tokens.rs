//! Short-lived tokens, and credentials that are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Recorded, Script, ScriptedOrchestrator, Stopwatch, Tls};

use crate::support::{
    Running, TOKEN, WORKER_ID, config, run, start, tasks, until, wait_for_heartbeat, watch_for,
};

const TOKEN_HEADER: &str = "x-worker-token";

fn grants(token: &str, seconds: u64) -> Answer {
    Answer::ok(
        json!({"access_token": token, "expires_in": seconds, "worker_id": WORKER_ID, "refresh_token": "r"}),
    )
}

fn shown(requests: &[Recorded]) -> Vec<&str> {
    requests.iter().filter_map(|request| request.header(TOKEN_HEADER)).collect()
}

async fn orchestrator() -> ScriptedOrchestrator {
    ScriptedOrchestrator::start_with(Script::newer()).await
}

/// Refuses whatever does not show this token.
fn wants(orchestrator: &ScriptedOrchestrator, token: &'static str) {
    for endpoint in [
        Endpoint::Register,
        Endpoint::Heartbeat,
        Endpoint::Poll,
        Endpoint::Result,
        Endpoint::Event,
        Endpoint::WebSocket,
    ] {
        orchestrator.on(endpoint, move |request| {
            (request.header(TOKEN_HEADER) != Some(token)).then(|| Answer::status(403))
        });
    }
}

#[tokio::test]
async fn whatever_is_refused_is_repeated_once_with_a_new_token_and_freshly_signed() {
    for (endpoint, status) in [
        (Endpoint::Register, 401),
        (Endpoint::Heartbeat, 403),
        (Endpoint::Poll, 401),
        (Endpoint::Result, 403),
        (Endpoint::Event, 401),
    ] {
        let orchestrator = orchestrator().await;
        orchestrator.answer_always(Endpoint::Token, grants("short", 3600));
        orchestrator.answer_next(endpoint, Answer::status(status));
        let builder = tasks().task("tell", async |context: avtomatika_worker::TaskContext| {
            context.send_progress(1.0, "done");
        });
        let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
        let _worker = Running::start(worker);
        let result = run(&orchestrator, "tell", json!({})).await;
        assert_eq!(result["status"], "success", "{endpoint:?}");
        let requests = orchestrator.wait_for_requests(endpoint, 2).await;
        assert_eq!(shown(&requests)[..2], [TOKEN, "short"], "{endpoint:?}");
        let asked = orchestrator.requests(Endpoint::Token);
        assert_eq!(shown(&asked), [TOKEN], "{endpoint:?}: once, with the long-lived one");
        if endpoint != Endpoint::Poll {
            let (first, second) = (requests[0].json(), requests[1].json());
            assert_ne!(first["nonce"], second["nonce"], "{endpoint:?}");
            let ignored: &[&str] =
                if endpoint == Endpoint::Event { &rxon::signing::EVENT_IGNORES } else { &[] };
            let signature = second["security"]["signature"].as_str().expect("signed");
            let signer = rxon::signing::Signer::new(TOKEN);
            assert!(signer.verify(&requests[1].body, ignored, signature), "{endpoint:?}");
            let without = |mut message: Value| {
                for stamp in ["timestamp", "nonce", "security"] {
                    message.as_object_mut().expect("an object").remove(stamp);
                }
                message
            };
            assert_eq!(without(first), without(second), "{endpoint:?}");
        }
    }
}

#[tokio::test]
async fn what_was_signed_elsewhere_is_repeated_unchanged_with_a_new_token() {
    let orchestrator = orchestrator().await;
    orchestrator.answer_always(Endpoint::Token, grants("short", 3600));
    orchestrator.answer_next(Endpoint::Event, Answer::status(401));
    let worker = tasks().config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let handle = worker.handle();
    let _worker = Running::start(worker);
    orchestrator.wait_for_open_polls(1).await;
    let event = json!({"event_id": "e", "timestamp": 1, "security": {"signature": "made elsewhere"}});
    handle.emit_event(&event).expect("accepted");
    let requests = orchestrator.wait_for_requests(Endpoint::Event, 2).await;
    assert_eq!(shown(&requests), [TOKEN, "short"]);
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(requests[1].json(), event);
}

#[tokio::test]
async fn a_websocket_that_is_refused_is_opened_with_a_new_token() {
    let orchestrator = orchestrator().await;
    orchestrator.answer_always(Endpoint::Token, grants("short", 3600));
    orchestrator.answer_next(Endpoint::WebSocket, Answer::status(403));
    let _worker = start(&orchestrator, &[("WORKER_ENABLE_WEBSOCKETS", "true")]);
    orchestrator.wait_for_open_websockets(1).await;
    assert_eq!(shown(&orchestrator.requests(Endpoint::WebSocket)), [TOKEN, "short"]);
}

#[tokio::test]
async fn one_request_for_a_token_serves_all_that_were_refused() {
    let orchestrator = orchestrator().await;
    let _worker = start(&orchestrator, &[("MAX_CONCURRENT_TASKS", "8")]);
    let ids: Vec<_> =
        (0..8).map(|_| crate::support::push(&orchestrator, "sleep", json!({"seconds": 0.3}))).collect();
    until(|| orchestrator.waiting_tasks() == 0).await;
    orchestrator.answer_always(Endpoint::Token, grants("short", 3600).after(Duration::from_millis(200)));
    wants(&orchestrator, "short");
    for id in ids {
        assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    }
    assert_eq!(orchestrator.count(Endpoint::Token), 1);
}

#[tokio::test]
async fn where_there_is_none_it_is_said_once_and_asked_seldom() {
    for (answer, problem) in [
        (Answer::status(404), "(404: Not Found): the worker goes on"),
        (Answer::status(403), "(403: Forbidden): the worker goes on"),
        (Answer::ok(json!({"token": "half-a-secret"})), "(200, but no token in 25 bytes): the worker"),
        (Answer::body("half-a-secret"), "(200, but no token in 13 bytes): the worker"),
        (Answer::ok(json!({"access_token": "half-a-secret\r\nX: y"})), "(200, but no token in"),
        (
            Answer::Raw { status: 404, headers: vec![], body: "<html>".into() },
            "(404 without JSON, as of a proxy",
        ),
        (Answer::Reset, "(the connection was closed"),
    ] {
        let logs = Logs::new();
        let _guard = logs.start();
        let orchestrator = orchestrator().await;
        orchestrator.answer_always(Endpoint::Token, answer.clone());
        orchestrator.answer_always(Endpoint::Register, Answer::status(403));
        let worker = start(&orchestrator, &[]);
        until(|| logs.count(problem) == 1).await;
        until(|| logs.count("refuses this worker's credentials (403)") == 1).await;
        watch_for(Duration::from_millis(300)).await;
        assert_eq!(orchestrator.count(Endpoint::Token), 1, "{answer:?}");
        assert_eq!(logs.count("gives no short-lived token"), 1, "{answer:?}: {logs:?}");
        assert_eq!(logs.count("half-a-secret"), 0, "{answer:?}: {logs:?}");
        assert!(shown(&orchestrator.requests(Endpoint::Register)).iter().all(|shown| *shown == TOKEN));
        drop(worker);
    }
}

fn with_certificate(orchestrator: &ScriptedOrchestrator, tls: &Tls) -> (Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let client = tls.client(WORKER_ID);
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (ca, cert, key) = (path("ca.pem"), path("cert.pem"), path("key.pem"));
    std::fs::write(&ca, tls.ca_pem()).expect("written");
    std::fs::write(&cert, &client.certificate_pem).expect("written");
    std::fs::write(&key, &client.key_pem).expect("written");
    let url = orchestrator.url();
    let variables = [("TLS_CA_PATH", &*ca), ("TLS_CERT_PATH", &*cert), ("TLS_KEY_PATH", &*key)];
    let worker = tasks().config(config(&url, &variables)).build().expect("a worker");
    (Running::start(worker), folder)
}

#[tokio::test]
async fn with_a_certificate_one_is_fetched_before_the_registration_and_refreshed() {
    let clock = Stopwatch::start();
    let tls = Tls::new();
    let orchestrator =
        ScriptedOrchestrator::start_with(Script::newer().tls(tls.mutual_server_config())).await;
    let count = Arc::new(AtomicUsize::new(0));
    orchestrator.on(Endpoint::Token, move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        Some(grants(&format!("short-{number}"), if number == 0 { 1 } else { 3600 }))
    });
    let (_worker, _folder) = with_certificate(&orchestrator, &tls);
    let registration = &orchestrator.wait_for_requests(Endpoint::Register, 1).await[0];
    assert_eq!(registration.header(TOKEN_HEADER), Some("short-0"));
    assert!(orchestrator.requests(Endpoint::Token)[0].at <= registration.at);
    orchestrator.wait_for(Endpoint::Heartbeat, |beat| beat.header(TOKEN_HEADER) == Some("short-1")).await;
    let asked = orchestrator.requests(Endpoint::Token);
    assert_eq!(shown(&asked), [TOKEN, TOKEN]);
    let between = clock.between(asked[0].at, asked[1].at);
    assert!(
        between.is_within(Duration::from_millis(750)..Duration::from_millis(1500)),
        "at 80 %: {between:?}"
    );
    run(&orchestrator, "echo", json!({})).await;
    assert_eq!(orchestrator.count(Endpoint::Token), 2);
}

#[tokio::test]
async fn with_a_certificate_but_no_such_endpoint_the_long_lived_one_goes_on() {
    let logs = Logs::new();
    let _guard = logs.start();
    let tls = Tls::new();
    let orchestrator =
        ScriptedOrchestrator::start_with(Script::older().tls(tls.mutual_server_config())).await;
    let (_worker, _folder) = with_certificate(&orchestrator, &tls);
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    assert_eq!(shown(&orchestrator.requests(Endpoint::Result)), [TOKEN]);
    assert_eq!(logs.count("gives no short-lived token"), 1, "{logs:?}");
    assert_eq!(orchestrator.count(Endpoint::Token), 1);
}

#[tokio::test]
async fn one_that_expires_and_cannot_be_refreshed_gives_way_to_the_long_lived_one() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = orchestrator().await;
    orchestrator.answer_next(Endpoint::Register, Answer::status(401));
    orchestrator.answer_next(Endpoint::Token, grants("short", 1));
    let _worker = start(&orchestrator, &[]);
    wait_for_heartbeat(&orchestrator, |_| true).await;
    let seen = orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await.len();
    until(|| {
        let beats = orchestrator.requests(Endpoint::Heartbeat);
        beats.iter().skip(seen).any(|beat| beat.header(TOKEN_HEADER) == Some(TOKEN))
    })
    .await;
    assert_eq!(logs.count("gives no short-lived token"), 1, "{logs:?}");
    assert!(orchestrator.count(Endpoint::Token) <= 3);
}

#[tokio::test]
async fn one_that_is_refused_and_cannot_be_renewed_gives_way_at_once() {
    let orchestrator = orchestrator().await;
    orchestrator.answer_next(Endpoint::Register, Answer::status(401));
    orchestrator.answer_next(Endpoint::Token, grants("short", 3600));
    let _worker = start(&orchestrator, &[]);
    orchestrator.wait_for(Endpoint::Heartbeat, |beat| beat.header(TOKEN_HEADER) == Some("short")).await;
    // The pause between two requests for a token is long enough to be over.
    wants(&orchestrator, TOKEN);
    until(|| {
        orchestrator.requests(Endpoint::Heartbeat).last().and_then(|beat| beat.header(TOKEN_HEADER))
            == Some(TOKEN)
    })
    .await;
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

/// A server whose clock is 2 minutes ahead.
#[tokio::test]
async fn a_clock_that_is_off_is_said_with_by_how_much() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = orchestrator().await;
    let there = std::time::SystemTime::now() + Duration::from_secs(120);
    let refusal = Answer::Json(403, json!({"error": "Message timestamp expired"}));
    let refusal = refusal.header("date", &httpdate::fmt_http_date(there));
    orchestrator.answer_always(Endpoint::Register, refusal);
    let _worker = start(&orchestrator, &[]);
    let line = logs.wait_for("Message timestamp expired: this machine's clock is 1").await;
    assert!(line.contains("s behind the orchestrator's; set the clock"), "{line}");
    orchestrator.wait_for_requests(Endpoint::Register, 1).await;
    assert_eq!(logs.count("Message timestamp expired"), 1, "{logs:?}");
}
