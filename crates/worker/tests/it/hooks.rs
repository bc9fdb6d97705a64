//! Start-up and shutdown hooks, and the end from code.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use avtomatika_worker::prelude::*;
use serde_json::json;
use testkit::capture::Logs;
use testkit::{Endpoint, ScriptedOrchestrator};

use crate::support::{Running, config, push, run, tasks, watch_for};

#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<&'static str>>>);

impl Diary {
    fn write(&self, line: &'static str) {
        self.0.lock().expect("whole").push(line);
    }

    fn lines(&self) -> Vec<&'static str> {
        self.0.lock().expect("whole").clone()
    }
}

#[tokio::test]
async fn they_run_before_the_registration_and_after_the_last_result() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let diary = Diary::default();
    let writes = |line| {
        let diary = diary.clone();
        async move || {
            diary.write(line);
            Ok::<_, std::io::Error>(())
        }
    };
    let (gate, opened) = tokio::sync::oneshot::channel::<()>();
    let (one, two) = (diary.clone(), diary.clone());
    let builder = tasks()
        .on_startup(writes("first"))
        .on_startup(async move || opened.await)
        .on_startup(writes("second"))
        .on_shutdown(async move || one.write("last"))
        .on_shutdown(async move || two.write("last but one"));
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let worker = Running::start(worker);
    watch_for(Duration::from_millis(200)).await;
    assert_eq!((diary.lines(), orchestrator.count(Endpoint::Register)), (vec!["first"], 0));
    gate.send(()).expect("it waits");
    run(&orchestrator, "echo", json!({})).await;
    let id = push(&orchestrator, "sleep", json!({"seconds": 0.5}));
    orchestrator.wait_for_requests(Endpoint::Poll, 2).await;
    crate::support::wait_for_heartbeat(&orchestrator, |beat| beat["load"] == 1.0).await;
    assert_eq!(diary.lines(), ["first", "second"]);
    assert!(worker.stop().await.is_clean());
    assert_eq!(diary.lines(), ["first", "second", "last but one", "last"]);
    orchestrator.wait_for_result(&id).await;
}

#[tokio::test]
async fn one_that_fails_ends_the_run_with_its_error() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let builder = tasks()
        .on_startup(async || Err::<(), _>("the model is missing"))
        .on_startup(async || -> Result<(), std::io::Error> { panic!("not run") });
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let exit = worker.run().await;
    assert_eq!(exit.code(), 1);
    let error = exit.into_result().expect_err("it failed");
    assert_eq!(said(&error), ["a start-up hook failed", "the model is missing"]);
    assert_eq!(orchestrator.count(Endpoint::Register), 0);
}

/// An error and what caused it.
fn said(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}

#[tokio::test]
async fn hooks_that_panic_are_errors_like_any_other() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start().await;
    let builder = tasks().on_startup(async || -> Result<(), std::io::Error> { panic!("no card") });
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let error = worker.run_until(std::future::pending()).await.expect_err("it failed");
    assert_eq!(said(&error), ["a start-up hook failed", "it panicked: no card"]);
    let diary = Diary::default();
    let last = diary.clone();
    let builder = tasks()
        .on_shutdown(async move || last.write("the last is run all the same"))
        .on_shutdown(async || panic!("no disk"));
    let worker = Running::start(builder.config(config(&orchestrator.url(), &[])).build().expect("a worker"));
    orchestrator.wait_for_open_polls(1).await;
    assert!(worker.stop().await.is_clean());
    assert_eq!(diary.lines(), ["the last is run all the same"]);
    assert_eq!(logs.count("a shutdown hook panicked: no disk"), 1, "{logs:?}");
}

#[tokio::test]
async fn hooks_that_hang_hold_no_end_up() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start().await;
    let builder = tasks().on_startup(async || std::future::pending::<Result<(), std::io::Error>>().await);
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let worker = Running::start(worker);
    watch_for(Duration::from_millis(100)).await;
    assert!(worker.stop().await.is_clean());
    let builder = tasks().on_shutdown(std::future::pending::<()>);
    let variables = [("WORKER_SHUTDOWN_TIMEOUT", "1")];
    let worker = builder.config(config(&orchestrator.url(), &variables)).build().expect("a worker");
    let worker = Running::start(worker);
    orchestrator.wait_for_open_polls(1).await;
    assert!(worker.stop().await.is_clean());
    assert_eq!(logs.count("the shutdown hooks did not end in time"), 1, "{logs:?}");
}

#[tokio::test]
async fn a_handle_ends_start_up_hooks_that_hang() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let (sender, began) = tokio::sync::oneshot::channel::<()>();
    let builder = tasks().on_startup(async move || {
        sender.send(()).expect("the test waits");
        std::future::pending::<Result<(), std::io::Error>>().await
    });
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let handle = worker.handle();
    let drain = async {
        began.await.expect("the hook runs");
        handle.drain();
    };
    let (exit, ()) = tokio::join!(worker.run(), drain);
    assert_eq!(exit.code(), 0);
    assert_eq!(orchestrator.count(Endpoint::Register), 0);
}

#[tokio::test]
async fn a_handle_drains_from_code() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let (sender, handle) = tokio::sync::oneshot::channel::<avtomatika_worker::WorkerHandle>();
    let handle = Arc::new(tokio::sync::Mutex::new(Some(handle)));
    // A handler that ends its own worker.
    let builder = tasks().task("end", async move || {
        let handle = handle.lock().await.take().expect("once").await.expect("it is sent");
        handle.drain();
        tokio::time::sleep(Duration::from_millis(300)).await;
        Json(json!({"draining": handle.is_draining()}))
    });
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    assert!(sender.send(worker.handle()).is_ok());
    let worker = Running::start(worker);
    let id = push(&orchestrator, "end", json!({}));
    let stopped = worker.stopped().await;
    assert!(stopped.is_clean(), "{stopped:?}");
    let result = orchestrator.wait_for_result(&id).await;
    assert_eq!((&result["status"], &result["data"]["draining"]), (&json!("success"), &json!(true)));
}
