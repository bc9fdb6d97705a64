//! What handlers end in, and what is sent of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use avtomatika_worker::extract::{FromTaskParts, TaskParts};
use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use testkit::{Endpoint, Script, ScriptedOrchestrator};

use crate::support::{Running, both, config, each, run, start, tasks};

async fn with(builder: avtomatika_worker::WorkerBuilder, script: Script) -> (ScriptedOrchestrator, Running) {
    let orchestrator = ScriptedOrchestrator::start_with(script).await;
    let worker = Running::start(builder.config(config(&orchestrator.url(), &[])).build().expect("a worker"));
    (orchestrator, worker)
}

#[tokio::test]
async fn a_result_has_all_fields_of_both_generations() {
    let (orchestrator, _worker) = both(&[]).await;
    let result = run(&orchestrator, "echo", json!({"a": [1, "b", null]})).await;
    assert_eq!((&result["worker_id"], &result["origin_worker_id"]), (&json!("w-1"), &json!("w-1")));
    assert_eq!((&result["status"], &result["data"]), (&json!("success"), &json!({"a": [1, "b", null]})));
    assert!(result["costs"]["execution_time_seconds"].is_f64() && result["timestamp"].is_u64());
    assert!(result.get("error").is_none());
    let sent = orchestrator.requests(Endpoint::Result).remove(0);
    assert_eq!(
        (sent.path.as_str(), sent.header("content-type")),
        ("/_worker/tasks/result", Some("application/json"))
    );
}

#[tokio::test]
async fn numbers_text_and_order_go_back_byte_by_byte() {
    let params = concat!(
        r#"{"z":0.1,"a":1e-7,"f":5e-324,"g":123456789.125,"h":0.30000000000000004,"i":100.0,"#,
        r#""big":18446744073709551615,"low":-9223372036854775808,"one":1.0,"minus":-0.0,"#,
        r#""text":"\u0000\ud83d\ude00 é","dup":1,"dup":2,"null":null}"#
    );
    for script in [Script::older(), Script::newer()] {
        let (orchestrator, worker) = with(tasks(), script).await;
        orchestrator
            .push_task_body(format!(r#"{{"job_id":"j","task_id":"t","type":"echo","params":{params}}}"#));
        let sent = orchestrator.wait_for(Endpoint::Result, |_| true).await;
        let text = String::from_utf8(sent.body.to_vec()).expect("UTF-8");
        assert!(text.contains(params), "{text}");
        worker.abandon();
    }
}

#[tokio::test]
async fn what_cannot_be_signed_is_a_permanent_error_towards_the_newer_generation_only() {
    let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    each(
        [r#"{"n":18446744073709551616}"#, r#"{"n":1e300}"#, r#"{"n":-9223372036854790000}"#, &deep],
        async |params| {
            let body = format!(r#"{{"job_id":"j","task_id":"t","type":"echo","params":{params}}}"#);
            let (older, worker) = with(tasks(), Script::older()).await;
            older.push_task_body(body.clone());
            let sent = older.wait_for(Endpoint::Result, |_| true).await;
            assert!(String::from_utf8_lossy(&sent.body).contains(params));
            worker.abandon();
            let (newer, worker) = with(tasks(), Script::newer()).await;
            newer.push_task_body(body);
            let result = newer.wait_for_result("t").await;
            assert_eq!(
                (&result["status"], &result["error"]["code"]),
                (&json!("failure"), &json!("PERMANENT_ERROR"))
            );
            assert!(
                result["error"]["message"].as_str().is_some_and(|text| text.contains("signed")),
                "{result}"
            );
            worker.abandon();
        },
    )
    .await;
}

#[tokio::test]
async fn data_that_is_no_object_is_a_permanent_error_saying_what_came() {
    let builder = Worker::builder()
        .task("list", async || Json(json!([1, 2])))
        .task("text", async || Json("hello"))
        .task("number", async || Json(1.5))
        .task("nothing", async || Json(Value::Null))
        .task("unit", async || ())
        .task("nan", async || Json(BTreeMap::from([("a", vec![(1, f64::NAN)])])))
        .task("keys", async || Json(BTreeMap::from([("a", BTreeMap::from([(vec![1], 1)]))])));
    let (orchestrator, _worker) = with(builder, Script::newer()).await;
    for (name, said) in [
        ("list", "a list"),
        ("text", "a string"),
        ("number", "a number"),
        ("nan", "at `a[0][1]`: NaN"),
        ("keys", "at `a`: key must be a string"),
    ] {
        let result = run(&orchestrator, name, json!({})).await;
        assert_eq!(result["error"]["code"], "PERMANENT_ERROR");
        assert!(result["error"]["message"].as_str().is_some_and(|text| text.contains(said)), "{result}");
    }
    for name in ["nothing", "unit"] {
        let result = run(&orchestrator, name, json!({})).await;
        assert_eq!((&result["status"], result.get("data")), (&json!("success"), None));
    }
}

struct Bomb;

impl<S: Sync> FromTaskParts<S> for Bomb {
    type Rejection = std::convert::Infallible;

    async fn from_task_parts(_parts: &mut TaskParts, _state: &S) -> Result<Self, Self::Rejection> {
        panic!("boom in an extractor")
    }
}

/// Panics when it is dropped, unless that is because of a panic already.
struct DropBomb;

impl Drop for DropBomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "boom in a destructor");
    }
}

#[tokio::test]
async fn a_panic_anywhere_ends_its_task_and_nothing_else() {
    let panics = async |RawParams(_): RawParams| -> Json<Value> { panic!("boom in a handler") };
    let on_thread = |RawParams(_): RawParams| -> Json<Value> { panic!("boom on a {}", "thread") };
    let builder = tasks()
        .task("async", panics)
        .task("blocking", blocking(on_thread))
        .task("extractor", async |_: Bomb| ())
        .task("blocking-extractor", blocking(|_: Bomb| ()))
        .task("odd", async || -> () { std::panic::panic_any(7) })
        .task("destructor", async || drop(DropBomb))
        .task_with("cancelled", TaskOptions::new().time_limit(Duration::from_millis(50)), async || {
            let _bomb = DropBomb;
            std::future::pending::<()>().await;
        });
    let (orchestrator, _worker) = with(builder, Script::newer()).await;
    for (name, said) in [
        ("async", "boom in a handler"),
        ("blocking", "boom on a thread"),
        ("extractor", "boom in an extractor"),
        ("blocking-extractor", "boom in an extractor"),
        ("odd", "no message"),
        ("destructor", "boom in a destructor"),
        ("cancelled", "boom in a destructor"),
    ] {
        let result = run(&orchestrator, name, json!({})).await;
        assert_eq!(result["error"]["code"], "TRANSIENT_ERROR", "{name}");
        let message = result["error"]["message"].as_str().expect("a text");
        assert!(message.contains(said), "{name}: {message}");
    }
    let (one, two) =
        tokio::join!(run(&orchestrator, "echo", json!({})), run(&orchestrator, "async", json!({})));
    assert_eq!((&one["status"], &two["status"]), (&json!("success"), &json!("failure")));
    let idle =
        crate::support::wait_for_heartbeat(&orchestrator, |body| body["current_tasks"] == json!([])).await;
    assert_eq!(idle["load"], 0.0, "every slot came back");
}

#[tokio::test]
async fn a_panic_in_a_layer_ends_its_task_too() {
    let layer = tower_layer::layer_fn(|inner: avtomatika_worker::handler::TaskService| {
        tower::service_fn(move |request: avtomatika_worker::TaskRequest| {
            assert!(request.parts().params.get() != "{\"boom\":1}", "boom in a layer");
            tower::ServiceExt::oneshot(inner.clone(), request)
        })
    });
    let (orchestrator, _worker) = with(tasks().layer(layer), Script::newer()).await;
    let result = run(&orchestrator, "echo", json!({"boom": 1})).await;
    assert_eq!(result["error"]["code"], "TRANSIENT_ERROR");
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn errors_keep_their_code_or_are_transient() {
    let parse = async || -> Result<(), TaskError> {
        "x".parse::<u8>()?;
        Ok(())
    };
    let builder = Worker::builder()
        .task("any", parse)
        .task("permanent", async || TaskError::permanent("no").with_details(json!({"why": 1})))
        .task("own", async || TaskError::new("MY_CODE", "mine"))
        .task("status", async || Outcome::status("needs_review", json!({"score": 0.5})));
    let (orchestrator, _worker) = with(builder, Script::newer()).await;
    let any = run(&orchestrator, "any", json!({})).await;
    assert_eq!(any["error"]["code"], "TRANSIENT_ERROR");
    assert!(any["error"]["message"].as_str().is_some_and(|text| text.contains("invalid digit")), "{any}");
    assert!(
        any["error"]["details"]["type"].as_str().is_some_and(|name| name.contains("ParseIntError")),
        "{any}"
    );
    let permanent = run(&orchestrator, "permanent", json!({})).await;
    assert_eq!(
        permanent["error"],
        json!({"code": "PERMANENT_ERROR", "message": "no", "details": {"why": 1}})
    );
    assert_eq!(run(&orchestrator, "own", json!({})).await["error"]["code"], "MY_CODE");
    let status = run(&orchestrator, "status", json!({})).await;
    assert_eq!((&status["status"], &status["data"]), (&json!("needs_review"), &json!({"score": 0.5})));
}

#[tokio::test]
async fn wrong_params_are_named_by_their_path() {
    let (orchestrator, _worker) = both(&[]).await;
    for (params, path) in [
        (r#"{"seconds":"x"}"#, "seconds"),
        (r#"{"other":1}"#, "seconds"),
        (r#"{"seconds":1e999}"#, "seconds"),
        // The last of them counts.
        (r#"{"seconds":0,"seconds":"x"}"#, "seconds"),
    ] {
        let id = format!("t{}", orchestrator.count(Endpoint::Result));
        orchestrator
            .push_task_body(format!(r#"{{"job_id":"j","task_id":"{id}","type":"sleep","params":{params}}}"#));
        let result = orchestrator.wait_for_result(&id).await;
        assert_eq!(result["error"]["code"], "INVALID_INPUT_ERROR");
        assert!(result["error"]["message"].as_str().is_some_and(|text| text.contains(path)), "{result}");
        assert_eq!(result["error"]["details"]["problems"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn absent_and_null_params_are_an_empty_object() {
    let builder = tasks().task("typed", async |Params(_): Params<BTreeMap<String, u8>>| ());
    let (orchestrator, _worker) = with(builder, Script::newer()).await;
    for (id, params) in [("1", ""), ("2", r#","params":null"#), ("3", r#","params":{}"#)] {
        for name in ["echo", "typed"] {
            let id = format!("{name}-{id}");
            orchestrator
                .push_task_body(format!(r#"{{"job_id":"j","task_id":"{id}","type":"{name}"{params}}}"#));
            let result = orchestrator.wait_for_result(&id).await;
            assert_eq!(result["status"], "success", "{result}");
            assert_eq!(result.get("data"), (name == "echo").then_some(&json!({})), "{result}");
        }
    }
}

#[tokio::test]
async fn typed_numbers_and_text_are_what_was_sent() {
    #[derive(serde::Deserialize)]
    struct Sent {
        float: f64,
        unsigned: u64,
        signed: i64,
        huge: u128,
        text: String,
        raw: Box<serde_json::value::RawValue>,
        any: Value,
    }
    let typed = async |Params(sent): Params<Sent>| {
        let (bits, huge) = (sent.float.to_bits(), sent.huge.to_string());
        let others = (sent.unsigned.to_string(), sent.signed.to_string(), sent.any.to_string());
        Json(json!({"bits": bits, "huge": huge, "others": others, "text": sent.text, "raw": sent.raw.get()}))
    };
    let (orchestrator, _worker) = with(tasks().task("typed", typed), Script::newer()).await;
    for (index, float) in [
        "0.1",
        "0.30000000000000004",
        "1e-7",
        "5e-324",
        "2.2250738585072011e-308",
        "1.7976931348623157e308",
        "9007199254740993",
        "123456789.125",
        "-0.0",
        "8.9255e-10",
    ]
    .into_iter()
    .enumerate()
    {
        let params =
            format!(r#"{{"float":{float},"unsigned":18446744073709551615,"signed":-9223372036854775808,"#)
                + r#""huge":340282366920938463463374607431768211455,"text":"\u0000\ud83d\ude00 é","#
                + r#""raw":{"b": 1.50, "a":1E400},"any":[18446744073709551615,-9223372036854775808,1.0]}"#;
        let id = format!("t{index}");
        orchestrator
            .push_task_body(format!(r#"{{"job_id":"j","task_id":"{id}","type":"typed","params":{params}}}"#));
        let data = orchestrator.wait_for_result(&id).await["data"].clone();
        let expected = float.parse::<f64>().expect("a number").to_bits();
        assert_eq!(data["bits"].as_u64(), Some(expected), "{float}: {data}");
        let others = json!([
            "18446744073709551615",
            "-9223372036854775808",
            "[18446744073709551615,-9223372036854775808,1.0]"
        ]);
        assert_eq!(
            (&data["huge"], &data["others"]),
            (&json!("340282366920938463463374607431768211455"), &others)
        );
        assert_eq!(
            (&data["text"], &data["raw"]),
            (&json!("\u{0}\u{1f600} é"), &json!(r#"{"b": 1.50, "a":1E400}"#))
        );
    }
}

#[tokio::test]
async fn thirty_levels_are_sent_and_thirty_one_towards_the_older_only() {
    // The outermost is the result itself.
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels - 1), "}".repeat(levels - 1));
    for (script, levels, is_sent) in
        [(Script::newer(), 30, true), (Script::newer(), 31, false), (Script::older(), 31, true)]
    {
        let (orchestrator, worker) = with(tasks(), script).await;
        let params = nested(levels);
        orchestrator
            .push_task_body(format!(r#"{{"job_id":"j","task_id":"t","type":"echo","params":{params}}}"#));
        let sent = orchestrator.wait_for(Endpoint::Result, |_| true).await;
        let text = String::from_utf8_lossy(&sent.body).into_owned();
        assert_eq!(text.contains(&params), is_sent, "{levels}: {text}");
        assert_eq!(text.contains("PERMANENT_ERROR"), !is_sent, "{levels}: {text}");
        worker.abandon();
    }
}

#[tokio::test]
async fn every_status_is_sent_as_it_is_but_an_empty_one() {
    let status = async |Params(status): Params<BTreeMap<String, String>>| {
        Outcome::status(status["status"].as_str(), json!({"a": 1}))
    };
    let bare = async |Params(status): Params<BTreeMap<String, String>>| {
        Outcome::status(status["status"].as_str(), ())
    };
    for script in [Script::older(), Script::newer()] {
        let builder = Worker::builder().task("status", status).task("bare", bare);
        let (orchestrator, worker) = with(builder, script).await;
        for own in ["success", "needs_review", "failure", "cancelled", "ein Wort é", "SUCCESS"] {
            let result = run(&orchestrator, "status", json!({"status": own})).await;
            assert_eq!((&result["status"], &result["data"]), (&json!(own), &json!({"a": 1})));
            assert!(result["costs"]["execution_time_seconds"].is_f64(), "{result}");
            let result = run(&orchestrator, "bare", json!({"status": own})).await;
            assert_eq!(
                (&result["status"], result.get("data"), result.get("error")),
                (&json!(own), None, None)
            );
        }
        let empty = run(&orchestrator, "status", json!({"status": ""})).await;
        let error = json!({"code": "PERMANENT_ERROR", "message": "the handler's status is empty"});
        assert_eq!((&empty["status"], &empty["error"]), (&json!("failure"), &error));
        worker.abandon();
    }
}

#[tokio::test]
async fn a_failure_keeps_its_code_without_a_message_and_its_details_as_they_are() {
    let details = r#"{"z": 0.10, "a":18446744073709551615,"dup":1,"dup":2}"#;
    let raw = serde_json::value::RawValue::from_string(details.to_owned()).expect("JSON");
    for script in [Script::older(), Script::newer()] {
        let raw = raw.clone();
        let builder = Worker::builder()
            .task("silent", async || TaskError::new("MY_CODE", ""))
            .task("details", async move || TaskError::permanent("no").with_details(raw));
        let (orchestrator, worker) = with(builder, script).await;
        let silent = run(&orchestrator, "silent", json!({})).await;
        assert_eq!(silent["error"], json!({"code": "MY_CODE", "message": ""}));
        let id = crate::support::push(&orchestrator, "details", json!({}));
        orchestrator.wait_for_result(&id).await;
        let sent = orchestrator.requests(Endpoint::Result);
        let text = String::from_utf8_lossy(&sent.last().expect("a result").body).into_owned();
        assert!(text.contains(details), "{text}");
        worker.abandon();
    }
}

#[tokio::test]
async fn metadata_and_costs_are_sent_with_every_status_and_failures_keep_the_metadata_of_their_task() {
    let sides = |outcome: Outcome| {
        outcome.with_metadata(json!({"m": 1.0})).with_costs(json!({"gpu": 2, "tokens": 1e2}))
    };
    let beside = || TaskError::new("E", "beside").with_details(json!({"d": 1}));
    let builder = Worker::builder()
        .task("done", async move || sides(Outcome::status("mine", json!({"a": 1})).with_error(beside())))
        .task("failed", async move || sides(Outcome::Failed(beside().with_data(json!({"b": 2})))))
        .task("bare", async || TaskError::permanent("no"))
        .task("empty", async || Outcome::success().with_metadata(json!({})))
        .task("timed", async || Outcome::success().with_costs(json!({"execution_time_seconds": 9})));
    let (orchestrator, worker) = with(builder, Script::newer()).await;
    let ask = async |name: &str, metadata: serde_json::Value| {
        let id = format!("t-{name}-{}", metadata.is_object());
        let task = json!({"job_id": "j", "task_id": id, "type": name, "metadata": metadata});
        orchestrator.push_task_body(task.to_string());
        orchestrator.wait_for_result(&id).await
    };
    let of_task = || json!({"of": "task"});
    for metadata in [json!(null), of_task()] {
        let done = ask("done", metadata.clone()).await;
        assert_eq!(
            (&done["status"], &done["data"], &done["metadata"]),
            (&json!("mine"), &json!({"a": 1}), &json!({"m": 1.0}))
        );
        assert_eq!(done["error"], json!({"code": "E", "message": "beside", "details": {"d": 1}}));
        assert!(done["costs"]["gpu"] == 2 && done["costs"]["execution_time_seconds"].is_f64(), "{done}");
        let failed = ask("failed", metadata).await;
        assert_eq!(
            (&failed["status"], &failed["data"], &failed["metadata"]),
            (&json!("failure"), &json!({"b": 2}), &json!({"m": 1.0}))
        );
        assert!(failed["error"]["code"] == "E" && failed["costs"]["gpu"] == 2, "{failed}");
    }
    let bare = ask("bare", json!(null)).await;
    assert_eq!((bare.get("metadata"), bare.get("costs"), bare.get("data")), (None, None, None));
    assert_eq!(ask("bare", of_task()).await["metadata"], of_task());
    assert_eq!(ask("nobody", of_task()).await["metadata"], of_task());
    let empty = ask("empty", of_task()).await;
    assert_eq!(empty.get("metadata"), None, "the newer orchestrator fails on empty metadata");
    assert_eq!(ask("timed", json!(null)).await["costs"], json!({"execution_time_seconds": 9}));
    worker.abandon();
}

#[tokio::test]
async fn what_the_client_gave_the_job_reaches_the_handler_byte_by_byte() {
    let builder = Worker::builder().task("tell", async |context: TaskContext| {
        Outcome::data(json!({"metadata": context.metadata(), "security": context.security()}))
    });
    let (orchestrator, worker) = with(builder, Script::newer()).await;
    for (sent, seen) in [
        (
            r#","metadata":{"n": 1.0},"security":{"signer_id":"c" }"#,
            json!({"metadata": r#"{"n": 1.0}"#, "security": r#"{"signer_id":"c" }"#}),
        ),
        (r#","metadata":[1],"security":null"#, json!({"metadata": null, "security": null})),
        ("", json!({"metadata": null, "security": null})),
    ] {
        let id = format!("t{}", sent.len());
        orchestrator.push_task_body(format!(r#"{{"job_id":"j","task_id":"{id}","type":"tell"{sent}}}"#));
        assert_eq!(orchestrator.wait_for_result(&id).await["data"], seen);
    }
    worker.abandon();
}

#[tokio::test]
async fn a_task_without_a_handler_is_a_permanent_error_that_names_it() {
    let (orchestrator, _worker) = both(&[]).await;
    for name in ["nobody", "with space", "é"] {
        let error = run(&orchestrator, name, json!({})).await["error"].clone();
        let message = format!("this worker has no task named `{name}`");
        assert_eq!(error, json!({"code": "PERMANENT_ERROR", "message": message}));
    }
}

#[tokio::test]
async fn deadlines_of_every_kind_are_understood() {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = ran.clone();
    let count = async move |context: TaskContext| {
        let _ = context.deadline();
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let (orchestrator, _worker) = with(tasks().task("count", count), Script::newer()).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    for (deadline, runs) in [
        (json!(now + 60.5), true),
        (json!((now + 60.0).floor() as u64), true),
        (json!(1e308), true),
        (json!(u64::MAX), true),
        (json!(now - 1.0), false),
        (json!(0), false),
        (json!(-5), false),
        (json!(-1e308), false),
    ] {
        let mut task = testkit::task("count", json!({}));
        task["deadline"] = deadline.clone();
        let before = ran.load(Ordering::Relaxed);
        orchestrator.push_task(&task);
        let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
        let code = if runs { Value::Null } else { json!("TIMEOUT_ERROR") };
        assert_eq!(result["error"]["code"], code, "{deadline}");
        assert_eq!(ran.load(Ordering::Relaxed) - before, usize::from(runs), "{deadline}");
    }
}

#[tokio::test]
async fn a_handler_is_told_what_the_orchestrator_said() {
    let who = async |context: TaskContext| {
        Json(json!({
            "task_id": context.task_id().as_str(), "job_id": context.job_id().as_str(), "name": context.name().as_str(),
            "priority": context.priority(), "tracing_context": context.tracing_context(),
        }))
    };
    let (orchestrator, _worker) = with(tasks().task("who", who), Script::newer()).await;
    for (priority, read) in [(json!(5), 5.0), (json!(-2.5), -2.5), (json!(null), 0.0), (json!(1e300), 1e300)]
    {
        let mut task = testkit::task("who", json!({}));
        task["priority"] = priority;
        task["tracing_context"] = json!({"traceparent": "00-1-2-01", "odd": 5});
        orchestrator.push_task(&task);
        // The priority cannot be signed when it is a huge whole number, so the text is looked at.
        let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
        if read < 1e18 {
            let data = &result["data"];
            assert_eq!((&data["task_id"], &data["job_id"]), (&task["task_id"], &task["job_id"]));
            assert_eq!((data["priority"].as_f64(), &data["name"]), (Some(read), &json!("who")));
            assert_eq!(data["tracing_context"], json!({"traceparent": "00-1-2-01"}));
        } else {
            assert_eq!(result["error"]["code"], "PERMANENT_ERROR");
        }
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_becomes_a_small_failure() {
    each([Script::older(), Script::newer()], async |script| {
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let worker = start(&orchestrator, &[]);
        let task = testkit::task("echo", json!({"text": "x".repeat(2 << 20)}));
        orchestrator.push_task(&task);
        let id = task["task_id"].clone();
        let small = orchestrator
            .wait_for(Endpoint::Result, move |result| {
                result.body.len() < 10_000 && result.json()["task_id"] == id
            })
            .await
            .json();
        assert_eq!(
            (&small["status"], &small["error"]["code"]),
            (&json!("failure"), &json!("PERMANENT_ERROR"))
        );
        let message = small["error"]["message"].as_str().expect("a text");
        let bytes =
            message.strip_prefix("result refused: 413, ").and_then(|rest| rest.strip_suffix(" bytes"));
        let bytes: usize = bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or_else(|| panic!("{message}"));
        assert!(bytes > 2 << 20 && bytes < (2 << 20) + 2000, "{message}");
        assert_eq!(small["error"]["details"]["reason"], "Payload Too Large");
        worker.abandon();
    })
    .await;
}
