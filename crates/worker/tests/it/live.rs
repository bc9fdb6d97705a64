//! The websocket: what comes over it, and what becomes of one that misbehaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Recorded, Script, ScriptedOrchestrator};

use crate::support::{
    Running, WORKER_ID, both, config, push, run, start, tasks, told, until, wait_for_heartbeat, watch_for,
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

/// Waits until the worker uses its websocket: the orchestrator sees it open before the worker does.
async fn wait_until_used(orchestrator: &ScriptedOrchestrator) {
    orchestrator.wait_for_open_websockets(1).await;
    wait_for_heartbeat(orchestrator, |beat| beat["capabilities"]["websockets"] == true).await;
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
            "as expected: the answer is not valid: websocket",
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
        until(|| logs.count(message) > 0).await;
        watch_for(Duration::from_millis(500)).await;
        assert_eq!(logs.count(message), 1, "{answer:?}: {logs:?}");
        let tries = orchestrator.count(Endpoint::WebSocket);
        assert!(tries < 12, "{answer:?}: {tries}");
        until(|| told(&orchestrator).len() > 2).await;
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
    assert_eq!(logs.count("is not a command and is ignored"), 1, "{logs:?}");
    assert_eq!(logs.count("unknown command, ignored"), 1, "{logs:?}");
    assert_eq!(orchestrator.count(Endpoint::WebSocket), 1, "it stays open");
}

#[tokio::test]
async fn nothing_but_rubbish_and_what_is_too_long_end_it() {
    for (text, times, message) in [
        ("rubbish".to_owned(), 100, "100 messages over the websocket were not commands"),
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

/// The newer orchestrator is told by a request instead, and says no itself; the older one is not told.
#[tokio::test]
async fn what_a_task_tells_at_too_great_length_does_not_end_it() {
    for (script, requests) in [(Script::newer(), 1), (Script::older(), 0)] {
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let builder = tasks().task("chat", async |context: TaskContext| {
            context.send_progress(0.5, "x".repeat(3 << 20));
            context.send_progress(1.0, "done");
        });
        let worker = builder.config(config(&orchestrator.url(), &[ENABLED])).build().expect("a worker");
        let _worker = Running::start(worker);
        wait_until_used(&orchestrator).await;
        assert_eq!(run(&orchestrator, "chat", json!({})).await["status"], "success");
        until(|| orchestrator.websocket_frames().iter().any(|frame| frame.to_string().contains("done")))
            .await;
        assert_eq!(orchestrator.count(Endpoint::WebSocket), 1, "it stays open");
        assert_eq!(orchestrator.count(Endpoint::Event), requests);
    }
}

#[tokio::test]
async fn two_workers_with_one_id_are_warned_of() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_always(Endpoint::WebSocket, Answer::ClosedWebSocket(1008));
    let _worker = start(&orchestrator, &[ENABLED]);
    until(|| logs.count("two live workers seem to share one `WORKER_ID`") == 1).await;
}

#[tokio::test]
async fn foreign_tasks_in_answers_to_heartbeats_are_warned_of_and_own_ones_are_not() {
    const WARNING: &str = "two live workers seem to share one `WORKER_ID`";
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start_with(Script::older()).await;
    let echoed = |beat: &Recorded, more: &[&str]| {
        let mut record = beat.json();
        let tasks = record["current_tasks"].as_array_mut().expect("a list");
        tasks.extend(more.iter().map(|id| json!(id)));
        Some(Answer::ok(record))
    };
    let there_are_two = Arc::new(AtomicBool::new(false));
    let two = there_are_two.clone();
    orchestrator.on(Endpoint::Heartbeat, move |beat| {
        echoed(beat, if two.load(Ordering::Relaxed) { &["task-of-another"] } else { &[] })
    });
    let worker = start(&orchestrator, &[]);
    for _ in 0..20 {
        assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    }
    let seen = told(&orchestrator).len();
    orchestrator.wait_for_requests(Endpoint::Heartbeat, seen + 5).await;
    assert_eq!(logs.count(WARNING), 0, "{logs:?}");
    there_are_two.store(true, Ordering::Relaxed);
    until(|| logs.count(WARNING) == 1).await;
    assert_eq!(logs.count("task-of-another"), 1, "{logs:?}");
    let seen = told(&orchestrator).len();
    orchestrator.wait_for_requests(Endpoint::Heartbeat, seen + 5).await;
    assert_eq!(logs.count(WARNING), 1, "once is enough");
    assert!(worker.stop().await.is_clean());
}

/// A worker with a task that reports twice and sends one event.
async fn talkative(script: Script) -> (ScriptedOrchestrator, Running) {
    let orchestrator = ScriptedOrchestrator::start_with(script).await;
    let talk = async |context: TaskContext| {
        context.send_progress(0.5, "half");
        context.send_event("note", json!({"text": "hi"}))?;
        context.send_progress(1.0, "done");
        Ok::<_, TaskError>(())
    };
    let worker = tasks().task("talk", talk).config(config(&orchestrator.url(), &[ENABLED])).build();
    let worker = Running::start(worker.expect("a worker"));
    wait_until_used(&orchestrator).await;
    (orchestrator, worker)
}

#[tokio::test]
async fn progress_and_events_go_over_it_before_the_result() {
    let (orchestrator, _worker) = talkative(Script::newer()).await;
    let result = run(&orchestrator, "talk", json!({})).await;
    assert_eq!(result["status"], "success", "{result}");
    let frames = orchestrator.websocket_frames();
    let mut said: Vec<_> = frames.iter().map(|frame| (&frame["event_type"], &frame["payload"])).collect();
    said.sort_by_key(|(_, payload)| payload.to_string());
    assert_eq!(said[0], (&json!("progress"), &json!({"progress": 1.0, "message": "done"})));
    assert_eq!(said[1], (&json!("progress"), &json!({"progress": 0.5, "message": "half"})));
    assert_eq!(said[2], (&json!("note"), &json!({"text": "hi"})));
    assert_eq!(said.len(), 3);
    assert_eq!(frames[0]["target_task_id"], result["task_id"]);
    assert!(frames[0]["security"]["signature"].is_string(), "signed: {}", frames[0]);
    assert_eq!(orchestrator.count(Endpoint::Event), 0);
}

#[tokio::test]
async fn the_older_generation_is_told_of_progress_in_its_own_words() {
    let (orchestrator, _worker) = talkative(Script::older()).await;
    let result = run(&orchestrator, "talk", json!({})).await;
    assert_eq!(result["status"], "success", "{result}");
    let frame = |progress: f64, message: &str| {
        json!({
            "event": "progress_update", "task_id": result["task_id"], "job_id": result["job_id"],
            "progress": progress, "message": message
        })
    };
    assert_eq!(orchestrator.websocket_frames(), [frame(0.5, "half"), frame(1.0, "done")]);
    assert_eq!(orchestrator.count(Endpoint::Event), 0);
}

#[tokio::test]
async fn without_one_that_stands_they_go_by_request() {
    let (orchestrator, _worker) = talkative(Script::newer()).await;
    orchestrator.answer_always(Endpoint::WebSocket, Answer::status(503));
    orchestrator.close_websockets(1001, "bye");
    let seen = told(&orchestrator).len();
    until(|| told(&orchestrator).iter().skip(seen).any(|beat| beat.json()["capabilities"] == Value::Null))
        .await;
    run(&orchestrator, "talk", json!({})).await;
    assert_eq!(orchestrator.count(Endpoint::Event), 3);
    assert!(orchestrator.websocket_frames().is_empty());
}

#[tokio::test]
async fn commands_of_the_users_own_are_handed_over_in_order_and_a_panic_harms_none() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start().await;
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let builder = tasks().on_command(move |command| {
        let sender = sender.clone();
        async move {
            assert!(command.name != "explode", "told to");
            sender.send(command).expect("the test listens");
        }
    });
    let worker = builder.config(config(&orchestrator.url(), &[ENABLED])).build().expect("a worker");
    let worker = Running::start(worker);
    orchestrator.wait_for_open_websockets(1).await;
    orchestrator.send_command(&json!({"command": "explode"}));
    orchestrator.send_command(&json!({
        "command": "reload", "params": {"model": "m"}, "metadata": {"by": "me"}, "job_id": "j"
    }));
    orchestrator.send_command(&json!({"command": "second"}));
    let first = seen.recv().await.expect("a command");
    assert_eq!(
        (first.name.as_str(), first.job_id.as_ref().map(avtomatika_worker::JobId::as_str)),
        ("reload", Some("j"))
    );
    assert_eq!(first.params::<Value>().expect("JSON"), json!({"model": "m"}));
    assert!(first.params::<Vec<u8>>().is_err());
    assert_eq!(first.metadata.expect("some").get(), r#"{"by":"me"}"#);
    assert_eq!(first.orchestrator.trim_end_matches('/'), orchestrator.url().trim_end_matches('/'));
    let second = seen.recv().await.expect("a command");
    assert_eq!((second.name.as_str(), second.params::<Option<Value>>().expect("null")), ("second", None));
    assert_eq!(logs.count("`on_command` panicked: told to"), 1, "{logs:?}");
    assert_eq!(logs.count("unknown command"), 0, "{logs:?}");
    assert!(worker.stop().await.is_clean());
}

#[tokio::test]
async fn commands_that_nobody_knows_are_said_once_and_then_counted() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = open(Script::newer()).await;
    let id = running(&orchestrator, "sleep").await;
    (0..500).for_each(|number| orchestrator.send_command(&json!({"command": format!("unknown-{number}")})));
    orchestrator.send_command(&json!({"command": "cancel_task", "task_id": id}));
    orchestrator.wait_for_result(&id).await;
    let said: Vec<_> = logs
        .lines()
        .into_iter()
        .filter(|line| line.contains("WARN") && line.contains("unknown command, ignored"))
        .collect();
    assert_eq!(said.len(), 3, "{said:?}");
    for (line, count) in said.iter().zip(["unknown=1", "unknown=10", "unknown=100"]) {
        assert!(line.ends_with(count), "{line}");
    }
}

#[tokio::test]
async fn more_commands_than_can_wait_are_dropped_and_said() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start().await;
    let builder = tasks().on_command(|_| std::future::pending());
    let worker = builder.config(config(&orchestrator.url(), &[ENABLED])).build().expect("a worker");
    let worker = Running::start(worker);
    orchestrator.wait_for_open_websockets(1).await;
    (0..80).for_each(|_| orchestrator.send_command(&json!({"command": "wait"})));
    logs.wait_for("dropped=10").await;
    assert_eq!(logs.count("64 commands wait for `on_command`: this one is dropped"), 2, "{logs:?}");
    let id = running(&orchestrator, "sleep").await;
    orchestrator.send_command(&json!({"command": "cancel_task", "task_id": id}));
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "cancelled");
    assert!(worker.stop().await.is_clean(), "a hook that never ends holds nothing up");
}
