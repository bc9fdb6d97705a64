//! The log of the example program, as somebody reads it who wants to know what is going on.

use std::time::Duration;

use serde_json::json;
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator};

use crate::support::{each, program, push, started};

#[tokio::test]
async fn the_line_about_a_failure_says_when_it_is_tried_again() {
    let table = [
        (Endpoint::Register, "registration"),
        (Endpoint::Heartbeat, "heartbeat"),
        (Endpoint::Poll, "poll"),
        (Endpoint::Result, "result"),
        (Endpoint::WebSocket, "websocket"),
    ];
    each(table, async |(endpoint, operation)| {
        for status in [500, 403] {
            let orchestrator = ScriptedOrchestrator::start().await;
            orchestrator.answer_always(endpoint, Answer::status(status));
            let process = program(&orchestrator.url(), &[("WORKER_ENABLE_WEBSOCKETS", "true")]).start();
            push(&orchestrator, "echo", json!({}));
            let line = process.wait_for_line(&format!("operation=\"{operation}\"")).await;
            assert!(line.contains("; tried again "), "{line}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_line_about_tokens_does_not_read_as_if_it_showed_one() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_always(Endpoint::Token, Answer::Json(403, json!({"error": "no"})));
    orchestrator.answer_next(Endpoint::Register, Answer::status(401));
    let process = program(&orchestrator.url(), &[]).start();
    let line = process.wait_for_line("short-lived token").await;
    assert!(
        line.contains("(403: no): the worker goes on with its long-lived one, and asks again in 5.0 s"),
        "{line}"
    );
}

#[tokio::test]
async fn at_debug_it_says_why_nothing_arrives() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let variables = [("LOG_LEVEL", "debug"), ("MAX_CONCURRENT_TASKS", "1")];
    let process = started(&orchestrator, &variables).await;
    process.wait_for_line("polling: 1 slots are free").await;
    process.wait_for_line("heartbeat").await;
    push(&orchestrator, "sleep", json!({"seconds": 0.5}));
    process.wait_for_line("no poll until a slot is free").await;
    orchestrator.answer_next(Endpoint::Poll, Answer::status(429));
    process.wait_for_line("no poll for 6").await;
}

#[tokio::test]
async fn rust_log_wins_where_it_says_something() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let variables = [("LOG_LEVEL", "error"), ("RUST_LOG", "avtomatika_worker::session::poller=debug")];
    let process = started(&orchestrator, &variables).await;
    process.wait_for_line("polling:").await;
    assert!(!process.printed("registered"), "{:?}", process.lines());
}

#[tokio::test]
async fn an_idle_worker_says_what_it_waits_for() {
    each(
        [("25", "for at most 25 s, although they may stay open for another 3"), ("40", "for at most 40 s:")],
        {
            async |(timeout, expected)| {
                let hold = Duration::from_secs(30);
                let orchestrator = ScriptedOrchestrator::start_with(Script::newer().hold(hold)).await;
                let variables = [("WORKER_SHUTDOWN_TIMEOUT", timeout), ("TASK_POLL_TIMEOUT", "30")];
                let process = started(&orchestrator, &variables).await;
                orchestrator.wait_for_open_polls(1).await;
                process.terminate();
                let line = process.wait_for_line("waiting for open polls").await;
                assert!(line.contains(expected) && line.contains("a second signal ends the wait"), "{line}");
                assert!(process.printed(&format!("within {timeout} s; a second signal cancels them")));
            }
        },
    )
    .await;
}
