//! Tasks that are added while the worker runs.

use std::time::Duration;

use avtomatika_worker::prelude::*;
use avtomatika_worker::{BuildError, WorkerHandle};
use serde_json::{Value, json};
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator};

use crate::support::{
    Pause, Running, config, each, push, run, tasks, told, until, wait_for_heartbeat, watch_for,
};

fn started(orchestrator: &ScriptedOrchestrator, variables: &[(&str, &str)]) -> (WorkerHandle, Running) {
    let builder = Worker::builder()
        .task("first", async || ())
        .task("sleep", async |Params(pause): Params<Pause>| {
            tokio::time::sleep(Duration::from_secs_f64(pause.seconds)).await;
        })
        .limit("one", 1);
    let worker = builder.config(config(&orchestrator.url(), variables)).build().expect("a worker");
    (worker.handle(), Running::start(worker))
}

fn add(handle: &WorkerHandle, name: &str) {
    handle.add_task(name, TaskOptions::new(), async || ()).expect("a new name");
}

/// The names of the tasks in the registrations so far.
fn registered(orchestrator: &ScriptedOrchestrator) -> Vec<Value> {
    orchestrator
        .requests(Endpoint::Register)
        .iter()
        .map(|one| one.json()["supported_tasks"].clone())
        .collect()
}

#[tokio::test]
async fn several_added_tasks_make_one_registration_and_then_a_heartbeat() {
    each([Script::older(), Script::newer()], async |script| {
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let (handle, worker) = started(
            &orchestrator,
            &[("HEARTBEAT_INTERVAL", "60"), ("WORKER_HEARTBEAT_DEBOUNCE_DELAY", "0.3")],
        );
        orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
        orchestrator.wait_for_open_polls(1).await;
        add(&handle, "second");
        // A poll that was open before may return it.
        assert_eq!(run(&orchestrator, "second", json!({})).await["status"], "success");
        add(&handle, "third");
        orchestrator.wait_for_requests(Endpoint::Register, 2).await;
        let all = json!(["first", "sleep", "second", "third"]);
        assert_eq!(registered(&orchestrator), [json!(["first", "sleep"]), all.clone()]);
        let requests = orchestrator.requests(Endpoint::Register);
        let (first, again) = (requests[0].json(), requests[1].json());
        assert_eq!(again["supported_skills"][3]["name"], "third");
        assert_ne!(first["skills_hash"], again["skills_hash"]);
        let expected = all.clone();
        let heartbeat =
            wait_for_heartbeat(&orchestrator, move |body| body["supported_tasks"] == expected).await;
        assert_eq!((&heartbeat["available_skills"], &heartbeat["status"]), (&all, &json!("idle")));
        let hash = &heartbeat["skills_hash"];
        assert!(hash.is_null() || *hash == again["skills_hash"], "{hash}");
        orchestrator.wait_for(Endpoint::Poll, |poll| poll.query.contains("first,sleep,second,third")).await;
        assert_eq!(orchestrator.count(Endpoint::Register), 2);
        worker.abandon();
    })
    .await;
}

#[tokio::test]
async fn an_orchestrator_that_is_down_meanwhile_learns_of_the_task_when_it_is_back() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let (handle, _worker) = started(&orchestrator, &[]);
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
    orchestrator.answer_next(Endpoint::Register, Answer::status(503));
    add(&handle, "second");
    // Refused once: tried again, while heartbeats go on.
    orchestrator.wait_for_requests(Endpoint::Register, 3).await;
    orchestrator.refuse().await;
    orchestrator.drop_connections();
    add(&handle, "third");
    watch_for(Duration::from_millis(100)).await;
    orchestrator.accept().await;
    let all = json!(["first", "sleep", "second", "third"]);
    orchestrator.wait_for(Endpoint::Register, move |request| request.json()["supported_tasks"] == all).await;
    assert_eq!(run(&orchestrator, "third", json!({})).await["status"], "success");
}

#[tokio::test]
async fn heartbeats_go_on_while_the_repeated_registration_hangs_and_the_goodbye_follows_its_end() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let (handle, worker) = started(&orchestrator, &[]);
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
    orchestrator.answer_next(Endpoint::Register, Answer::Hang);
    add(&handle, "second");
    orchestrator.wait_for_requests(Endpoint::Register, 2).await;
    let before = orchestrator.count(Endpoint::Heartbeat);
    orchestrator.wait_for_requests(Endpoint::Heartbeat, before + 5).await;
    assert_eq!(orchestrator.count(Endpoint::Register), 2, "it has 10 s");
    // Added after it was written: the next one names it.
    add(&handle, "third");
    let all = json!(["first", "sleep", "second", "third"]);
    orchestrator.wait_for(Endpoint::Register, move |request| request.json()["supported_tasks"] == all).await;
    worker.stop().await;
    assert_eq!(told(&orchestrator).pop().expect("a goodbye").json()["status"], "busy");
}

#[tokio::test]
async fn each_orchestrator_is_told() {
    let (one, other) = (ScriptedOrchestrator::start().await, ScriptedOrchestrator::start().await);
    let entries = json!([{"url": one.url()}, {"url": other.url()}]).to_string();
    let variables = [("ORCHESTRATORS_CONFIG", entries.as_str()), ("MULTI_ORCHESTRATOR_MODE", "ROUND_ROBIN")];
    let (handle, _worker) = started(&one, &variables);
    for orchestrator in [&one, &other] {
        orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
    }
    add(&handle, "second");
    for orchestrator in [&one, &other] {
        orchestrator.wait_for_requests(Endpoint::Register, 2).await;
        assert_eq!(registered(orchestrator)[1], json!(["first", "sleep", "second"]));
    }
}

#[tokio::test]
async fn an_added_task_has_the_checks_the_limits_and_the_layers_of_the_others() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = seen.clone();
    let count = move |request: TaskRequest, next: avtomatika_worker::middleware::Next| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        next.run(request)
    };
    let builder = tasks()
        .limit("one", 1)
        .layer(avtomatika_worker::middleware::from_fn(count))
        .capacity_checker(|name| name.as_str() != "refused");
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let handle = worker.handle();
    let none = TaskOptions::new;
    // Before it runs, too.
    add(&handle, "early");
    let taken = handle.add_task("early", none(), async || ()).expect_err("the name is taken");
    assert!(matches!(taken, BuildError::DuplicateTask(_)), "{taken}");
    let wrong = handle.add_task("a b", none(), async || ()).expect_err("a space");
    assert!(matches!(wrong, BuildError::TaskName(_)), "{wrong}");
    let _worker = Running::start(worker);
    let names =
        orchestrator.wait_for_requests(Endpoint::Register, 1).await[0].json()["supported_tasks"].clone();
    assert_eq!(names[4], "early");
    let sleep = async || tokio::time::sleep(Duration::from_secs(60)).await;
    handle.add_task("limited", none().limit_group("one"), sleep).expect("a new name");
    add(&handle, "refused");
    let told_of = wait_for_heartbeat(&orchestrator, |body| {
        body["supported_tasks"].as_array().is_some_and(|names| names.len() == 6)
    });
    assert_eq!(told_of.await["supported_tasks"][5], "limited", "and `refused` is not accepted");
    push(&orchestrator, "limited", json!({}));
    wait_for_heartbeat(&orchestrator, |body| {
        body["current_tasks"].as_array().is_some_and(|tasks| !tasks.is_empty())
            && !body["supported_tasks"].as_array().is_some_and(|names| names.contains(&json!("limited")))
    })
    .await;
    assert_eq!(run(&orchestrator, "early", json!({})).await["status"], "success");
    assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 2, "`limited` and `early`");
}

#[tokio::test]
async fn a_worker_that_drains_takes_no_further_task() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let (handle, worker) = started(&orchestrator, &[]);
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
    push(&orchestrator, "sleep", json!({"seconds": 60}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    worker.ask_to_stop();
    until(|| told(&orchestrator).last().is_some_and(|request| request.json()["status"] == "busy")).await;
    let refused = handle.add_task("late", TaskOptions::new(), async || ()).expect_err("it drains");
    assert!(matches!(refused, BuildError::Draining(_)), "{refused}");
    assert_eq!(refused.to_string(), "the task `late` cannot be added: the worker is shutting down");
    handle.cancel();
    worker.stopped().await;
    assert_eq!(orchestrator.count(Endpoint::Register), 1);
}

#[tokio::test]
async fn a_worker_may_begin_without_tasks() {
    assert!(matches!(Worker::builder::<()>().build(), Err(BuildError::NoTasks)), "only if it is asked for");
    each([Script::older(), Script::newer()], async |script| {
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let builder = Worker::builder::<()>().allow_no_tasks();
        let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
        let (handle, worker) = (worker.handle(), Running::start(worker));
        let heartbeat = wait_for_heartbeat(&orchestrator, Value::is_object).await;
        assert_eq!((&heartbeat["status"], &heartbeat["supported_tasks"]), (&json!("busy"), &json!([])));
        add(&handle, "first");
        orchestrator.wait_for_requests(Endpoint::Register, 2).await;
        assert_eq!(registered(&orchestrator), [json!([]), json!(["first"])]);
        let hashes = orchestrator
            .requests(Endpoint::Register)
            .into_iter()
            .map(|one| one.json()["skills_hash"].clone());
        let hashes: Vec<Value> = hashes.collect();
        assert!(hashes.iter().all(Value::is_string) && hashes[0] != hashes[1], "{hashes:?}");
        wait_for_heartbeat(&orchestrator, |body| body["status"] == "idle").await;
        assert_eq!(run(&orchestrator, "first", json!({})).await["status"], "success");
        worker.abandon();
    })
    .await;
}
