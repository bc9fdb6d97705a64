//! How many tasks run at once, and which.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator, Stopwatch};

use crate::support::{Running, both, config, push, run, start, tasks, until, wait_for_heartbeat, watch_for};

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
    let orchestrator = ScriptedOrchestrator::start().await;
    let (crowd, release) = (Crowd::default(), Arc::new(AtomicBool::new(false)));
    let (inside, released) = (crowd.clone(), release.clone());
    let gated = move || {
        inside.enter();
        while !released.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        inside.leave();
    };
    let builder = tasks().task("gated", blocking(gated));
    let builder = builder.config(config(&orchestrator.url(), &[("MAX_CONCURRENT_TASKS", "31")]));
    let _worker = Running::start(builder.build().expect("a worker"));
    let ids: Vec<_> = (0..30).map(|_| push(&orchestrator, "gated", json!({}))).collect();
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 30.0).await;
    until(|| crowd.now.load(Ordering::SeqCst) == 30).await;
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    assert_eq!(orchestrator.count(Endpoint::Result), 1, "before any of the thirty");
    release.store(true, Ordering::SeqCst);
    for id in ids {
        orchestrator.wait_for_result(&id).await;
    }
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

/// A handler that leaves its crowd however it ends: done, panicking, or dropped where it waits.
struct Visit(Vec<Crowd>);

impl Visit {
    fn begin(crowds: &[Crowd]) -> Self {
        crowds.iter().for_each(Crowd::enter);
        Self(crowds.to_vec())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.iter().for_each(Crowd::leave);
    }
}

/// Tasks of two groups and of none, async and blocking, urgent and not, that end, fail, panic, run out of time, are
/// cancelled, come twice, come malformed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_limit_is_exceeded_whatever_becomes_of_tasks() {
    const TASKS: usize = 400;
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
    let [all, few, one] = [(); 3].map(|()| Crowd::default());
    let waits = |crowds: Vec<Crowd>| {
        async move |RawParams(_): RawParams| {
            let _visit = Visit::begin(&crowds);
            let time = if fastrand::u8(..) < 60 { 60_000 } else { fastrand::u64(0..15) };
            tokio::time::sleep(Duration::from_millis(time)).await;
            assert!(fastrand::u8(..) > 40, "bad luck");
        }
    };
    let blocks = |crowds: Vec<Crowd>| {
        move |context: TaskContext| {
            let _visit = Visit::begin(&crowds);
            let until = Instant::now() + Duration::from_millis(fastrand::u64(0..150));
            while Instant::now() < until && !context.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(fastrand::u8(..) > 40, "bad luck");
        }
    };
    let of = |group: &str| TaskOptions::new().limit_group(group);
    let worker = Worker::builder()
        .task("0", waits(vec![all.clone()]))
        .task("1", blocking(blocks(vec![all.clone()])))
        .task_with("2", of("few"), waits(vec![all.clone(), few.clone()]))
        .task_with("3", of("few"), blocking(blocks(vec![all.clone(), few.clone()])))
        .task_with("4", of("one"), waits(vec![all.clone(), one.clone()]))
        .task_with("5", of("unlimited"), waits(vec![all.clone()]))
        .limit("few", 3)
        .limit("one", 1);
    let variables =
        [("MAX_CONCURRENT_TASKS", "6"), ("WORKER_TASK_TIMEOUT", "0.1"), ("HEARTBEAT_INTERVAL", "0.05")];
    let _worker =
        Running::start(worker.config(config(&orchestrator.url(), &variables)).build().expect("one"));
    // Now and then a task is cancelled, wherever it is.
    orchestrator.on(Endpoint::Heartbeat, |heartbeat| {
        let body: Value = serde_json::from_slice(&heartbeat.body).ok()?;
        let tasks = body["current_tasks"].as_array()?;
        let id = tasks.get(fastrand::usize(..tasks.len().max(1)))?;
        Some(Answer::ok(json!({"status": "ok", "cancel_task_ids": [id]})))
    });
    let mut ids = Vec::new();
    for number in 0..TASKS {
        let mut task = testkit::task(&(number % 6).to_string(), json!({}));
        task["priority"] = json!(fastrand::i8(-3..3));
        if number % 17 == 0 {
            task["params"] = json!("malformed");
        }
        orchestrator.push_task(&task);
        if number % 13 == 0 {
            orchestrator.push_task(&task);
        }
        ids.push(task["task_id"].as_str().expect("a text").to_owned());
    }
    for id in ids {
        orchestrator.wait_for_result(&id).await;
    }
    let most = [&all, &few, &one].map(|crowd| crowd.most.load(Ordering::SeqCst));
    assert!(most[0] <= 6 && most[1] <= 3 && most[2] <= 1, "{most:?} of 6, 3, 1");
    assert!(most[0] >= 4 && most[1] >= 2, "{most:?}: hardly a crowd");
    // Everything is given back in the end.
    let after = Instant::now();
    orchestrator
        .wait_for(Endpoint::Heartbeat, move |request| {
            request.at > after && !request.body.is_empty() && {
                let body = request.json();
                body["load"] == 0.0 && body["current_tasks"] == json!([]) && body["status"] == "idle"
            }
        })
        .await;
    assert!([&all, &few, &one].iter().all(|crowd| crowd.now.load(Ordering::SeqCst) == 0));
}

/// Two wait without a slot; of two slots one runs, and the next that waits holds the other.
#[tokio::test]
async fn tasks_that_wait_beyond_the_limit_hold_slots_so_that_no_more_are_asked_for() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker =
        tasks().limit("group", 1).config(config(&orchestrator.url(), &[("MAX_CONCURRENT_TASKS", "2")]));
    let _worker = Running::start(worker.build().expect("a worker"));
    let first = testkit::task("grouped", json!({"seconds": 20}));
    orchestrator.push_task(&first);
    let ids: Vec<_> = (0..3).map(|_| push(&orchestrator, "grouped", json!({"seconds": 0}))).collect();
    // With their jobs.
    let told = wait_for_heartbeat(&orchestrator, |body| {
        body["current_tasks"].as_array().is_some_and(|tasks| tasks.len() == 8)
    })
    .await;
    assert_eq!((&told["load"], &told["status"]), (&json!(1.0), &json!("busy")));
    let echo = push(&orchestrator, "echo", json!({}));
    watch_for(Duration::from_millis(300)).await;
    assert_eq!((orchestrator.waiting_tasks(), orchestrator.open_polls()), (1, 0), "no slot to ask with");
    orchestrator.answer_next(
        Endpoint::Heartbeat,
        Answer::ok(json!({"status": "ok", "cancel_task_ids": [first["task_id"]]})),
    );
    for id in ids.iter().chain([&echo]) {
        assert_eq!(orchestrator.wait_for_result(id).await["status"], "success");
    }
}

/// Nothing but the end of the one before starts the next: neither a poll nor a heartbeat comes in time.
#[tokio::test]
async fn a_place_in_a_group_that_becomes_free_is_used_at_once() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let variables = [("HEARTBEAT_INTERVAL", "60"), ("WORKER_HEARTBEAT_DEBOUNCE_DELAY", "60")];
    let worker = tasks().limit("group", 1).config(config(&orchestrator.url(), &variables));
    let _worker = Running::start(worker.build().expect("a worker"));
    let began = Stopwatch::start();
    let ids: Vec<_> = (0..10).map(|_| push(&orchestrator, "grouped", json!({"seconds": 0.05}))).collect();
    for id in ids {
        assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    }
    assert!(began.took().is_below(Duration::from_secs(3)), "{:?} for ten of 50 ms", began.took());
}

/// The time a task waits for its group is not its handler's.
#[tokio::test]
async fn a_time_limit_begins_with_the_handler() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker =
        tasks().limit("group", 1).config(config(&orchestrator.url(), &[("WORKER_TASK_TIMEOUT", "1")]));
    let _worker = Running::start(worker.build().expect("a worker"));
    let ids: Vec<_> = (0..3).map(|_| push(&orchestrator, "grouped", json!({"seconds": 0.6}))).collect();
    for id in ids {
        assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    }
}
