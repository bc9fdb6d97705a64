//! Progress: at a bearable rate, in order, and before the result.

use std::time::Duration;

use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator, Stopwatch};

use crate::support::{Running, TOKEN, config, each, run, tasks, watch_for};

async fn steps(Params(steps): Params<Steps>, context: TaskContext) {
    for step in 1..=steps.steps {
        context.send_progress(f64::from(step) / f64::from(steps.steps), format!("step {step}"));
        tokio::task::yield_now().await;
    }
}

#[derive(serde::Deserialize)]
struct Steps {
    steps: u32,
}

async fn with(script: Script) -> (ScriptedOrchestrator, Running) {
    let orchestrator = ScriptedOrchestrator::start_with(script).await;
    let odd = async |context: TaskContext| {
        for progress in [-1.0, 7.0, f64::NAN, f64::INFINITY] {
            context.send_progress(progress, "odd");
        }
    };
    let builder = tasks().task("steps", steps).task("odd", odd);
    let worker = builder.config(config(&orchestrator.url(), &[])).build().expect("a worker");
    (orchestrator, Running::start(worker))
}

#[tokio::test]
async fn events_are_signed_and_say_whose_they_are() {
    let (orchestrator, _worker) = with(Script::newer()).await;
    let result = run(&orchestrator, "steps", json!({"steps": 2})).await;
    let events = orchestrator.requests(Endpoint::Event);
    assert_eq!(events.len(), 2, "both before the result");
    let event = events[0].json();
    assert_eq!(event["event_type"], "progress");
    assert_eq!((&event["target_task_id"], &event["target_job_id"]), (&result["task_id"], &result["job_id"]));
    assert_eq!((&event["worker_id"], &event["origin_worker_id"]), (&json!("w-1"), &json!("w-1")));
    assert_eq!(event["payload"], json!({"progress": 0.5, "message": "step 1"}));
    let signature = event["security"]["signature"].as_str().expect("a signature");
    assert!(rxon::signing::Signer::new(TOKEN).verify(
        &events[0].body,
        &rxon::signing::EVENT_IGNORES,
        signature
    ));
    assert_ne!(event["event_id"], events[1].json()["event_id"]);
}

#[tokio::test]
async fn at_most_ten_a_second_and_the_last_before_the_result() {
    let clock = Stopwatch::start();
    let (orchestrator, _worker) = with(Script::newer()).await;
    run(&orchestrator, "steps", json!({"steps": 200})).await;
    let events = orchestrator.requests(Endpoint::Event);
    let said: Vec<Value> = events.iter().map(|event| event.json()["payload"]["progress"].clone()).collect();
    assert_eq!(said.len(), 11, "{said:?}");
    assert_eq!((&said[0], &said[10]), (&json!(0.005), &json!(1.0)));
    assert!(said.windows(2).all(|pair| pair[0].as_f64() < pair[1].as_f64()), "{said:?}");
    let (tenth, last) = (&events[9], &events[10]);
    assert!(clock.between(events[0].at, last.at).is_at_least(Duration::from_millis(950)));
    assert!(clock.between(events[0].at, tenth.at).is_below(Duration::from_millis(700)));
    assert!(orchestrator.requests(Endpoint::Result)[0].at >= events[10].at);
}

#[tokio::test]
async fn the_older_generation_is_not_bothered() {
    let (orchestrator, _worker) = with(Script::older()).await;
    assert_eq!(run(&orchestrator, "steps", json!({"steps": 50})).await["status"], "success");
    assert_eq!(orchestrator.count(Endpoint::Event) + orchestrator.count(Endpoint::Other), 0);
}

#[tokio::test]
async fn odd_values_are_clamped() {
    let (orchestrator, _worker) = with(Script::newer()).await;
    run(&orchestrator, "odd", json!({})).await;
    let said: Vec<Value> = orchestrator
        .requests(Endpoint::Event)
        .iter()
        .map(|event| event.json()["payload"]["progress"].clone())
        .collect();
    assert_eq!(said, [json!(0.0), json!(1.0), json!(0.0), json!(1.0)]);
}

#[tokio::test]
async fn events_that_fail_or_hang_cost_no_result() {
    each([Answer::status(500), Answer::Reset, Answer::status(404), Answer::Hang], async |answer| {
        let (orchestrator, worker) = with(Script::newer()).await;
        orchestrator.answer_always(Endpoint::Event, answer.clone());
        let began = Stopwatch::start();
        assert_eq!(run(&orchestrator, "steps", json!({"steps": 3})).await["status"], "success", "{answer:?}");
        assert!(began.took().is_below(Duration::from_secs(8)), "{answer:?}: {:?}", began.took());
        worker.abandon();
    })
    .await;
}

#[tokio::test]
async fn events_that_hang_delay_one_result_a_little_and_the_next_ones_not_at_all() {
    let (orchestrator, worker) = with(Script::newer()).await;
    orchestrator.answer_always(Endpoint::Event, Answer::Hang);
    let began = Stopwatch::start();
    run(&orchestrator, "steps", json!({"steps": 3})).await;
    assert!(began.took().is_below(Duration::from_secs(3)), "{:?}", began.took());
    let next = Stopwatch::start();
    for _ in 0..5 {
        run(&orchestrator, "steps", json!({"steps": 3})).await;
    }
    assert!(next.took().is_below(Duration::from_millis(2500)), "{:?}", next.took());
    worker.abandon();
}

#[tokio::test]
async fn a_task_that_has_ended_is_not_listened_to_any_more() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let late = async |context: TaskContext| {
        std::thread::spawn(move || {
            for step in 0..20 {
                std::thread::sleep(Duration::from_millis(20));
                context.send_progress(f64::from(step) / 20.0, "too late");
            }
        });
    };
    let builder = tasks().task("late", late).config(config(&orchestrator.url(), &[]));
    let _worker = Running::start(builder.build().expect("a worker"));
    run(&orchestrator, "late", json!({})).await;
    watch_for(Duration::from_millis(500)).await;
    assert_eq!(orchestrator.count(Endpoint::Event), 0);
}
