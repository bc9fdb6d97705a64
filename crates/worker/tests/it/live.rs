//! The websocket: what comes over it, and what becomes of one that misbehaves.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator};

use crate::support::{
    Running, WORKER_ID, both, push, run, start, told, until, wait_for_heartbeat, watch_for, within,
};

const ENABLED: (&str, &str) = ("WORKER_ENABLE_WEBSOCKETS", "true");

async fn open(script: Script) -> (ScriptedOrchestrator, Running) {
    let orchestrator = ScriptedOrchestrator::start_with(script).await;
    let worker = start(&orchestrator, &[ENABLED, ("MAX_CONCURRENT_TASKS", "4")]);
    orchestrator.wait_for_open_websockets(1).await;
    (orchestrator, worker)
}

/// Pushes a task and waits until it is reported as current.
async fn running(orchestrator: &ScriptedOrchestrator, name: &str) -> String {
    let id = push(orchestrator, name, json!({"seconds": 100}));
    let wanted = json!(id);
    wait_for_heartbeat(orchestrator, move |beat| {
        beat["current_tasks"].as_array().is_some_and(|tasks| tasks.contains(&wanted))
    })
    .await;
    id
}

#[tokio::test]
async fn commands_cancel_whatever_kind_of_task() {
    for script in [Script::newer(), Script::older()] {
        let (orchestrator, _worker) = open(script).await;
        for name in ["sleep", "block"] {
            let id = running(&orchestrator, name).await;
            orchestrator.send_command(&json!({"command": "cancel_task", "task_id": id, "job_id": "j"}));
            let result = orchestrator.wait_for_result(&id).await;
            assert_eq!(result["status"], "cancelled", "{name}: {result}");
        }
    }
}

#[tokio::test]
async fn a_task_that_has_not_started_is_cancelled_too() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let builder = crate::support::tasks().limit("group", 1);
    let config = crate::support::config(&orchestrator.url(), &[ENABLED, ("MAX_CONCURRENT_TASKS", "4")]);
    let _worker = Running::start(builder.config(config).build().expect("a worker"));
    orchestrator.wait_for_open_websockets(1).await;
    let first = running(&orchestrator, "grouped").await;
    let second = running(&orchestrator, "grouped").await;
    orchestrator.send_command(&json!({"command": "cancel_task", "task_id": second}));
    assert_eq!(orchestrator.wait_for_result(&second).await["status"], "cancelled");
    orchestrator.send_command(&json!({"command": "cancel_task", "task_id": first}));
    assert_eq!(orchestrator.wait_for_result(&first).await["status"], "cancelled");
}

#[tokio::test]
async fn a_job_id_alone_will_do() {
    let (orchestrator, _worker) = open(Script::newer()).await;
    let task = testkit::task("sleep", json!({"seconds": 100}));
    orchestrator.push_task(&task);
    let job = task["job_id"].clone();
    let wanted = job.clone();
    wait_for_heartbeat(&orchestrator, move |beat| {
        beat["current_tasks"].as_array().is_some_and(|tasks| tasks.contains(&wanted))
    })
    .await;
    orchestrator.send_command(&json!({"command": "cancel_task", "job_id": job, "task_id": null}));
    let id = task["task_id"].as_str().expect("a text");
    assert_eq!(orchestrator.wait_for_result(id).await["status"], "cancelled");
}

#[tokio::test]
async fn the_orchestrator_is_told_of_it_and_asked_for_it_with_the_usual_headers() {
    let (orchestrator, _worker) = open(Script::newer()).await;
    let registration = orchestrator.requests(Endpoint::Register)[0].json();
    assert_eq!(registration["capabilities"]["websockets"], true);
    let request = &orchestrator.requests(Endpoint::WebSocket)[0];
    assert_eq!(request.path, format!("/_worker/ws/{WORKER_ID}"));
    for (name, value) in
        [("x-worker-token", crate::support::TOKEN), ("x-worker-id", WORKER_ID), ("x-rxon-version", "1.0b17")]
    {
        assert_eq!(request.header(name), Some(value));
    }
    let beat = wait_for_heartbeat(&orchestrator, |beat| beat["capabilities"]["websockets"] == true).await;
    assert_eq!(beat["capabilities"], registration["capabilities"], "whole");
    orchestrator.answer_always(Endpoint::WebSocket, Answer::status(503));
    orchestrator.close_websockets(1001, "bye");
    let seen = told(&orchestrator).len();
    until(|| told(&orchestrator).iter().skip(seen).any(|beat| beat.json()["capabilities"] == Value::Null))
        .await;
}

#[tokio::test]
async fn none_is_opened_unless_it_is_enabled() {
    let (orchestrator, _worker) = both(&[]).await;
    run(&orchestrator, "echo", json!({})).await;
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 4).await;
    assert_eq!(orchestrator.count(Endpoint::WebSocket), 0);
    assert_eq!(orchestrator.requests(Endpoint::Register)[0].json()["capabilities"]["websockets"], false);
    assert!(told(&orchestrator).iter().all(|beat| beat.json()["capabilities"] == Value::Null));
}

#[tokio::test]
async fn one_that_was_closed_is_opened_again() {
    let (orchestrator, _worker) = open(Script::newer()).await;
    orchestrator.close_websockets(1001, "restarting");
    orchestrator.wait_for_requests(Endpoint::WebSocket, 2).await;
    orchestrator.wait_for_open_websockets(1).await;
    let id = running(&orchestrator, "sleep").await;
    orchestrator.send_command(&json!({"command": "cancel_task", "task_id": id}));
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "cancelled");
}

/// One line that says what is wrong, few tries, and tasks that go on as if there were none.
#[tokio::test]
async fn one_that_cannot_be_had_is_said_once_and_costs_nothing() {
    for (answer, message) in [
        (Answer::status(403), "refuses this worker's credentials (403): Forbidden"),
        (Answer::status(404), "does not answer as expected: 404: Not Found"),
        (Answer::status(500), "does not answer as expected: 500: Internal Server Error"),
        (
            Answer::Bytes("SSH-2.0-OpenSSH_9.6\r\n\r\n".into()),
            "as expected: the answer is not valid HTTP: websocket",
        ),
        (Answer::CloseAfterReading, "as expected: the connection was closed: websocket"),
        (Answer::Reset, "as expected: the connection was closed: websocket"),
        (Answer::ClosedWebSocket(1011), "as expected: the websocket was closed by the orchestrator (1011)"),
        (Answer::Hang, "as expected: no answer within the time limit: 10s for the websocket's handshake"),
        (Answer::DeafWebSocket, "as expected: the websocket gave no sign of life for 10s"),
    ] {
        let logs = Logs::new();
        let _guard = logs.start();
        let orchestrator = ScriptedOrchestrator::start().await;
        orchestrator.answer_always(Endpoint::WebSocket, answer.clone());
        let worker = start(&orchestrator, &[ENABLED]);
        assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success", "{answer:?}");
        within(Duration::from_secs(15), || logs.count(message) > 0).await;
        watch_for(Duration::from_millis(500)).await;
        assert_eq!(logs.count(message), 1, "{answer:?}: {logs:?}");
        let tries = orchestrator.count(Endpoint::WebSocket);
        assert!(tries < 12, "{answer:?}: {tries}");
        let beats = told(&orchestrator).len();
        assert!(beats > 2, "{beats}");
        assert!(worker.stop().await.is_clean(), "{answer:?}");
    }
}

#[tokio::test]
async fn rubbish_is_said_once_and_commands_among_it_are_obeyed() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = open(Script::newer()).await;
    let id = running(&orchestrator, "sleep").await;
    for text in ["", "null", "[]", "{", "{}", r#"{"command":5}"#, r#"{"command":"cancel_task"}"#, "\u{0}"] {
        orchestrator.send_websocket_text(text);
    }
    orchestrator.send_websocket_bytes(&[0xff; 1000]);
    orchestrator.send_command(&json!({"command": "dance", "params": {"how": "well"}}));
    orchestrator.send_command(&json!({"command": "cancel_task", "task_id": "not here"}));
    orchestrator.send_command(&json!({"command": "cancel_task", "task_id": id}));
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "cancelled");
    assert_eq!(logs.count("is no command and is ignored"), 1, "{logs:?}");
    assert_eq!(logs.count("unknown command, ignored"), 1, "{logs:?}");
    assert_eq!(orchestrator.count(Endpoint::WebSocket), 1, "it stays open");
}

#[tokio::test]
async fn nothing_but_rubbish_and_what_is_too_long_end_it() {
    for (text, times, message) in [
        ("rubbish".to_owned(), 100, "100 messages over the websocket were no commands"),
        (format!(r#""{}""#, "x".repeat(2 << 20)), 1, "the answer is too large: websocket"),
    ] {
        let logs = Logs::new();
        let _guard = logs.start();
        let (orchestrator, _worker) = open(Script::newer()).await;
        (0..times).for_each(|_| orchestrator.send_websocket_text(&text));
        until(|| logs.count(message) == 1).await;
        orchestrator.wait_for_requests(Endpoint::WebSocket, 2).await;
    }
}

#[tokio::test]
async fn two_workers_with_one_id_are_warned_of() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_always(Endpoint::WebSocket, Answer::ClosedWebSocket(1008));
    let _worker = start(&orchestrator, &[ENABLED]);
    within(Duration::from_secs(15), || logs.count("two live workers seem to share one `WORKER_ID`") == 1)
        .await;
}
