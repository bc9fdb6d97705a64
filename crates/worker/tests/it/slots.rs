//! How many tasks run at once, and which.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator};

use crate::support::{Running, both, config, push, run, start, tasks, wait_for_heartbeat};

/// How many are in there now, and how many at most ever were.
#[derive(Clone, Default)]
struct Crowd {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Crowd {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn no_limit_is_ever_exceeded() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let (all, group) = (Crowd::default(), Crowd::default());
    let visit = |crowds: Vec<Crowd>| {
        async move |RawParams(_): RawParams| {
            crowds.iter().for_each(Crowd::enter);
            tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20))).await;
            crowds.iter().for_each(Crowd::leave);
        }
    };
    let threads = all.clone();
    let on_thread = move |RawParams(_): RawParams| {
        threads.enter();
        std::thread::sleep(Duration::from_millis(fastrand::u64(1..20)));
        threads.leave();
    };
    let worker = Worker::builder()
        .task("free", visit(vec![all.clone()]))
        .task("thread", blocking(on_thread))
        .task_with("limited", TaskOptions::new().limit_group("g"), visit(vec![all.clone(), group.clone()]))
        .limit("g", 2)
        .config(config(&orchestrator.url(), &[("MAX_CONCURRENT_TASKS", "5")]));
    let _worker = Running::start(worker.build().expect("a worker"));
    let ids: Vec<String> = (0..150)
        .map(|number| push(&orchestrator, ["free", "thread", "limited"][number % 3], json!({})))
        .collect();
    for id in ids {
        assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    }
    assert_eq!((all.most.load(Ordering::SeqCst), group.most.load(Ordering::SeqCst)), (5, 2));
}

/// With 6 threads for everything, as the Python SDK had, nothing else would get through.
#[tokio::test]
async fn as_many_handlers_may_block_as_there_are_slots_and_nothing_else_notices() {
    let (orchestrator, _worker) = both(&[("MAX_CONCURRENT_TASKS", "31")]).await;
    let began = Instant::now();
    let ids: Vec<_> = (0..30).map(|_| push(&orchestrator, "block", json!({"seconds": 1.0}))).collect();
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 30.0).await;
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    assert_eq!(orchestrator.count(Endpoint::Result), 1, "before any of the thirty");
    for id in ids {
        orchestrator.wait_for_result(&id).await;
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn tasks_of_a_full_group_wait_without_a_slot_and_are_current() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker =
        tasks().limit("group", 1).config(config(&orchestrator.url(), &[("MAX_CONCURRENT_TASKS", "2")]));
    let _worker = Running::start(worker.build().expect("a worker"));
    let ids: Vec<_> = (0..3).map(|_| push(&orchestrator, "grouped", json!({"seconds": 0.4}))).collect();
    let third = ids[2].clone();
    let told = wait_for_heartbeat(&orchestrator, move |body| {
        body["current_tasks"].as_array().is_some_and(|tasks| tasks.iter().any(|id| *id == third))
    })
    .await;
    assert_eq!(told["load"], 1.0, "one runs, two wait");
    // The second slot is free for others meanwhile.
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    assert!(orchestrator.count(Endpoint::Result) < 3, "before the last of the group");
    for id in &ids {
        assert_eq!(orchestrator.wait_for_result(id).await["status"], "success");
    }
}

#[tokio::test]
async fn the_waiting_start_by_priority_then_in_order_of_arrival() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker = tasks().limit("group", 1).config(config(&orchestrator.url(), &[]));
    let _worker = Running::start(worker.build().expect("a worker"));
    let mut ids = Vec::new();
    for priority in [json!(0), json!(1), json!(7.5), json!(-3), json!(7.5)] {
        let mut task = testkit::task("grouped", json!({"seconds": 0.15}));
        task["priority"] = priority;
        orchestrator.push_task(&task);
        ids.push(task["task_id"].clone());
    }
    let results = orchestrator.wait_for_requests(Endpoint::Result, 5).await;
    let order: Vec<Value> = results.iter().map(|result| result.json()["task_id"].clone()).collect();
    assert_eq!(order, [0, 2, 4, 1, 3].map(|index: usize| ids[index].clone()));
}

#[tokio::test]
async fn a_slot_is_free_before_the_result_is_acknowledged() {
    let (orchestrator, _worker) = both(&[("MAX_CONCURRENT_TASKS", "1")]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::Hang);
    let ids: Vec<_> = (0..3).map(|_| push(&orchestrator, "echo", json!({}))).collect();
    for id in ids {
        orchestrator.wait_for_result(&id).await;
    }
}

#[tokio::test]
async fn thousands_of_slots_are_no_trouble() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
    let _worker = start(&orchestrator, &[("MAX_CONCURRENT_TASKS", "10000"), ("WORKER_MAX_POLLERS", "50")]);
    for _ in 0..500 {
        push(&orchestrator, "sleep", json!({"seconds": 0.5}));
    }
    let results = orchestrator.wait_for_requests(Endpoint::Result, 500).await;
    assert!(results.iter().all(|result| result.json()["status"] == "success"));
}
