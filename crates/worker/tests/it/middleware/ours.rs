//! Time limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use avtomatika_worker::TaskRequest;
use avtomatika_worker::middleware::timeout::TimeoutLayer;
use avtomatika_worker::middleware::{Next, from_fn_with_state};
use avtomatika_worker::prelude::*;
use serde_json::json;

use super::{Marks, Named, mark, with};
use crate::support::{run, tasks, until};
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
    let builder =
        tasks().task("stops", blocking(block)).layer(around).layer(TimeoutLayer::new(Duration::from_secs(1)));
    let (orchestrator, _worker) = with(builder).await;
    for name in ["sleep", "stops"] {
        let result = run(&orchestrator, name, json!({"seconds": 20})).await;
        let message = "the handler took longer than its limit of 1s";
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
    let began = Arc::new(AtomicBool::new(false));
    let (begins, seen) = (began.clone(), told.clone());
    let block = move |context: TaskContext| {
        begins.store(true, Ordering::Relaxed);
        while !context.is_cancelled() {
            std::thread::sleep(Duration::from_millis(5));
        }
        seen.store(true, Ordering::Relaxed);
    };
    let seen = [began, told.clone(), goes_on.clone()];
    let hasty = async move |State([began, told, goes_on]): State<[Arc<AtomicBool>; 3]>,
                            context: TaskContext,
                            request: TaskRequest,
                            next: Next| {
        let given_up = tokio::select! {
            _ = next.run(request) => false,
            () = until(|| began.load(Ordering::Relaxed)) => true,
        };
        until(|| told.load(Ordering::Relaxed)).await;
        goes_on.store(!context.is_cancelled(), Ordering::Relaxed);
        Outcome::data(json!({"given_up": given_up}))
    };
    let builder = Worker::builder().task("block", blocking(block)).layer(from_fn_with_state(seen, hasty));
    let (orchestrator, _worker) = with(builder).await;
    assert_eq!(run(&orchestrator, "block", json!({})).await["data"], json!({"given_up": true}));
    assert!(goes_on.load(Ordering::Relaxed), "the task itself was not told to stop");
}
