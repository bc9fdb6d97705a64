//! What handlers end in, and what is sent of it.

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
        .task("nan", async || Json(json!({"a": 1}).as_object().map(|_| f64::NAN)));
    let (orchestrator, _worker) = with(builder, Script::newer()).await;
    for (name, said) in [("list", "a list"), ("text", "a string"), ("number", "a number")] {
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
    for (params, path) in [(json!({"seconds": "x"}), "seconds"), (json!({"other": 1}), "seconds")] {
        let result = run(&orchestrator, "sleep", params).await;
        assert_eq!(result["error"]["code"], "INVALID_INPUT_ERROR");
        assert!(result["error"]["message"].as_str().is_some_and(|text| text.contains(path)), "{result}");
        assert_eq!(result["error"]["details"]["problems"].as_array().map(Vec::len), Some(1));
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
