//! What an orchestrator is told at the end, and what it can hold up.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Relay, Script, ScriptedOrchestrator, Stopwatch};

use crate::support::{Running, both, config, push, start, tasks, told, watch_for};

const LONG: Duration = Duration::from_secs(30);

async fn holding() -> ScriptedOrchestrator {
    ScriptedOrchestrator::start_with(Script::newer().hold(LONG)).await
}

#[tokio::test]
async fn goodbye_is_said_even_when_no_poll_is_open() {
    for _ in 0..5 {
        let orchestrator = ScriptedOrchestrator::start().await;
        orchestrator.answer_always(Endpoint::Poll, Answer::status(429));
        let worker = start(&orchestrator, &[("HEARTBEAT_INTERVAL", "60")]);
        orchestrator.wait_for_requests(Endpoint::Poll, 1).await;
        orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
        assert!(worker.stop().await.is_clean());
        assert_eq!(told(&orchestrator).pop().expect("a goodbye").json()["status"], "busy");
    }
}

#[tokio::test]
async fn an_orchestrator_that_forgets_at_once_is_registered_with_ever_less_often() {
    for forgets in [Answer::ok(Value::Null), Answer::status(404)] {
        let orchestrator = ScriptedOrchestrator::start().await;
        orchestrator.answer_always(Endpoint::Heartbeat, forgets);
        let worker = start(&orchestrator, &[]);
        orchestrator.wait_for_requests(Endpoint::Register, 2).await;
        let watched = watch_for(Duration::from_secs(2)).await;
        let registrations = orchestrator.count(Endpoint::Register);
        assert!(registrations < watched.at_most(15), "{registrations} registrations in 2 s");
        worker.abandon();
    }
}

#[tokio::test]
async fn who_was_forgotten_and_cannot_register_ends_at_once() {
    let orchestrator = holding().await;
    let worker = start(&orchestrator, &[("WORKER_SHUTDOWN_POLLS", "await")]);
    orchestrator.wait_for_open_polls(1).await;
    orchestrator.answer_always(Endpoint::Register, Answer::status(500));
    orchestrator.forget_workers();
    orchestrator.wait_for_requests(Endpoint::Register, 2).await;
    let asked = Stopwatch::start();
    assert!(worker.stop().await.is_clean());
    assert!(asked.took().is_below(Duration::from_secs(3)), "{:?}", asked.took());
}

#[tokio::test]
async fn a_frozen_orchestrator_holds_nothing_up() {
    let orchestrator = holding().await;
    let relay = Relay::start(orchestrator.addr()).await;
    let variables = [("WORKER_SHUTDOWN_POLLS", "await"), ("HEARTBEAT_INTERVAL", "0.3")];
    let worker = Running::start(tasks().config(config(&relay.url(), &variables)).build().expect("a worker"));
    orchestrator.wait_for_open_polls(1).await;
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 2).await;
    relay.stall();
    let asked = Stopwatch::start();
    assert!(worker.stop().await.is_clean());
    assert!(asked.took().is_below(Duration::from_secs(6)), "{:?}", asked.took());
}

#[tokio::test]
async fn whoever_accepts_a_registration_while_the_worker_ends_is_told_too() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_next(Endpoint::Register, Answer::Normally.after(Duration::from_millis(400)));
    let worker = start(&orchestrator, &[]);
    orchestrator.wait_for_requests(Endpoint::Register, 1).await;
    assert!(worker.stop().await.is_clean());
    let told = told(&orchestrator);
    assert!(!told.is_empty(), "a goodbye");
    for beat in told {
        let body = beat.json();
        assert_eq!((&body["status"], &body["available_skills"]), (&json!("busy"), &json!([])));
    }
    assert_eq!((orchestrator.count(Endpoint::Register), orchestrator.count(Endpoint::Poll)), (1, 0));
}

#[tokio::test]
async fn a_result_that_was_kept_is_offered_before_the_end() {
    let (orchestrator, worker) = both(&[("RESULT_MAX_RETRIES", "1")]).await;
    orchestrator.answer_next(Endpoint::Result, Answer::status(503));
    let id = push(&orchestrator, "echo", json!({"a": 1}));
    orchestrator.wait_for_requests(Endpoint::Result, 1).await;
    let asked = Stopwatch::start();
    assert!(worker.stop().await.is_clean(), "it was not acknowledged before");
    assert!(asked.took().is_below(Duration::from_secs(10)), "{:?}", asked.took());
    let sent = orchestrator.wait_for_requests(Endpoint::Result, 2).await;
    assert_eq!(sent[1].json()["task_id"], id.as_str());
}

/// It may still dispatch a task to the open poll, so the worker waits, and says so.
#[tokio::test]
async fn a_worker_whose_goodbye_is_refused_says_what_it_waits_for() {
    for refusal in [Answer::status(500), Answer::status(429)] {
        let logs = Logs::new();
        let _guard = logs.start();
        let orchestrator = holding().await;
        let worker = start(&orchestrator, &[("HEARTBEAT_INTERVAL", "60")]);
        orchestrator.wait_for_open_polls(1).await;
        orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
        orchestrator.answer_always(Endpoint::Heartbeat, refusal);
        worker.ask_to_stop();
        logs.wait_for("the orchestrator did not accept that this worker ends").await;
        let id = push(&orchestrator, "echo", json!({}));
        assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
        assert!(worker.stopped().await.is_clean());
        assert_eq!(logs.count("waiting for open polls"), 1);
    }
}
