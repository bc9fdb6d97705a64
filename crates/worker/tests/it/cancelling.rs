//! Tasks that are told to stop: by command, and by time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use avtomatika_worker::handler::IntoOutcome;
use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, ScriptedOrchestrator, Stopwatch};

use crate::support::{Running, both, config, push, run, tasks, until, wait_for_heartbeat, watch_for};

/// Answers one heartbeat with the ids to cancel.
fn command(orchestrator: &ScriptedOrchestrator, id: &Value) {
    orchestrator
        .answer_next(Endpoint::Heartbeat, Answer::ok(json!({"status": "ok", "cancel_task_ids": [id]})));
}

#[tokio::test]
async fn a_command_cancels_by_task_id_and_by_job_id() {
    for name in ["sleep", "block"] {
        for by in ["task_id", "job_id"] {
            let (orchestrator, worker) = both(&[]).await;
            let task = testkit::task(name, json!({"seconds": 20}));
            let other = push(&orchestrator, "sleep", json!({"seconds": 0.5}));
            orchestrator.push_task(&task);
            wait_for_heartbeat(&orchestrator, |body| body["load"] == 2.0).await;
            let began = Stopwatch::start();
            command(&orchestrator, &task[by]);
            let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
            assert_eq!(result["status"], "cancelled", "{name} by {by}");
            assert!(began.took().is_below(Duration::from_secs(4)), "{:?}", began.took());
            assert_eq!(orchestrator.wait_for_result(&other).await["status"], "success");
            worker.abandon();
        }
    }
}

#[tokio::test]
async fn a_task_that_waits_for_its_group_is_cancelled_too() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker = tasks().limit("group", 1).config(config(&orchestrator.url(), &[]));
    let _worker = Running::start(worker.build().expect("a worker"));
    let first = push(&orchestrator, "grouped", json!({"seconds": 1.0}));
    let waits = testkit::task("grouped", json!({"seconds": 20}));
    orchestrator.push_task(&waits);
    let id = waits["task_id"].clone();
    let shown = id.clone();
    wait_for_heartbeat(&orchestrator, move |body| {
        body["current_tasks"].as_array().is_some_and(|tasks| tasks.contains(&shown))
    })
    .await;
    command(&orchestrator, &id);
    assert_eq!(orchestrator.wait_for_result(id.as_str().expect("a text")).await["status"], "cancelled");
    assert_eq!(orchestrator.wait_for_result(&first).await["status"], "success");
    assert_eq!(run(&orchestrator, "grouped", json!({"seconds": 0})).await["status"], "success");
}

/// Orchestrators hand out what was cancelled while it waited in their queue all the same.
#[tokio::test]
async fn a_command_that_comes_before_its_task_is_obeyed_when_that_arrives() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let began = Arc::new(AtomicBool::new(false));
    let tells = began.clone();
    let builder = tasks().task("tell", async move || tells.store(true, Ordering::SeqCst));
    let _worker = Running::start(builder.config(config(&orchestrator.url(), &[])).build().expect("a worker"));
    let task = testkit::task("tell", json!({}));
    command(&orchestrator, &task["task_id"]);
    let seen = orchestrator.count(Endpoint::Heartbeat);
    orchestrator.wait_for_requests(Endpoint::Heartbeat, seen + 2).await;
    orchestrator.push_task(&task);
    let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    assert_eq!(result["status"], "cancelled");
    assert!(!began.load(Ordering::SeqCst));
    assert_eq!(run(&orchestrator, "tell", json!({})).await["status"], "success");
}

#[tokio::test]
async fn a_second_command_and_one_for_nobody_change_nothing() {
    let (orchestrator, _worker) = both(&[("MAX_CONCURRENT_TASKS", "1")]).await;
    for odd in [json!("nobody"), json!(7), json!(null), json!(["x"]), json!("")] {
        command(&orchestrator, &odd);
    }
    let task = testkit::task("block", json!({"seconds": 20}));
    orchestrator.push_task(&task);
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    for _ in 0..3 {
        command(&orchestrator, &task["task_id"]);
    }
    let id = task["task_id"].as_str().expect("a text");
    assert_eq!(orchestrator.wait_for_result(id).await["status"], "cancelled");
    // The slot came back, and the result was sent once.
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    watch_for(Duration::from_millis(500)).await;
    assert_eq!(orchestrator.count(Endpoint::Result), 2);
}

#[tokio::test]
async fn time_limits_end_async_and_blocking_handlers() {
    let (orchestrator, _worker) = both(&[("WORKER_TASK_TIMEOUT", "0.3")]).await;
    for name in ["sleep", "block"] {
        let began = Stopwatch::start();
        let result = run(&orchestrator, name, json!({"seconds": 20})).await;
        assert_eq!(result["error"]["code"], "TIMEOUT_ERROR", "{name}");
        let took = began.took();
        assert!(took.is_within(Duration::from_millis(300)..Duration::from_secs(2)), "{name}: {took:?}");
    }
    assert_eq!(run(&orchestrator, "sleep", json!({"seconds": 0.05})).await["status"], "success");
}

#[tokio::test]
async fn a_tasks_own_limit_wins_and_one_beyond_all_clocks_is_none() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let limit = |limit| TaskOptions::new().time_limit(limit);
    let pause = async || tokio::time::sleep(Duration::from_millis(500)).await;
    let builder = Worker::builder()
        .task("common", pause)
        .task_with("long", limit(Duration::from_secs(60)), pause)
        .task_with("endless", limit(Duration::MAX), pause);
    let worker = builder.config(config(&orchestrator.url(), &[("WORKER_TASK_TIMEOUT", "0.1")]));
    let _worker = Running::start(worker.build().expect("a worker"));
    assert_eq!(run(&orchestrator, "common", json!({})).await["error"]["code"], "TIMEOUT_ERROR");
    assert_eq!(run(&orchestrator, "long", json!({})).await["status"], "success");
    assert_eq!(run(&orchestrator, "endless", json!({})).await["status"], "success");
}

#[tokio::test]
async fn a_deadline_ends_a_task_while_it_runs_and_while_it_waits() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker = tasks().limit("group", 1).config(config(&orchestrator.url(), &[]));
    let _worker = Running::start(worker.build().expect("a worker"));
    push(&orchestrator, "grouped", json!({"seconds": 20}));
    for name in ["sleep", "block", "grouped"] {
        let mut task = testkit::task(name, json!({"seconds": 20}));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        task["deadline"] = json!(now + 0.4);
        let began = Stopwatch::start();
        orchestrator.push_task(&task);
        let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
        assert_eq!(result["error"]["code"], "TIMEOUT_ERROR", "{name}");
        assert!(began.took().is_within(Duration::from_millis(300)..Duration::from_secs(3)), "{name}");
    }
}

#[tokio::test]
async fn a_blocking_handler_that_will_not_end_is_reported_after_five_seconds_and_keeps_its_slot() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start().await;
    let release = Arc::new(AtomicBool::new(false));
    let released = release.clone();
    let stubborn = move || {
        while !released.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let options = TaskOptions::new().time_limit(Duration::from_secs(1));
    let builder = tasks().task_with("stubborn", options, blocking(stubborn));
    let worker = builder.config(config(&orchestrator.url(), &[("MAX_CONCURRENT_TASKS", "1")]));
    let _worker = Running::start(worker.build().expect("a worker"));
    let began = Stopwatch::start();
    let result = run(&orchestrator, "stubborn", json!({})).await;
    assert_eq!(result["error"]["code"], "TIMEOUT_ERROR");
    assert!(began.took().is_at_least(Duration::from_secs(5)), "{:?}", began.took());
    assert_eq!(logs.count("does not stop: its slot stays taken"), 1, "{logs:?}");
    // It is answered, and still a load.
    wait_for_heartbeat(&orchestrator, |body| {
        body["current_tasks"] == json!([]) && body["load"] == 1.0 && body["status"] == "busy"
    })
    .await;
    let next = push(&orchestrator, "echo", json!({}));
    watch_for(Duration::from_millis(400)).await;
    assert_eq!((orchestrator.waiting_tasks(), orchestrator.open_polls()), (1, 0), "its slot is taken");
    release.store(true, Ordering::Relaxed);
    assert_eq!(orchestrator.wait_for_result(&next).await["status"], "success");
    assert_eq!(logs.count("the handler that did not stop has ended"), 1, "{logs:?}");
}

#[tokio::test]
async fn a_blocking_handler_that_a_layer_gave_up_keeps_its_slot_too() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let release = Arc::new(AtomicBool::new(false));
    let released = release.clone();
    let began = Arc::new(AtomicBool::new(false));
    let begins = began.clone();
    let stubborn = move || {
        begins.store(true, Ordering::Relaxed);
        while !released.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let layer = tower_layer::layer_fn(move |inner: avtomatika_worker::handler::TaskService| {
        let began = began.clone();
        tower::service_fn(move |request: avtomatika_worker::TaskRequest| {
            let inner = tower::ServiceExt::oneshot(inner.clone(), request);
            let began = began.clone();
            async move {
                tokio::select! {
                    outcome = inner => outcome,
                    () = until(|| began.swap(false, Ordering::Relaxed)) => {
                        Ok(TaskError::timeout("given up by a layer").into_outcome())
                    }
                }
            }
        })
    });
    let builder = tasks().task("stubborn", blocking(stubborn)).layer(layer);
    let variables = [("MAX_CONCURRENT_TASKS", "1"), ("HEARTBEAT_INTERVAL", "30")];
    let _worker =
        Running::start(builder.config(config(&orchestrator.url(), &variables)).build().expect("one"));
    assert_eq!(run(&orchestrator, "stubborn", json!({})).await["error"]["message"], "given up by a layer");
    let next = push(&orchestrator, "block", json!({"seconds": 0}));
    watch_for(Duration::from_millis(400)).await;
    assert_eq!((orchestrator.waiting_tasks(), orchestrator.open_polls()), (1, 0), "its slot is taken");
    release.store(true, Ordering::Relaxed);
    assert_eq!(orchestrator.wait_for_result(&next).await["status"], "success");
    wait_for_heartbeat(&orchestrator, |body| body["status"] == "idle").await;
}

#[tokio::test]
async fn the_outcome_that_was_known_first_counts() {
    let (orchestrator, _worker) = both(&[]).await;
    let task = testkit::task("echo", json!({"a": 1}));
    orchestrator.answer_next(Endpoint::Result, Answer::status(503));
    orchestrator.push_task(&task);
    orchestrator.wait_for_requests(Endpoint::Result, 1).await;
    command(&orchestrator, &task["task_id"]);
    let results = orchestrator.wait_for_requests(Endpoint::Result, 2).await;
    assert_eq!(results[1].json()["data"], json!({"a": 1}));
}

#[tokio::test]
async fn a_job_id_cancels_all_tasks_of_the_job_and_no_other() {
    let (orchestrator, _worker) = both(&[]).await;
    let tasks: Vec<Value> = ["shared job", "shared job", "other job"]
        .into_iter()
        .map(|job| {
            let mut task = testkit::task("sleep", json!({"seconds": 1.5}));
            task["job_id"] = json!(job);
            orchestrator.push_task(&task);
            task
        })
        .collect();
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 3.0).await;
    command(&orchestrator, &json!("shared job"));
    for (task, status) in tasks.iter().zip(["cancelled", "cancelled", "success"]) {
        let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
        assert_eq!(result["status"], status);
    }
}

/// Sets a flag when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn an_async_handler_ends_at_its_next_await_before_it_is_reported() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let (dropped, went_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (flag, went) = (dropped.clone(), went_on.clone());
    let wait = async move |context: TaskContext| {
        let _dropped = Dropped(flag.clone());
        context.cancelled().await;
        // The cancellation is seen, and the next `await` is the last.
        tokio::task::yield_now().await;
        went.store(true, Ordering::SeqCst);
    };
    let builder = tasks().task("wait", wait).config(config(&orchestrator.url(), &[]));
    let _worker = Running::start(builder.build().expect("a worker"));
    let task = testkit::task("wait", json!({}));
    orchestrator.push_task(&task);
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    command(&orchestrator, &task["task_id"]);
    let id = task["task_id"].as_str().expect("a text");
    assert_eq!(orchestrator.wait_for_result(id).await["status"], "cancelled");
    assert!(dropped.load(Ordering::SeqCst) && !went_on.load(Ordering::SeqCst));
}

/// A handler that takes its time to stop meets several reasons; it would end well in the end.
#[tokio::test]
async fn of_several_reasons_to_stop_the_first_is_reported() {
    let stop_by = [("time", "TIMEOUT_ERROR"), ("command", "cancelled"), ("deadline", "TIMEOUT_ERROR")];
    crate::support::each(stop_by, async |(first, expected)| {
        let orchestrator = ScriptedOrchestrator::start().await;
        let release = Arc::new(AtomicBool::new(false));
        let (released, told) = (release.clone(), Arc::new(AtomicBool::new(false)));
        let tells = told.clone();
        let slow = move |context: TaskContext| {
            while !released.load(Ordering::SeqCst) {
                tells.store(context.is_cancelled(), Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(context.is_cancelled());
        };
        let limit = Duration::from_secs(if first == "time" { 1 } else { 3 });
        let options = TaskOptions::new().time_limit(limit);
        let builder = Worker::builder().task_with("slow", options, blocking(slow));
        let worker = Running::start(builder.config(config(&orchestrator.url(), &[])).build().expect("one"));
        let mut task = testkit::task("slow", json!({}));
        if first == "deadline" {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
            task["deadline"] = json!(now + 1.0);
        }
        orchestrator.push_task(&task);
        wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
        if first != "command" {
            until(|| told.load(Ordering::SeqCst)).await;
        }
        command(&orchestrator, &task["task_id"]);
        // Until the time limit has passed, too.
        watch_for(Duration::from_millis(3300)).await;
        release.store(true, Ordering::SeqCst);
        let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
        let told = if result["status"] == "failure" { &result["error"]["code"] } else { &result["status"] };
        assert_eq!(told, expected, "{first}: {result}");
        let message = result["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(message.contains("deadline"), first == "deadline", "{message}");
        worker.abandon();
    })
    .await;
}

/// While the runtime is blocked a deadline passes unseen: what its end would start is not started.
#[tokio::test]
async fn a_task_whose_deadline_passed_while_the_runtime_was_blocked_is_not_begun() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let ran = Arc::new(AtomicBool::new(false));
    let runs = ran.clone();
    let freeze = async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::thread::sleep(Duration::from_millis(1500));
    };
    let late = async move || runs.store(true, Ordering::SeqCst);
    let grouped = || TaskOptions::new().limit_group("group");
    let builder = Worker::builder()
        .task_with("freeze", grouped(), freeze)
        .task_with("late", grouped(), late)
        .limit("group", 1);
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let mut task = testkit::task("late", json!({}));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    task["deadline"] = json!(now + 1.0);
    push(&orchestrator, "freeze", json!({}));
    orchestrator.push_task(&task);
    let _worker = Running::start(worker);
    let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    assert_eq!(result["error"]["code"], "TIMEOUT_ERROR");
    assert!(!ran.load(Ordering::SeqCst));
}
