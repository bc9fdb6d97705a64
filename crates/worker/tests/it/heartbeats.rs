//! Heartbeats: what they say, and that nothing holds them up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use testkit::{Answer, Endpoint, PATIENCE, Recorded, Script, ScriptedOrchestrator, Stopwatch, Took};

use crate::support::{
    Running, both, config, each, push, run, start, tasks, told, wait_for_heartbeat, watch_for,
};

fn longest_gap(clock: &Stopwatch, requests: &[Recorded]) -> Took {
    let gaps = requests.windows(2).map(|pair| clock.between(pair[0].at, pair[1].at));
    gaps.max_by_key(|gap| gap.undisturbed()).expect("at least two")
}

#[tokio::test]
async fn the_interval_is_kept_without_jitter() {
    let clock = Stopwatch::start();
    let (orchestrator, _worker) = both(&[("HEARTBEAT_INTERVAL", "0.2")]).await;
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 12).await;
    let requests = told(&orchestrator);
    let span = clock.between(requests[0].at, requests[7].at);
    assert!(span.is_within(Duration::from_millis(1350)..Duration::from_millis(1700)), "{span:?}");
}

/// The orchestrator is on another thread: the worker's is blocked.
#[test]
fn they_go_on_while_an_async_handler_blocks_the_thread() {
    let clock = Stopwatch::start();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
    let orchestrator = runtime.block_on(ScriptedOrchestrator::start());
    let frozen = Arc::new(AtomicUsize::new(0));
    let (counted, enough) = (frozen.clone(), frozen.clone());
    orchestrator.on(Endpoint::Heartbeat, move |request| {
        let is_frozen = !request.body.is_empty() && request.json()["load"] == 1.0;
        counted.fetch_add(usize::from(is_frozen), Ordering::SeqCst);
        None
    });
    push(&orchestrator, "freeze", json!({}));
    let freeze = async move || {
        let began = Instant::now();
        std::thread::sleep(Duration::from_millis(1500));
        // Seven come in this time, where the machine has time for them.
        while enough.load(Ordering::SeqCst) < 5 && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let worker = Worker::builder().task("freeze", freeze).config(config(&orchestrator.url(), &[]));
    let own = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    let result = orchestrator.wait_for(Endpoint::Result, |_| true);
    own.block_on(worker.build().expect("a worker").run_until(async {
        result.await;
    }))
    .expect("it ran");
    let requests = told(&orchestrator);
    assert!(frozen.load(Ordering::SeqCst) >= 5, "{frozen:?} heartbeats");
    let gap = longest_gap(&clock, &requests);
    assert!(gap.is_below(Duration::from_millis(700)), "{gap:?}");
}

#[tokio::test]
async fn they_wait_behind_nothing_else() {
    let clock = &Stopwatch::start();
    each([Endpoint::Poll, Endpoint::Result, Endpoint::Event], async |endpoint| {
        let orchestrator = ScriptedOrchestrator::start().await;
        orchestrator.answer_always(endpoint, Answer::Hang);
        if endpoint == Endpoint::Poll {
            orchestrator.answer_next(Endpoint::Poll, Answer::Normally);
        }
        push(&orchestrator, "tell", json!({}));
        let tell = async |context: TaskContext| context.send_progress(0.5, "half");
        let worker =
            tasks().task("tell", tell).config(config(&orchestrator.url(), &[])).build().expect("one");
        let worker = Running::start(worker);
        orchestrator.wait_for_requests(endpoint, 1).await;
        let seen = orchestrator.count(Endpoint::Heartbeat);
        let requests = orchestrator.wait_for_requests(Endpoint::Heartbeat, seen + 6).await;
        let gap = longest_gap(clock, &requests);
        assert!(gap.is_below(Duration::from_millis(500)), "{endpoint:?}: {gap:?}");
        worker.abandon();
    })
    .await;
}

#[tokio::test]
async fn one_without_an_answer_does_not_delay_the_next_but_they_do_not_pile_up() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_always(Endpoint::Heartbeat, Answer::Hang);
    let clock = Stopwatch::start();
    let _worker = start(&orchestrator, &[("HEARTBEAT_INTERVAL", "0.2")]);
    let requests = orchestrator.wait_for_requests(Endpoint::Heartbeat, 3).await;
    let gap = longest_gap(&clock, &requests);
    assert!(gap.is_below(Duration::from_millis(700)), "{gap:?}");
    watch_for(Duration::from_millis(800)).await;
    assert_eq!(orchestrator.count(Endpoint::Heartbeat), 3, "the answers are waited for");
}

#[tokio::test]
async fn a_failed_one_is_not_repeated_and_the_next_comes_in_time() {
    let (orchestrator, _worker) = both(&[("HEARTBEAT_INTERVAL", "0.3")]).await;
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
    orchestrator.answer_always(Endpoint::Heartbeat, Answer::status(500));
    let watched = watch_for(Duration::from_millis(1600)).await;
    let count = orchestrator.count(Endpoint::Heartbeat);
    let limits = watched.at_least(4)..=watched.at_most(7);
    assert!(limits.contains(&count), "{count} in 1.6 s, one each 0.3 s");
}

#[tokio::test]
async fn a_change_is_told_after_the_debounce_delay_and_a_burst_once() {
    let variables = [("HEARTBEAT_INTERVAL", "60"), ("WORKER_HEARTBEAT_DEBOUNCE_DELAY", "0.3")];
    let (orchestrator, _worker) = both(&variables).await;
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
    let ids: Vec<_> = (0..3).map(|_| push(&orchestrator, "sleep", json!({"seconds": 5}))).collect();
    let pushed = Stopwatch::start();
    let told_of = wait_for_heartbeat(&orchestrator, move |body| body["load"] == 3.0).await;
    assert!(pushed.took().is_at_least(Duration::from_millis(300)));
    for id in &ids {
        assert!(told_of["current_tasks"].as_array().is_some_and(|tasks| tasks.iter().any(|task| task == id)));
    }
    assert_eq!(told(&orchestrator).len(), 2, "the first, and one for the burst");
}

#[tokio::test]
async fn a_burst_that_never_ends_is_told_of_every_second() {
    let variables = [("HEARTBEAT_INTERVAL", "60"), ("WORKER_HEARTBEAT_DEBOUNCE_DELAY", "0.2")];
    let (orchestrator, worker) = both(&variables).await;
    orchestrator.make_tasks(|| Some(testkit::task("sleep", json!({"seconds": 0.02})).to_string().into()));
    let watched = watch_for(Duration::from_millis(2700)).await;
    let count = told(&orchestrator).len();
    assert!((watched.at_least(3)..=watched.at_most(5)).contains(&count), "{count} in 2.7 s");
    worker.abandon();
}

#[tokio::test]
async fn a_full_worker_is_busy_and_accepts_nothing() {
    let (orchestrator, _worker) = both(&[("MAX_CONCURRENT_TASKS", "2")]).await;
    let all = json!(["echo", "sleep", "block", "grouped"]);
    let idle = wait_for_heartbeat(&orchestrator, |body| body["status"] == "idle").await;
    assert_eq!((&idle["supported_tasks"], &idle["available_skills"]), (&all, &all));
    let id = push(&orchestrator, "sleep", json!({"seconds": 1.5}));
    let half = wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    assert_eq!((&half["status"], &half["supported_tasks"]), (&json!("idle"), &all));
    push(&orchestrator, "sleep", json!({"seconds": 1.5}));
    let full = wait_for_heartbeat(&orchestrator, |body| body["load"] == 2.0).await;
    assert_eq!((&full["status"], &full["supported_tasks"]), (&json!("busy"), &json!([])));
    orchestrator.wait_for_result(&id).await;
    let after = orchestrator.count(Endpoint::Heartbeat);
    orchestrator.wait_for_requests(Endpoint::Heartbeat, after + 3).await;
    let last = told(&orchestrator).pop().expect("some").json();
    assert_eq!((&last["status"], &last["load"]), (&json!("idle"), &json!(0.0)));
}

#[tokio::test]
async fn in_queue_mode_a_full_worker_stays_idle_and_only_polls_less() {
    let variables = [("MAX_CONCURRENT_TASKS", "1"), ("WORKER_CAPACITY_REPORTING", "queue")];
    let (orchestrator, _worker) = both(&variables).await;
    push(&orchestrator, "sleep", json!({"seconds": 0.6}));
    let full = wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    assert_eq!((&full["status"], &full["supported_tasks"][0]), (&json!("idle"), &json!("echo")));
    assert_eq!(orchestrator.open_polls(), 0);
}

#[tokio::test]
async fn a_full_group_is_not_accepted_and_the_others_are() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker = tasks().limit("group", 1).config(config(&orchestrator.url(), &[])).build().expect("one");
    let _worker = Running::start(worker);
    push(&orchestrator, "grouped", json!({"seconds": 2}));
    let told = wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    assert_eq!(told["supported_tasks"], json!(["echo", "sleep", "block"]));
    assert_eq!(told["status"], "idle");
    let poll = orchestrator.wait_for(Endpoint::Poll, |poll| !poll.query.contains("grouped")).await;
    assert!(poll.query.contains("available_skills=echo,sleep,block&"), "{}", poll.query);
}

#[tokio::test]
async fn job_ids_stand_beside_task_ids_towards_the_newer_generation_only() {
    each([Script::older(), Script::newer()], async |script| {
        let generation = script.generation;
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let worker = start(&orchestrator, &[]);
        let task = testkit::task("sleep", json!({"seconds": 5}));
        orchestrator.push_task(&task);
        let told = wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
        let wanted = match generation {
            testkit::Generation::Older => json!([task["task_id"]]),
            testkit::Generation::Newer => json!([task["task_id"], task["job_id"]]),
        };
        assert_eq!(told["current_tasks"], wanted);
        worker.abandon();
    })
    .await;
}

#[tokio::test]
async fn loaded_models_and_hot_skills_are_told() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let load = async |context: TaskContext, RawParams(params): RawParams| {
        let change: Value = serde_json::from_str(params.get()).expect("JSON");
        match (change["add"].as_str(), change["remove"].as_str()) {
            (Some(model), _) => context.add_to_hot_cache(model),
            (_, Some(model)) => context.remove_from_hot_cache(model),
            _ => {}
        }
    };
    let worker = tasks()
        .task("load", load)
        .skill_dependencies("echo", ["a", "b"])
        .config(config(&orchestrator.url(), &[("HEARTBEAT_INTERVAL", "60")]))
        .build()
        .expect("a worker");
    let _worker = Running::start(worker);
    let first = wait_for_heartbeat(&orchestrator, |_| true).await;
    assert_eq!(first["skill_dependencies"], json!({"echo": ["a", "b"]}));
    assert_eq!((&first["hot_cache"], first.get("hot_skills")), (&json!([]), None));
    run(&orchestrator, "load", json!({"add": "b"})).await;
    run(&orchestrator, "load", json!({"add": "a"})).await;
    let hot = wait_for_heartbeat(&orchestrator, |body| body["hot_cache"] == json!(["a", "b"])).await;
    assert_eq!(hot["hot_skills"], json!(["echo"]));
    orchestrator.wait_for(Endpoint::Poll, |poll| poll.query.ends_with("hot_skills=echo")).await;
    run(&orchestrator, "load", json!({"remove": "a"})).await;
    let cold = wait_for_heartbeat(&orchestrator, |body| body["hot_cache"] == json!(["b"])).await;
    assert_eq!(cold.get("hot_skills"), None);
}
