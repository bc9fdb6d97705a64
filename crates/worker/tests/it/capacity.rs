//! What orchestrators are told of what the worker can take.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use avtomatika_worker::prelude::*;
use avtomatika_worker::{DeviceUsage, TaskName, Usage, WorkerBuilder};
use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Recorded, Script, ScriptedOrchestrator, Stopwatch};

use crate::support::{Running, config, each, push, run, start, tasks, told, until, wait_for_heartbeat};

/// The names of [`tasks`].
const ALL: [&str; 4] = ["echo", "sleep", "block", "grouped"];

/// What a checker refuses, and how often it was asked.
#[derive(Clone, Default)]
struct Gate {
    refused: Arc<Mutex<BTreeSet<&'static str>>>,
    asked: Arc<AtomicUsize>,
}

impl Gate {
    fn refuse(&self, names: &[&'static str]) {
        *self.refused.lock().expect("no panic") = names.iter().copied().collect();
    }

    fn check(&self) -> impl Fn(&TaskName) -> bool + Send + Sync + use<> {
        let gate = self.clone();
        move |name| {
            gate.asked.fetch_add(1, Ordering::SeqCst);
            !gate.refused.lock().expect("no panic").contains(name.as_str())
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn started(
    orchestrator: &ScriptedOrchestrator,
    builder: WorkerBuilder,
    variables: &[(&str, &str)],
) -> Running {
    Running::start(builder.config(config(&orchestrator.url(), variables)).build().expect("a worker"))
}

/// What the first heartbeat says that is sent from now on, and for which `check` is true.
async fn next_told(
    orchestrator: &ScriptedOrchestrator,
    check: impl Fn(&Value) -> bool + Send + 'static,
) -> Value {
    let after = Instant::now();
    let found = orchestrator.wait_for(Endpoint::Heartbeat, move |request| {
        request.at > after && !request.body.is_empty() && check(&request.json())
    });
    found.await.json()
}

fn skills(poll: &Recorded) -> Vec<String> {
    let (_, rest) = poll.query.split_once("available_skills=").expect("they are named");
    let names = rest.split('&').next().unwrap_or_default().split(',');
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[tokio::test]
async fn what_the_checker_refuses_is_not_accepted_however_capacity_is_reported() {
    each(["strict", "queue"], async |reporting| {
        let orchestrator = ScriptedOrchestrator::start().await;
        let gate = Gate::default();
        gate.refuse(&["sleep"]);
        let builder = tasks().capacity_checker(gate.check());
        let worker = started(&orchestrator, builder, &[("WORKER_CAPACITY_REPORTING", reporting)]);
        let without = json!(["echo", "block", "grouped"]);
        let expected = without.clone();
        let told_of =
            wait_for_heartbeat(&orchestrator, move |body| body["supported_tasks"] == expected).await;
        assert_eq!(told_of["status"], "idle", "{reporting}");
        assert_eq!(told_of["available_skills"], without);
        let registration = orchestrator.requests(Endpoint::Register)[0].json();
        assert_eq!(
            (&registration["supported_tasks"], &registration["available_skills"]),
            (&json!(ALL), &without)
        );
        let expected = without.clone();
        orchestrator.wait_for(Endpoint::Poll, move |poll| json!(skills(poll)) == expected).await;
        gate.refuse(&ALL);
        let told_of = next_told(&orchestrator, |body| body["status"] == "busy").await;
        assert_eq!((&told_of["supported_tasks"], &told_of["available_skills"]), (&json!([]), &json!([])));
        // Dispatched before the orchestrator knew: it runs.
        assert_eq!(run(&orchestrator, "sleep", json!({"seconds": 0})).await["status"], "success");
        gate.refuse(&[]);
        let told_of = next_told(&orchestrator, |body| body["status"] == "idle").await;
        assert_eq!(told_of["supported_tasks"], json!(ALL));
        let after = Instant::now();
        orchestrator.wait_for(Endpoint::Poll, move |poll| poll.at > after && skills(poll) == ALL).await;
        worker.abandon();
    })
    .await;
}

#[tokio::test]
async fn the_checker_is_asked_once_for_each_task_before_each_heartbeat() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let gate = Gate::default();
    let builder = tasks().capacity_checker(gate.check());
    let _worker = started(&orchestrator, builder, &[("HEARTBEAT_INTERVAL", "60")]);
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
    assert_eq!(gate.asked(), 8, "before the registration, and before the first heartbeat");
    run(&orchestrator, "echo", json!({})).await;
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 2).await;
    until(|| gate.asked() == 4 + 4 * told(&orchestrator).len()).await;
}

#[tokio::test]
async fn a_checker_that_hangs_stalls_neither_heartbeats_nor_tasks_nor_the_end() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let release = Arc::new(AtomicBool::new(false));
    let released = release.clone();
    let hang = move |_: &TaskName| {
        while !released.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    };
    let worker = started(&orchestrator, tasks().capacity_checker(hang), &[("HEARTBEAT_INTERVAL", "0.2")]);
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
    let began = Stopwatch::start();
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 11).await;
    assert!(began.took().is_below(Duration::from_secs(4)), "0.2 s between ten: {:?}", began.took());
    assert!(told(&orchestrator).iter().all(|told| told.json()["supported_tasks"] == json!(ALL)));
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    let began = Stopwatch::start();
    assert!(worker.stop().await.is_clean());
    assert!(began.took().is_below(Duration::from_secs(8)), "{:?}", began.took());
    release.store(true, Ordering::SeqCst);
}

#[tokio::test]
async fn a_checker_that_panics_refuses_nothing() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let check = |name: &TaskName| {
        assert_ne!(name.as_str(), "echo", "no sensor");
        name.as_str() != "block"
    };
    let _worker = started(&orchestrator, tasks().capacity_checker(check), &[]);
    let accepted = json!(["echo", "sleep", "grouped"]);
    let expected = accepted.clone();
    wait_for_heartbeat(&orchestrator, move |body| body["supported_tasks"] == expected).await;
    let seen = told(&orchestrator).len();
    orchestrator.wait_for_requests(Endpoint::Heartbeat, seen + 5).await;
    assert_eq!(told(&orchestrator).pop().expect("some").json()["supported_tasks"], accepted);
}

#[tokio::test]
async fn a_worker_that_drains_accepts_nothing_however_it_reports_and_asks_no_checker() {
    each(["strict", "queue"], async |reporting| {
        let orchestrator = ScriptedOrchestrator::start().await;
        let gate = Gate::default();
        let builder = tasks().capacity_checker(gate.check());
        let worker = started(&orchestrator, builder, &[("WORKER_CAPACITY_REPORTING", reporting)]);
        push(&orchestrator, "sleep", json!({"seconds": 1.5}));
        wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
        worker.ask_to_stop();
        let goodbye = wait_for_heartbeat(&orchestrator, |body| body["status"] == "busy").await;
        assert_eq!((&goodbye["supported_tasks"], &goodbye["load"]), (&json!([]), &json!(1.0)), "{reporting}");
        let asked = gate.asked();
        for _ in 0..2 {
            assert_eq!(next_told(&orchestrator, |_| true).await["status"], "busy");
        }
        assert_eq!(gate.asked(), asked);
        assert!(worker.stopped().await.is_clean());
    })
    .await;
}

/// Of a group of two: what is told when it is half full, full, and when there is room again.
#[tokio::test]
async fn a_group_is_accepted_for_as_long_as_one_more_of_it_could_start() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let gates: Vec<_> = (0..3).map(|_| Arc::new(tokio::sync::Notify::new())).collect();
    let opened = gates.clone();
    let wait = move |RawParams(number): RawParams| {
        let gate = opened[number.get().trim_matches(['{', '}']).len()].clone();
        async move { gate.notified().await }
    };
    let grouped = || TaskOptions::new().limit_group("gpu");
    let builder = Worker::builder()
        .task_with("one", grouped(), wait.clone())
        .task_with("two", grouped(), wait)
        .task("free", async || ())
        .limit("gpu", 2);
    let _worker = started(&orchestrator, builder, &[]);
    let registration = orchestrator.wait_for_requests(Endpoint::Register, 1).await[0].json();
    assert_eq!(registration["supported_tasks"], json!(["one", "two", "free"]));
    let kinds: Vec<_> = registration["supported_skills"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|skill| (skill["name"].clone(), skill["type"].clone()))
        .collect();
    assert_eq!(kinds, [("one", "gpu"), ("two", "gpu"), ("free", "free")].map(|(a, b)| (json!(a), json!(b))));
    let all = json!(["one", "two", "free"]);
    // As many spaces as the number of its gate: the parameters are an object, and parsed by nobody.
    let body = |name: &str, gate: usize| {
        let id = format!("{name}-{gate}");
        let params = " ".repeat(gate);
        orchestrator.push_task_body(format!(
            r#"{{"job_id":"j-{id}","task_id":"{id}","type":"{name}","params":{{{params}}}}}"#
        ));
        id
    };
    let first = body("one", 0);
    let half = next_told(&orchestrator, |body| body["load"] == 1.0).await;
    assert_eq!((&half["status"], &half["supported_tasks"]), (&json!("idle"), &all), "half full");
    body("two", 1);
    let full = next_told(&orchestrator, |body| body["load"] == 2.0).await;
    assert_eq!((&full["status"], &full["supported_tasks"]), (&json!("idle"), &json!(["free"])));
    // One that was dispatched before waits, and is current; it does not count as load.
    let third = body("one", 2);
    let shown = third.clone();
    let is_current =
        move |body: &Value| body["current_tasks"].as_array().is_some_and(|all| all.contains(&json!(shown)));
    let waits = next_told(&orchestrator, is_current).await;
    assert_eq!((&waits["load"], &waits["supported_tasks"]), (&json!(2.0), &json!(["free"])));
    // The place that is free is the waiting one's: the group stays full.
    gates[0].notify_one();
    orchestrator.wait_for_result(&first).await;
    let still = next_told(&orchestrator, |_| true).await;
    assert_eq!((&still["load"], &still["supported_tasks"]), (&json!(2.0), &json!(["free"])));
    gates[2].notify_one();
    orchestrator.wait_for_result(&third).await;
    let free = next_told(&orchestrator, |body| body["load"] == 1.0).await;
    assert_eq!((&free["status"], &free["supported_tasks"]), (&json!("idle"), &all));
}

/// A worker all of whose tasks are in full groups takes nothing, though it has slots.
#[tokio::test]
async fn a_worker_whose_groups_are_all_full_is_busy_in_strict_reporting_only() {
    each(
        [("strict", "busy", json!([])), ("queue", "idle", json!(["only"]))],
        async |(reporting, status, accepted)| {
            let orchestrator = ScriptedOrchestrator::start().await;
            let pause = async || tokio::time::sleep(Duration::from_secs(20)).await;
            let builder = Worker::builder()
                .task_with("only", TaskOptions::new().limit_group("gpu"), pause)
                .limit("gpu", 1);
            let worker = started(&orchestrator, builder, &[("WORKER_CAPACITY_REPORTING", reporting)]);
            push(&orchestrator, "only", json!({}));
            let told_of = wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
            assert_eq!(
                (&told_of["status"], &told_of["supported_tasks"]),
                (&json!(status), &accepted),
                "{reporting}"
            );
            worker.abandon();
        },
    )
    .await;
}

/// Full, and with a task that waits besides: in queue reporting nothing of it shows in what is accepted.
#[tokio::test]
async fn in_queue_reporting_a_full_worker_accepts_everything_and_runs_what_comes_in_turn() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::older()).await;
    let builder = tasks().limit("group", 1);
    let variables = [("WORKER_CAPACITY_REPORTING", "queue"), ("MAX_CONCURRENT_TASKS", "2")];
    let _worker = started(&orchestrator, builder, &variables);
    let ids: Vec<_> = (0..6).map(|_| push(&orchestrator, "grouped", json!({"seconds": 0.2}))).collect();
    for id in &ids {
        assert_eq!(orchestrator.wait_for_result(id).await["status"], "success");
    }
    for told_of in told(&orchestrator) {
        let body = told_of.json();
        assert_eq!((&body["status"], &body["supported_tasks"]), (&json!("idle"), &json!(ALL)));
        assert!(body["load"].as_f64().is_some_and(|load| load <= 1.0), "one of the group runs: {body}");
    }
}

#[tokio::test]
async fn groups_without_a_limit_and_limits_without_a_group_change_nothing_but_the_latter_is_said() {
    let logs = Logs::new();
    let guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker =
        tasks().limit("gruop", 1).config(config(&orchestrator.url(), &[])).build().expect("a worker");
    drop(guard);
    assert_eq!(logs.count("no task is in the group `gruop`: its limit has no effect"), 1, "{logs:?}");
    let _worker = Running::start(worker);
    for _ in 0..3 {
        push(&orchestrator, "grouped", json!({"seconds": 20}));
    }
    let told_of = wait_for_heartbeat(&orchestrator, |body| body["load"] == 3.0).await;
    assert_eq!(told_of["supported_tasks"], json!(ALL));
    let logs = Logs::new();
    let _guard = logs.start();
    tasks().limit("group", 1).build().expect("a worker");
    assert_eq!(logs.count("has no effect"), 0);
}

/// A result whose way is blocked holds no slot: what is told does not wait for it either.
#[tokio::test]
async fn load_and_current_tasks_do_not_wait_for_results_to_be_acknowledged() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_always(Endpoint::Result, Answer::Hang);
    let worker = start(&orchestrator, &[("MAX_CONCURRENT_TASKS", "1")]);
    let id = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_result(&id).await;
    let is_over = |body: &Value| body["load"] == 0.0 && body["current_tasks"] == json!([]);
    assert_eq!(next_told(&orchestrator, is_over).await["status"], "idle");
    until(|| orchestrator.open_polls() == 1).await;
    worker.abandon();
}

#[tokio::test]
async fn what_the_usage_checker_measures_is_reported_instead_of_the_machine() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
    let builder = tasks().usage_checker(|| {
        let metrics = [("driver".to_owned(), json!("535.1"))].into();
        let device = DeviceUsage { unit_id: "tpu-0".to_owned(), load_percent: 55.5, metrics };
        Some(Usage { cpu_load_percent: 11.0, ram_used_gb: 2.0, devices_usage: vec![device] })
    });
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let handle = worker.handle();
    let _worker = Running::start(worker);
    let told_of = wait_for_heartbeat(&orchestrator, |_| true).await;
    let device = json!({"unit_id": "tpu-0", "load_percent": 55.5, "metrics": {"driver": "535.1"}});
    assert_eq!(
        told_of["usage"],
        json!({"cpu_load_percent": 11.0, "ram_used_gb": 2.0, "devices_usage": [device]})
    );
    // Within the deadband it is not repeated.
    let next = next_told(&orchestrator, |_| true).await;
    assert!(next["usage"].is_null(), "{next}");
    handle.set_usage_checker(|| Some(Usage { cpu_load_percent: 77.0, ..Usage::default() }));
    let told_of = next_told(&orchestrator, |body| !body["usage"].is_null()).await;
    assert_eq!(told_of["usage"], json!({"cpu_load_percent": 77.0, "ram_used_gb": 0.0}));
}
