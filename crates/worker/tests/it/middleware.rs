//! Layers around tasks: those made of functions, ours, and tower's.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use avtomatika_worker::handler::IntoOutcome;
use avtomatika_worker::middleware::handle_error::HandleErrorLayer;
use avtomatika_worker::middleware::timeout::TimeoutLayer;
use avtomatika_worker::middleware::trace::TraceLayer;
use avtomatika_worker::middleware::{Next, from_fn, from_fn_with_state};
use avtomatika_worker::prelude::*;
use avtomatika_worker::{TaskRequest, WorkerBuilder};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, ScriptedOrchestrator};
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use crate::support::{Running, config, each, push, run, started, tasks, until, wait_for_heartbeat};

async fn with(builder: WorkerBuilder) -> (ScriptedOrchestrator, Running) {
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker = Running::start(builder.config(config(&orchestrator.url(), &[])).build().expect("a worker"));
    (orchestrator, worker)
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

/// What happened, in its order.
#[derive(Clone, Default)]
struct Marks(Arc<Mutex<Vec<String>>>);

impl Marks {
    fn add(&self, mark: &str) {
        self.0.lock().expect("no panic").push(mark.to_owned());
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

#[derive(Clone)]
struct Named(&'static str, Marks);

async fn mark(State(Named(name, marks)): State<Named>, request: TaskRequest, next: Next) -> Outcome {
    marks.add(&format!("{name} in"));
    let outcome = next.run(request).await;
    marks.add(&format!("{name} out"));
    outcome
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
        .layer(TraceLayer)
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

async fn told(error: BoxError) -> TaskError {
    TaskError::resource_exhausted(format!("told: {error}"))
}

#[tokio::test]
async fn errors_of_towers_layers_become_outcomes() {
    let timeout = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(told))
        .layer(tower::timeout::TimeoutLayer::new(Duration::from_millis(100)));
    let (orchestrator, _worker) = with(tasks().layer(timeout)).await;
    let late = run(&orchestrator, "sleep", json!({"seconds": 30})).await;
    assert_eq!(
        late["error"],
        json!({"code": "RESOURCE_EXHAUSTED_ERROR", "message": "told: request timed out"})
    );
    assert_eq!(run(&orchestrator, "echo", json!({"a": 1})).await["data"], json!({"a": 1}));
}

#[tokio::test]
async fn a_service_that_sheds_load_refuses_what_is_too_much_and_recovers() {
    let shed = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(async |error: BoxError| {
            assert!(error.is::<tower::load_shed::error::Overloaded>());
            Outcome::status("shed", json!({}))
        }))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(1))
        .layer(from_fn(async |request: TaskRequest, next: Next| next.run(request).await));
    let (orchestrator, _worker) = with(tasks().layer(shed)).await;
    let first = push(&orchestrator, "sleep", json!({"seconds": 1.0}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "shed");
    assert_eq!(orchestrator.wait_for_result(&first).await["status"], "success");
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn a_concurrency_limit_lets_tasks_wait_each_name_by_itself() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (running.clone(), most.clone());
    let count = async |State((running, most)): State<(Arc<AtomicUsize>, Arc<AtomicUsize>)>,
                       request: TaskRequest,
                       next: Next| {
        let now = running.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(now, Ordering::SeqCst);
        let outcome = next.run(request).await;
        running.fetch_sub(1, Ordering::SeqCst);
        outcome
    };
    let (one, two) = (Arc::new(tokio::sync::Barrier::new(2)), tasks());
    let meet = |barrier: &Arc<tokio::sync::Barrier>| {
        let barrier = barrier.clone();
        async move || {
            barrier.wait().await;
        }
    };
    let builder = two
        .task("left", meet(&one))
        .task("right", meet(&one))
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(from_fn_with_state(counted, count));
    let (orchestrator, _worker) = with(builder).await;
    let ids: Vec<_> = (0..5).map(|_| push(&orchestrator, "sleep", json!({"seconds": 0.05}))).collect();
    for id in ids {
        assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
    // Both have to be inside at once.
    let (left, right) =
        tokio::join!(run(&orchestrator, "left", json!({})), run(&orchestrator, "right", json!({})));
    assert_eq!((&left["status"], &right["status"]), (&json!("success"), &json!("success")));
    assert_eq!(running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_limit_inside_a_layer_is_taken_once_and_given_back() {
    let refuses = async |request: TaskRequest, next: Next| match request.parts().params.get() {
        "{\"no\":1}" => TaskError::permanent("no").into_outcome(),
        _ => next.run(request).await,
    };
    // Keeps what it calls, and with it all that was not handed on with the task.
    let keeps = tower_layer::layer_fn(|inner: avtomatika_worker::handler::TaskService| {
        tower::service_fn(move |request: TaskRequest| {
            let mut inner = inner.clone();
            async move { inner.ready().await?.call(request).await }
        })
    });
    let builder = tasks()
        .layer(from_fn(refuses))
        .layer(TimeoutLayer::new(Duration::from_secs(60)))
        .layer(HandleErrorLayer::new(async |error: std::convert::Infallible| -> Outcome { match error {} }))
        .layer(TraceLayer)
        .layer(keeps)
        .layer(from_fn(refuses))
        .layer(Extension(1))
        .layer(GlobalConcurrencyLimitLayer::new(1));
    let (orchestrator, _worker) = with(builder).await;
    for _ in 0..2 {
        let ids: Vec<_> = (0..4).map(|_| push(&orchestrator, "sleep", json!({"seconds": 0.02}))).collect();
        for id in ids {
            assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
        }
        assert_eq!(run(&orchestrator, "echo", json!({"no": 1})).await["error"]["message"], "no");
    }
}

#[tokio::test]
async fn the_timeout_layer_ends_an_async_handler_and_tells_a_blocking_one() {
    let saw = Marks::default();
    let seen = saw.clone();
    let block = move |context: TaskContext| {
        let began = Instant::now();
        while !context.is_cancelled() && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
        seen.add(if context.is_cancelled() { "told" } else { "not told" });
    };
    let marks = Marks::default();
    let around = from_fn_with_state(Named("around", marks.clone()), mark);
    let builder = tasks()
        .task("stops", blocking(block))
        .layer(around)
        .layer(TimeoutLayer::new(Duration::from_millis(150)));
    let (orchestrator, _worker) = with(builder).await;
    for name in ["sleep", "stops"] {
        let result = run(&orchestrator, name, json!({"seconds": 20})).await;
        let message = "the handler took longer than its limit of 150ms";
        assert_eq!(result["error"], json!({"code": "TIMEOUT_ERROR", "message": message}), "{name}");
        assert_eq!(marks.taken(), ["around in", "around out"]);
    }
    let told = saw.clone();
    until(|| !told.0.lock().expect("no panic").is_empty()).await;
    assert_eq!(saw.taken(), ["told"]);
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn a_blocking_handler_that_any_layer_gives_up_is_told_and_its_task_may_go_on() {
    let (told, goes_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let seen = told.clone();
    let block = move |context: TaskContext| {
        while !context.is_cancelled() {
            std::thread::sleep(Duration::from_millis(5));
        }
        seen.store(true, Ordering::Relaxed);
    };
    let seen = (told.clone(), goes_on.clone());
    let hasty = async move |State((told, goes_on)): State<(Arc<AtomicBool>, Arc<AtomicBool>)>,
                            context: TaskContext,
                            request: TaskRequest,
                            next: Next| {
        let given_up = tokio::time::timeout(Duration::from_millis(50), next.run(request)).await.is_err();
        until(|| told.load(Ordering::Relaxed)).await;
        goes_on.store(!context.is_cancelled(), Ordering::Relaxed);
        Outcome::data(json!({"given_up": given_up}))
    };
    let builder = Worker::builder().task("block", blocking(block)).layer(from_fn_with_state(seen, hasty));
    let (orchestrator, _worker) = with(builder).await;
    assert_eq!(run(&orchestrator, "block", json!({})).await["data"], json!({"given_up": true}));
    assert!(goes_on.load(Ordering::Relaxed), "the task itself was not told to stop");
}

/// Refuses to be called when it has not said that it is ready.
#[derive(Clone)]
struct Strict<S> {
    inner: S,
    ready: bool,
}

impl<S: tower_service::Service<TaskRequest>> tower_service::Service<TaskRequest> for Strict<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        let ready = self.inner.poll_ready(context);
        self.ready = ready.is_ready();
        ready
    }

    fn call(&mut self, request: TaskRequest) -> S::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        self.inner.call(request)
    }
}

#[tokio::test]
async fn no_layer_of_ours_calls_what_is_not_ready() {
    let strict = || tower_layer::layer_fn(|inner| Strict { inner, ready: false });
    let clones = async |request: TaskRequest, next: Next| next.clone().run(request).await;
    let never = async |error: std::convert::Infallible| match error {};
    let builder = tasks()
        .layer(from_fn(async |request: TaskRequest, next: Next| next.run(request).await))
        .layer(strict())
        .layer(from_fn(clones))
        .layer(strict())
        .layer(HandleErrorLayer::new(async move |error| -> Outcome { never(error).await }))
        .layer(strict())
        .layer(TimeoutLayer::new(Duration::from_secs(60)))
        .layer(strict())
        .layer(TraceLayer)
        .layer(strict())
        .layer(Extension(1))
        .layer(strict());
    let (orchestrator, _worker) = with(builder).await;
    for _ in 0..2 {
        let result = run(&orchestrator, "echo", json!({"a": 1})).await;
        assert_eq!((&result["status"], &result["data"]), (&json!("success"), &json!({"a": 1})), "{result}");
    }
}

#[tokio::test]
async fn an_error_while_a_service_is_waited_for_is_handled_too() {
    #[derive(Clone)]
    struct NeverReady;

    impl tower_service::Service<TaskRequest> for NeverReady {
        type Response = Outcome;
        type Error = std::io::Error;
        type Future = std::future::Ready<Result<Outcome, Self::Error>>;

        fn poll_ready(
            &mut self,
            _context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Err(std::io::Error::other("closed for today")))
        }

        fn call(&mut self, _request: TaskRequest) -> Self::Future {
            unreachable!("it is never ready")
        }
    }

    let closed = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(async |error: std::io::Error| TaskError::from(error)))
        .layer(tower_layer::layer_fn(|_inner| NeverReady));
    let (orchestrator, _worker) = with(tasks().layer(closed)).await;
    let error = run(&orchestrator, "echo", json!({})).await["error"].clone();
    assert_eq!((&error["code"], &error["message"]), (&json!("TRANSIENT_ERROR"), &json!("closed for today")));
}

#[tokio::test]
async fn the_trace_layer_names_the_task_and_the_trace_it_belongs_to() {
    let logs = Logs::new();
    let _guard = logs.start();
    let says = async || tracing::info!("inside the handler");
    let builder =
        tasks().task("says", says).layer(TraceLayer).layer(TimeoutLayer::new(Duration::from_millis(200)));
    let (orchestrator, _worker) = with(builder).await;
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let mut task = testkit::task("says", json!({}));
    task["tracing_context"] = json!({"traceparent": format!("00-{trace}-{parent}-01")});
    orchestrator.push_task(&task);
    let (id, job) = (task["task_id"].as_str().expect("a text"), task["job_id"].as_str().expect("a text"));
    orchestrator.wait_for_result(id).await;
    let line = logs.wait_for("inside the handler").await;
    let span = line.split_once("handler{").expect("a span").1;
    for field in [
        "task=says".to_owned(),
        format!("task_id={id}"),
        format!("job_id={job}"),
        format!("trace_id=\"{trace}\""),
        format!("parent_id=\"{parent}\""),
    ] {
        assert!(span.contains(&field), "{field} in {line}");
    }
    let ended = logs.wait_for("handler ended").await;
    assert!(ended.contains("DEBUG") && ended.contains("outcome=\"success\"") && ended.contains("duration="));
    task["task_id"] = json!("second");
    task["tracing_context"] = json!({"traceparent": format!("00-{trace}-garbage-01")});
    orchestrator.push_task(&task);
    orchestrator.wait_for_result("second").await;
    let lines = logs.lines();
    let line = lines.iter().rfind(|line| line.contains("inside the handler")).expect("a line");
    assert!(line.contains("task_id=second") && !line.contains("trace_id"), "{line}");
    run(&orchestrator, "sleep", json!({"seconds": 20})).await;
    let late = logs.lines().into_iter().rfind(|line| line.contains("handler ended")).expect("a line");
    assert!(late.contains("outcome=\"TIMEOUT_ERROR\""), "{late}");
}

#[tokio::test]
async fn without_the_trace_layer_a_task_has_two_lines_and_no_span_of_it() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = with(tasks()).await;
    run(&orchestrator, "echo", json!({})).await;
    logs.wait_for("task ended").await;
    assert!(!logs.contains("handler{") && !logs.contains("handler began"), "{:#?}", logs.lines());
}

#[tokio::test]
async fn the_conformance_worker_injects_by_one_middleware() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let _process = started(&orchestrator, &[("CONFORMANCE_MIDDLEWARE", "1")]).await;
    let task = testkit::task("injected", json!({"x": 1.0, "a": [null]}));
    orchestrator.push_task(&task);
    let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    let context = json!({
        "task_id": task["task_id"], "job_id": task["job_id"], "task_name": "injected", "params": task["params"],
    });
    let expected = json!({"model_path": "/models/m1", "mw": ["enter", "exit"], "ctx": context});
    assert_eq!((&result["status"], &result["data"]), (&json!("success"), &expected));
    let caught = run(&orchestrator, "injected", json!({"raise": true})).await;
    assert_eq!((&caught["status"], &caught["error"]["code"]), (&json!("failure"), &json!("PERMANENT_ERROR")));
    let message = caught["error"]["message"].as_str().expect("a text");
    assert!(message.starts_with("middleware caught: ") && message.len() > 25, "{message}");
    assert_eq!(run(&orchestrator, "echo", json!({"a": 1})).await["data"], json!({"a": 1}));
    assert_eq!(run(&orchestrator, "raise", json!({"message": "oh"})).await["error"]["message"], "oh");
}

#[tokio::test]
async fn the_conformance_worker_runs_two_middlewares_in_the_order_they_were_added() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let _process = started(&orchestrator, &[("CONFORMANCE_MIDDLEWARE", "2")]).await;
    let order = ["first-enter", "second-enter", "second-exit", "first-exit"];
    each(0..3, async |_| {
        let result = run(&orchestrator, "injected", json!({})).await;
        assert_eq!(result["data"], json!({"model_path": "/models/second", "mw": order}));
    })
    .await;
    let failed = run(&orchestrator, "injected", json!({"raise": true})).await;
    assert_eq!(failed["error"]["code"], "TRANSIENT_ERROR");
    assert_eq!(run(&orchestrator, "echo", json!({"a": 1})).await["data"], json!({"a": 1}));
}

#[tokio::test]
async fn without_its_variable_the_conformance_worker_has_no_injected_task() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let _process = started(&orchestrator, &[]).await;
    let registered = orchestrator.requests(Endpoint::Register).remove(0).json();
    assert!(!registered.to_string().contains("\"injected\""), "{registered}");
    let result: Value = run(&orchestrator, "injected", json!({})).await;
    assert_eq!(result["error"]["code"], "PERMANENT_ERROR");
}
