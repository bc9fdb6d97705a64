//! The memory of a worker that has run for long: however many messages come and go, the bytes that are allocated do not
//! grow. The memory of the process is another matter: see the guide `observing`.

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use avtomatika_worker::prelude::*;
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use testkit::{Endpoint, Script, ScriptedOrchestrator};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The size of each task and of each result: enough of them fill what is remembered for repeated tasks (64 MiB).
const SIZE: usize = 128 << 10;

/// The number of tasks that are more than fill it.
const ROUND: usize = 560;

/// The bytes that may be allocated more after another round: what is on its way just then.
const TOLERANCE: usize = 8 << 20;

fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

#[tokio::test]
async fn many_large_messages_leave_nothing_behind() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().without_recording()).await;
    let (made, allowed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let text = "x".repeat(SIZE);
    let (source, limit) = (made.clone(), allowed.clone());
    orchestrator.make_tasks(move || {
        let is_allowed = source.load(Ordering::SeqCst) < limit.load(Ordering::SeqCst);
        is_allowed.then(|| {
            source.fetch_add(1, Ordering::SeqCst);
            testkit::task("echo", json!({"text": text})).to_string().into()
        })
    });
    let results = Arc::new(AtomicUsize::new(0));
    let counted = results.clone();
    orchestrator.on(Endpoint::Result, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        None
    });
    let variables = [("ORCHESTRATOR_URL", orchestrator.url()), ("WORKER_TOKEN", "t".to_owned())];
    let config = WorkerConfig::from_variables(variables.map(|(name, value)| (name.to_owned(), value)));
    let echo = async |RawParams(params): RawParams| Json(params);
    let stop = CancellationToken::new();
    let worker = Worker::builder().config(config).task("echo", echo).build().expect("a worker");
    let rounds = async {
        let mut after_each = Vec::new();
        for round in 1..=2 {
            allowed.store(round * ROUND, Ordering::SeqCst);
            while results.load(Ordering::SeqCst) < round * ROUND {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            after_each.push(allocated());
        }
        stop.cancel();
        after_each
    };
    let (stopped, after_each) = tokio::join!(worker.run_until(stop.cancelled()), rounds);
    assert!(stopped.expect("it ran").is_clean());
    assert!(after_each[1] <= after_each[0] + TOLERANCE, "bytes after each round: {after_each:?}");
    assert!(after_each[0] < (64 << 20) + 2 * TOLERANCE, "bytes after each round: {after_each:?}");
}
