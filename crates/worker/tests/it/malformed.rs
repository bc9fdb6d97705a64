//! Tasks that are no tasks, and ids that are no identifiers.

use std::time::Duration;

use avtomatika_worker::prelude::Json;
use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator};

use crate::support::{Running, both, config, each, push, run, start, tasks, watch_for};

#[tokio::test]
async fn whoever_can_be_answered_is_told_what_is_wrong() {
    let (orchestrator, _worker) = both(&[("TASK_POLL_ERROR_DELAY", "30")]).await;
    for (field, value) in [
        ("params", json!([1])),
        ("params", json!("text")),
        ("params", json!(7)),
        ("params", json!(true)),
        ("type", json!(null)),
        ("type", json!(5)),
        ("type", json!("")),
        ("priority", json!("high")),
        ("priority", json!([])),
        ("deadline", json!("tomorrow")),
        ("deadline", json!({})),
        ("tracing_context", json!(5)),
        ("tracing_context", json!("traceparent")),
    ] {
        let mut task = testkit::task("echo", json!({}));
        task[field] = value.clone();
        orchestrator.push_task(&task);
        let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
        assert_eq!(result["job_id"], task["job_id"]);
        assert_eq!(
            (&result["status"], &result["error"]["code"]),
            (&json!("failure"), &json!("INVALID_INPUT_ERROR"))
        );
        let message = result["error"]["message"].as_str().expect("a text");
        assert!(message.contains(&format!("`{field}`")), "{field} = {value}: {message}");
    }
    // Polling went on at once each time: one error delay would be half a minute.
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn a_body_without_usable_ids_is_survived() {
    let (orchestrator, _worker) = both(&[("TASK_POLL_ERROR_DELAY", "0.01")]).await;
    for body in [
        "",
        "null",
        "[]",
        "5",
        "\"text\"",
        "{",
        "<html>",
        "{}",
        r#"{"task_id":"t","type":"echo"}"#,
        r#"{"job_id":"","task_id":"t","type":"echo"}"#,
        r#"{"job_id":7,"task_id":"t","type":"echo"}"#,
        r#"{"job_id":"j","task_id":null,"type":"echo"}"#,
        r#"{"job_id":"j","task_id":["t"],"type":"echo"}"#,
        r#"{"job_id":"\ud800","task_id":"t","type":"echo"}"#,
        r#"{"job_id":"j","task_id":"t","type":"echo","deadline":NaN}"#,
    ] {
        orchestrator.push_task_body(body);
        assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success", "after {body}");
    }
    assert_eq!(orchestrator.count(Endpoint::Result), 16, "only what could be answered was");
}

#[tokio::test]
async fn json_as_python_writes_it_loses_no_task() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::older()).await;
    let builder = tasks().task("ignores", async || Json(json!({"ran": true})));
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let _worker = Running::start(worker);
    for (name, fields, expected) in [
        ("ignores", r#""params":{"x":NaN}"#, Ok(r#"{"ran":true}"#)),
        // It reads `seconds`, and nothing else.
        ("sleep", r#""params":{"seconds":0.0,"x":[Infinity,-Infinity]}"#, Ok("{}")),
        (
            "sleep",
            r#""params":{"seconds":NaN}"#,
            Err(("INVALID_INPUT_ERROR", "at `seconds`: `NaN`, `Infinity` and `-Infinity` are not numbers")),
        ),
        // It passes on what it has not read.
        ("echo", r#""params":{"x":NaN}"#, Err(("PERMANENT_ERROR", "NaN or an infinity, which the task's"))),
        ("sleep", r#""params":{"seconds":"long","seconds":0.0}"#, Ok("{}")),
        ("echo", r#""params":5,"params":{"a":"NaN"},"params_metadata":null"#, Ok(r#"{"a":"NaN"}"#)),
    ] {
        for mark in ["", "\u{feff}"] {
            let id = format!("t-{name}-{}-{}", fields.len(), mark.len());
            orchestrator.push_task_body(format!(
                r#"{mark}{{"job_id":"j","task_id":"{id}","type":"{name}",{fields}}}"#
            ));
            let result = orchestrator.wait_for_result(&id).await;
            match expected {
                Ok(data) => assert_eq!(result["data"].to_string(), data, "{fields}"),
                Err((code, words)) => {
                    assert_eq!(result["error"]["code"], code);
                    let message = result["error"]["message"].as_str().expect("a text");
                    assert!(message.contains(words), "{message}");
                }
            }
        }
    }
}

#[tokio::test]
async fn deep_nesting_hurts_nobody() {
    let older = ScriptedOrchestrator::start_with(Script::older()).await;
    let _worker = start(&older, &[]);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    let body =
        |params: &str| format!(r#"{{"job_id":"j-deep","task_id":"t-deep","type":"echo","params":{params}}}"#);
    older.push_task_body(body(&deep));
    let result = older.wait_for(Endpoint::Result, |_| true).await;
    assert!(String::from_utf8_lossy(&result.body).contains(&deep), "as it came");
    let (newer, _worker) = both(&[]).await;
    newer.push_task_body(body(&deep));
    let result = newer.wait_for_result("t-deep").await;
    assert_eq!(result["error"]["code"], "PERMANENT_ERROR", "it cannot be signed");
    assert_eq!(run(&newer, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn ids_go_back_as_they_came() {
    let orchestrator =
        ScriptedOrchestrator::start_with(Script { body_limit: 4 << 20, ..Script::newer() }).await;
    let _worker = start(&orchestrator, &[]);
    let odd = [
        "../../etc/passwd".to_owned(),
        "/abs".to_owned(),
        "ключ 🗝 \u{202e}".to_owned(),
        "nul\u{0}nul".to_owned(),
        "line\nbreak\r\n".to_owned(),
        "quote\"back\\slash".to_owned(),
        " ".to_owned(),
        "a?b#c%2f".to_owned(),
        "x".repeat(10_000),
    ];
    for id in odd {
        let mut task = testkit::task("echo", json!({"a": 1}));
        task["task_id"] = json!(id);
        task["job_id"] = json!(format!("job of {id}"));
        orchestrator.push_task(&task);
        let result = orchestrator.wait_for_result(&id).await;
        assert_eq!((&result["job_id"], &result["status"]), (&task["job_id"], &json!("success")));
        let malformed =
            json!({"task_id": format!("{id}!"), "job_id": task["job_id"], "type": "echo", "params": 5});
        orchestrator.push_task(&malformed);
        let result = orchestrator.wait_for_result(&format!("{id}!")).await;
        assert_eq!(result["error"]["code"], "INVALID_INPUT_ERROR");
    }
}

#[tokio::test]
async fn a_task_that_nobody_knows_is_a_permanent_error_naming_it() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::older()).await;
    let _worker = start(&orchestrator, &[]);
    for name in ["no-such-task", "Echo", "echo ", "../echo", "\u{0}"] {
        let result = run(&orchestrator, name, json!({})).await;
        assert_eq!(
            (&result["status"], &result["error"]["code"]),
            (&json!("failure"), &json!("PERMANENT_ERROR"))
        );
        assert!(
            result["error"]["message"].as_str().is_some_and(|message| message.contains(name)),
            "{result}"
        );
    }
}

#[tokio::test]
async fn unknown_fields_nulls_and_bad_metadata_are_no_reason_to_refuse() {
    let (orchestrator, _worker) = both(&[]).await;
    let mut task = testkit::task("echo", Value::Null);
    task["later"] = json!({"deep": [1, {"x": null}]});
    task["tracing_context"] = json!(null);
    task["priority"] = json!(null);
    task["deadline"] = json!(null);
    task["params_metadata"] = json!({"a": 5, "b": {"size": -1}, "c": null});
    orchestrator.push_task(&task);
    let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    assert_eq!((&result["status"], &result["data"]), (&json!("success"), &json!({})));
}

#[tokio::test]
async fn a_task_delivered_again_while_it_runs_is_dropped_malformed_or_not() {
    let (orchestrator, _worker) = both(&[]).await;
    let mut task = testkit::task("sleep", json!({"seconds": 0.5}));
    orchestrator.push_task(&task);
    orchestrator.push_task(&task);
    task["params"] = json!(5);
    orchestrator.push_task(&task);
    let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    assert_eq!(result["status"], "success");
    watch_for(Duration::from_millis(600)).await;
    assert_eq!(orchestrator.count(Endpoint::Result), 1);
}

#[tokio::test]
async fn a_task_delivered_again_after_its_end_is_not_run_again() {
    each([Script::older(), Script::newer()], async |script| {
        let generation = script.generation;
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let worker = start(&orchestrator, &[]);
        let mut task = testkit::task("echo", json!({"a": 1}));
        orchestrator.push_task(&task);
        let id = task["task_id"].as_str().expect("a text").to_owned();
        orchestrator.wait_for_result(&id).await;
        let next = push(&orchestrator, "echo", json!({}));
        orchestrator.wait_for_result(&next).await;
        task["params"] = json!({"a": 2});
        orchestrator.push_task(&task);
        let next = push(&orchestrator, "echo", json!({}));
        orchestrator.wait_for_result(&next).await;
        task["params"] = json!("malformed");
        orchestrator.push_task(&task);
        let last = push(&orchestrator, "echo", json!({}));
        orchestrator.wait_for_result(&last).await;
        watch_for(Duration::from_millis(100)).await;
        let results = orchestrator.requests(Endpoint::Result);
        let own: Vec<Value> =
            results.iter().map(testkit::Recorded::json).filter(|result| result["task_id"] == *id).collect();
        let wanted = if generation == testkit::Generation::Older { 1 } else { 3 };
        assert_eq!(own.len(), wanted, "{generation:?}");
        assert!(own.iter().all(|result| result["data"] == json!({"a": 1})), "{own:?}");
        worker.abandon();
    })
    .await;
}

#[tokio::test]
async fn what_is_no_task_is_logged_with_what_is_wrong_and_its_beginning_only() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = both(&[("TASK_POLL_ERROR_DELAY", "0.01")]).await;
    let end = "the-end-of-it";
    let long =
        format!(r#"{{"job_id":"j","task_id":"t","type":"echo","params":"{}{end}"}}"#, "x".repeat(5000));
    orchestrator.push_task_body(long);
    orchestrator.wait_for_result("t").await;
    orchestrator.push_task_body(format!("<html>{}{end}", "y".repeat(5000)));
    run(&orchestrator, "echo", json!({})).await;
    let lines: Vec<String> = logs.lines().into_iter().filter(|line| line.contains("not a task")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("`params`") && lines[0].contains(r#"\"task_id\""#), "{}", lines[0]);
    assert!(lines[1].contains("<html>yyy"), "{}", lines[1]);
    for line in &lines {
        assert!(!line.contains(end) && line.len() < 700, "{line}");
    }
}

#[tokio::test]
async fn params_may_be_absent_and_bad_metadata_is_warned_about() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = both(&[]).await;
    let body = r#"{"job_id":"j","task_id":"t","type":"echo",
        "params_metadata":{"good":{"uri":"s3://b/k","size":1},"negative":{"size":-1}}}"#;
    orchestrator.push_task_body(body);
    let result = orchestrator.wait_for_result("t").await;
    assert_eq!((&result["status"], &result["data"]), (&json!("success"), &json!({})));
    let line = logs.wait_for("ignored: params_metadata entry `negative`").await;
    assert!(line.contains("WARN") && line.contains("task_id=t"), "{line}");
    assert!(!logs.contains("entry `good`"));
}

/// It would be run, or answered, twice: in the group's queue it is as much under way as while it runs.
#[tokio::test]
async fn a_task_delivered_again_while_it_waits_for_its_group_is_dropped() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker = tasks().limit("group", 1).config(config(&orchestrator.url(), &[]));
    let worker = Running::start(worker.build().expect("a worker"));
    push(&orchestrator, "grouped", json!({"seconds": 0.5}));
    let task = testkit::task("grouped", json!({"seconds": 0}));
    for _ in 0..3 {
        orchestrator.push_task(&task);
    }
    run(&orchestrator, "grouped", json!({"seconds": 0})).await;
    // Whatever was begun has been answered by then.
    assert!(worker.stop().await.is_clean());
    assert_eq!(orchestrator.count(Endpoint::Result), 3);
}

/// Not acknowledged means that it may not have arrived: the older generation is sent it anew, too.
#[tokio::test]
async fn a_result_that_is_on_its_way_is_not_sent_beside_itself() {
    each([Script::older(), Script::newer()], async |script| {
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let worker = start(&orchestrator, &[("RESULT_RETRY_INITIAL_DELAY", "1.5")]);
        orchestrator.answer_next(Endpoint::Result, Answer::status(503));
        let task = testkit::task("echo", json!({"a": 1}));
        orchestrator.push_task(&task);
        orchestrator.wait_for_requests(Endpoint::Result, 1).await;
        for _ in 0..3 {
            orchestrator.push_task(&task);
        }
        orchestrator.wait_for_requests(Endpoint::Result, 2).await;
        assert!(worker.stop().await.is_clean());
        assert_eq!(orchestrator.waiting_tasks(), 0, "all were delivered");
        assert_eq!(orchestrator.count(Endpoint::Result), 2, "the first try, and the second");
    })
    .await;
}
