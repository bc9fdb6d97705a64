//! Middleware made of functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use avtomatika_worker::TaskRequest;
use avtomatika_worker::handler::IntoOutcome;
use avtomatika_worker::middleware::timeout::TimeoutLayer;
use avtomatika_worker::middleware::{Next, from_fn, from_fn_with_state};
use avtomatika_worker::prelude::*;
use serde_json::json;
use serde_json::value::RawValue;
use testkit::{Answer, Endpoint};
use tower::ServiceBuilder;

use super::{Marks, Named, mark, with};
use crate::support::{run, tasks, wait_for_heartbeat};
fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

#[tokio::test]
async fn the_first_that_is_added_is_outermost_also_for_tasks_registered_before() {
    let marks = Marks::default();
    let named = |name| from_fn_with_state(Named(name, marks.clone()), mark);
    let handler = || {
        let marks = marks.clone();
        move || marks.add("handler")
    };
    let builder = Worker::builder()
        .task("before", blocking(handler()))
        .layer(named("first"))
        .layer(ServiceBuilder::new().layer(named("second")).layer(named("third")))
        .task("after", blocking(handler()));
    let (orchestrator, _worker) = with(builder).await;
    for name in ["before", "after"] {
        assert_eq!(run(&orchestrator, name, json!({})).await["status"], "success");
        let order = ["first in", "second in", "third in", "handler", "third out", "second out", "first out"];
        assert_eq!(marks.taken(), order, "{name}");
    }
}

#[tokio::test]
async fn a_middleware_sees_the_task_and_wraps_its_outcome() {
    let wrap = async |context: TaskContext,
                      RawParams(params): RawParams,
                      request: TaskRequest,
                      next: Next| {
        let (task_id, job_id) = (context.task_id().clone(), context.job_id().clone());
        let seen =
            json!({"task_id": task_id.as_str(), "job_id": job_id.as_str(), "name": context.name().as_str()});
        match next.run(request).await {
            outcome if outcome.is_completed() => {
                outcome.with_field("seen", seen).with_field("params", params)
            }
            outcome => Outcome::failure("MINE", outcome.error().map_or("none", TaskError::message)),
        }
    };
    let builder = tasks()
        .task("fails", async || TaskError::permanent("no"))
        .task("mine", async || Outcome::status("mine", ()))
        .layer(from_fn(wrap));
    let (orchestrator, _worker) = with(builder).await;
    let task = testkit::task("echo", json!({"a": 1}));
    orchestrator.push_task(&task);
    let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    let seen = json!({"task_id": task["task_id"], "job_id": task["job_id"], "name": "echo"});
    assert_eq!(result["data"], json!({"a": 1, "seen": seen, "params": {"a": 1}}));
    let mine = run(&orchestrator, "mine", json!({})).await;
    assert_eq!((&mine["status"], &mine["data"]["params"]), (&json!("mine"), &json!({})));
    let fails = run(&orchestrator, "fails", json!({})).await;
    assert_eq!(fails["error"], json!({"code": "MINE", "message": "no"}));
    // What an extractor refuses is an outcome like any other.
    let refused = run(&orchestrator, "sleep", json!({"seconds": "x"})).await;
    assert!(
        refused["error"]["message"].as_str().is_some_and(|text| text.starts_with("invalid params at")),
        "{refused}"
    );
}

#[tokio::test]
async fn what_no_layer_looks_at_passes_byte_by_byte() {
    let params =
        r#"{"z":0.30000000000000004,"a":18446744073709551615,"m":-0.0,"t":"\u0041 é","dup":1,"dup":2}"#;
    let untouched = from_fn(async |request: TaskRequest, next: Next| next.run(request).await);
    let adds =
        from_fn(async |request: TaskRequest, next: Next| next.run(request).await.with_field("added", true));
    let builder = tasks()
        .layer(untouched)
        .layer(adds)
        .layer(Extension(1))
        .layer(TimeoutLayer::new(Duration::from_secs(60)));
    let (orchestrator, _worker) = with(builder).await;
    orchestrator.push_task_body(format!(r#"{{"job_id":"j","task_id":"t","type":"echo","params":{params}}}"#));
    let sent = orchestrator.wait_for(Endpoint::Result, |_| true).await;
    let text = String::from_utf8(sent.body.to_vec()).expect("UTF-8");
    let expected = format!(r#"{},"added":true}}"#, &params[..params.len() - 1]);
    assert!(text.contains(&expected), "{text}");
}

#[tokio::test]
async fn a_middleware_may_refuse_a_task_and_change_its_params() {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = ran.clone();
    let count = async move |RawParams(params): RawParams| {
        counted.fetch_add(1, Ordering::Relaxed);
        Json(params)
    };
    let guard = async |mut request: TaskRequest, next: Next| -> Result<Outcome, TaskError> {
        match request.parts().params.get() {
            "{\"no\":1}" => Err(TaskError::permanent("not today").with_details(json!({"why": "closed"}))),
            "{\"enough\":1}" => Ok(Outcome::status("skipped", json!({}))),
            "{\"fails\":1}" => Ok(Outcome::data("x".parse::<u8>()?)),
            _ => {
                request.parts_mut().params = raw(r#"{"other": 1.0}"#);
                Ok(next.run(request).await)
            }
        }
    };
    let (orchestrator, _worker) = with(Worker::builder().task("count", count).layer(from_fn(guard))).await;
    let refused = run(&orchestrator, "count", json!({"no": 1})).await;
    let error = json!({"code": "PERMANENT_ERROR", "message": "not today", "details": {"why": "closed"}});
    assert_eq!(refused["error"], error);
    assert_eq!(run(&orchestrator, "count", json!({"enough": 1})).await["status"], "skipped");
    assert_eq!(run(&orchestrator, "count", json!({"fails": 1})).await["error"]["code"], "TRANSIENT_ERROR");
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    assert_eq!(run(&orchestrator, "count", json!({})).await["data"], json!({"other": 1.0}));
}

#[derive(Clone)]
struct ModelPath(&'static str);

#[derive(Clone)]
struct Unknown;

#[tokio::test]
async fn what_is_put_in_reaches_async_and_blocking_handlers() {
    let inject = async |context: TaskContext, mut request: TaskRequest, next: Next| {
        if context.name().as_str() != "plain" {
            request.extensions_mut().insert(ModelPath("inner"));
        }
        next.run(request).await
    };
    let given = |Extension(model): Extension<ModelPath>, Extension(number): Extension<u8>| {
        Json(json!({"model": model.0, "number": number}))
    };
    let builder = Worker::builder()
        .task("async", async move |model: Extension<ModelPath>, number: Extension<u8>| given(model, number))
        .task("blocking", blocking(given))
        .task("plain", blocking(given))
        .task("unknown", async |_: Extension<Unknown>| ())
        .layer(Extension(ModelPath("outer")))
        .layer(Extension(7_u8))
        .layer(from_fn(inject));
    let (orchestrator, _worker) = with(builder).await;
    for (name, model) in [("async", "inner"), ("blocking", "inner"), ("plain", "outer")] {
        let result = run(&orchestrator, name, json!({})).await;
        assert_eq!(result["data"], json!({"model": model, "number": 7}), "{name}");
    }
    let error = run(&orchestrator, "unknown", json!({})).await["error"].clone();
    let message = error["message"].as_str().expect("a text");
    assert_eq!(error["code"], "PERMANENT_ERROR");
    assert!(message.contains("Unknown>`") && message.contains(".layer(Extension(value))"), "{message}");
}

#[tokio::test]
async fn extractors_stand_in_front_and_what_they_refuse_ends_the_task() {
    #[derive(serde::Deserialize)]
    struct Wanted {
        wanted: u8,
    }
    let check = async |State(limit): State<u8>,
                       Params(wanted): Params<Wanted>,
                       Extension(step): Extension<u16>,
                       request: TaskRequest,
                       next: Next| {
        if wanted.wanted > limit {
            TaskError::permanent("too much").into_outcome()
        } else {
            next.run(request).await
        }
        .with_field("step", step)
    };
    let builder = tasks().layer(Extension(3_u16)).layer(from_fn_with_state(10_u8, check));
    let (orchestrator, _worker) = with(builder).await;
    let fits = run(&orchestrator, "echo", json!({"wanted": 10})).await;
    assert_eq!(fits["data"], json!({"wanted": 10, "step": 3}));
    assert_eq!(run(&orchestrator, "echo", json!({"wanted": 11})).await["error"]["message"], "too much");
    assert_eq!(
        run(&orchestrator, "echo", json!({"wanted": -1})).await["error"]["code"],
        "INVALID_INPUT_ERROR"
    );
}

#[tokio::test]
async fn a_panic_in_a_middleware_ends_its_task_and_nothing_else() {
    let panics = async |request: TaskRequest, next: Next| {
        let params = request.parts().params.get().to_owned();
        assert!(params != "{\"before\":1}", "boom before");
        let outcome = next.run(request).await;
        assert!(params != "{\"after\":1}", "boom after");
        outcome
    };
    let marks = Marks::default();
    let builder =
        tasks().layer(from_fn_with_state(Named("outer", marks.clone()), mark)).layer(from_fn(panics));
    let (orchestrator, _worker) = with(builder).await;
    for place in ["before", "after"] {
        let error = run(&orchestrator, "echo", json!({place: 1})).await["error"].clone();
        assert_eq!(error["code"], "TRANSIENT_ERROR");
        let message = error["message"].as_str().expect("a text");
        assert!(message.contains(&format!("boom {place}")), "{message}");
        assert_eq!(marks.taken(), ["outer in"], "a layer's panic unwinds through the layers around it");
    }
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    let idle = wait_for_heartbeat(&orchestrator, |body| body["current_tasks"] == json!([])).await;
    assert_eq!(idle["load"], 0.0, "every slot came back");
}

#[tokio::test]
async fn a_handlers_panic_is_an_outcome_to_a_middleware() {
    let catches = async |request: TaskRequest, next: Next| {
        let outcome = next.run(request).await;
        Outcome::data(json!({"caught": outcome.error().map(TaskError::message)}))
    };
    let builder = Worker::builder()
        .task("async", async || -> () { panic!("boom") })
        .task("blocking", blocking(|| -> () { panic!("boom") }))
        .layer(from_fn(catches));
    let (orchestrator, _worker) = with(builder).await;
    for name in ["async", "blocking"] {
        let data = run(&orchestrator, name, json!({})).await["data"].clone();
        assert_eq!(data, json!({"caught": "the handler panicked: boom"}), "{name}");
    }
}

/// Says when it is dropped.
struct Dropped(Marks);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add("dropped");
    }
}

#[tokio::test]
async fn a_middleware_is_dropped_where_it_waits_when_its_task_is_told_to_stop() {
    for (reason, expected) in
        [("command", json!("cancelled")), ("deadline", json!("failure")), ("limit", json!("failure"))]
    {
        let marks = Marks::default();
        let waits = async |State(marks): State<Marks>, request: TaskRequest, next: Next| {
            let _dropped = Dropped(marks.clone());
            let outcome = next.run(request).await;
            marks.add("went on");
            outcome
        };
        let limit = TaskOptions::new().time_limit(Duration::from_millis(300));
        let pending = async || std::future::pending::<()>().await;
        let builder = Worker::builder()
            .task("pending", pending)
            .task_with("limited", limit, pending)
            .layer(from_fn_with_state(marks.clone(), waits));
        let (orchestrator, _worker) = with(builder).await;
        let mut task = testkit::task(if reason == "limit" { "limited" } else { "pending" }, json!({}));
        if reason == "deadline" {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
            task["deadline"] = json!(now + 0.4);
        }
        orchestrator.push_task(&task);
        if reason == "command" {
            wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
            let answer = json!({"status": "ok", "cancel_task_ids": [task["task_id"]]});
            orchestrator.answer_next(Endpoint::Heartbeat, Answer::ok(answer));
        }
        let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
        assert_eq!(result["status"], expected, "{reason}: {result}");
        assert!(expected == "cancelled" || result["error"]["code"] == "TIMEOUT_ERROR", "{result}");
        assert_eq!(marks.taken(), ["dropped"], "{reason}");
    }
}
