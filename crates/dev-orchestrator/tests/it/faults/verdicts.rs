//! Verdicts, with a worker that follows a script.

use std::time::Duration;

use avtomatika_dev::{Event, Fault, FaultSwitch, NewTask};
use hyper::Method;
use serde_json::json;

use super::{started, state, switch, switch_off, switch_on};
use crate::client::{Worker, eventually, get, in_time, open_polls};

#[tokio::test]
async fn without_a_worker_there_is_nothing_to_recover() {
    let settings = avtomatika_dev::Settings::new().without_storage();
    let orchestrator = avtomatika_dev::DevOrchestrator::start(settings).await.expect("a free port");
    assert!(orchestrator.verdict(Fault::Refuse).await.is_none(), "it was never on");
    switch(&orchestrator, json!({"refuse": {"on": true}})).await;
    switch(&orchestrator, json!({"refuse": {"on": false}})).await;
    let faults = get(&orchestrator, "/api/faults").await.json()["faults"].clone();
    let verdict = &faults["refuse"]["verdict"];
    assert_eq!(
        (&verdict["fault"], &verdict["workers"], &verdict["ok"]),
        (&json!("refuse"), &json!(0), &json!(true))
    );
    assert_eq!((&verdict["recovered_after"], &verdict["lost"]), (&json!(null), &json!([])));
    assert!(verdict["from"].as_f64() <= verdict["to"].as_f64(), "{verdict}");
    assert!(verdict["text"].as_str().expect("a text").starts_with("No worker was there."), "{verdict}");
    switch(&orchestrator, json!({"refuse": {"on": true}})).await;
    assert!(state(&orchestrator, Fault::Refuse).verdict.is_none(), "it was of the run before");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_worker_has_recovered_when_its_heartbeat_poll_and_result_were_accepted() {
    let (orchestrator, worker) = started().await;
    let mut feed = orchestrator.subscribe();
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    switch_on(&orchestrator, Fault::Error5xx);
    for _ in 0..2 {
        let refused = worker.send(Method::POST, "tasks/result", worker.success(&task)).await;
        assert!(refused.status.is_server_error());
    }
    switch_off(&orchestrator, Fault::Error5xx);
    worker.beat(&json!({"status": "idle"})).await;
    worker.poll_for("0").await;
    assert!(state(&orchestrator, Fault::Error5xx).verdict.is_none(), "its result waits");
    worker.result(&task, json!({"status": "success"})).await;
    let verdict = in_time(orchestrator.verdict(Fault::Error5xx)).await.expect("it was on");
    assert!(verdict.ok, "{verdict:?}");
    assert_eq!((verdict.workers, verdict.results_again, verdict.tasks_lost), (1, 2, 0));
    assert!(verdict.recovered_after.is_some_and(|seconds| seconds < 60.0), "{verdict:?}");
    assert!(verdict.requests_per_second > 0.0, "{verdict:?}");
    assert!(verdict.text.starts_with("The worker recovered after "), "{}", verdict.text);
    assert!(verdict.text.contains("2 results were sent again, no task was lost"), "{}", verdict.text);
    assert!(orchestrator.task(&submitted.job_id).expect("known").status.is_ended());
    loop {
        if let Event::FaultJudged { verdict: told } = in_time(feed.next()).await.expect("an event") {
            assert_eq!(told.text, verdict.text);
            break;
        }
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_lost_answer_is_sent_again_before_the_verdict() {
    let (orchestrator, worker) = started().await;
    orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    switch_on(&orchestrator, Fault::LoseAck);
    assert!(worker.bytewise("POST", "tasks/result", &worker.success(&task)).await.is_reset());
    switch_off(&orchestrator, Fault::LoseAck);
    worker.beat(&json!({"status": "idle"})).await;
    worker.poll_for("0").await;
    assert!(state(&orchestrator, Fault::LoseAck).verdict.is_none(), "its result was never acknowledged");
    assert_eq!(worker.result(&task, json!({"status": "success"})).await["status"], "ignored");
    let verdict = in_time(orchestrator.verdict(Fault::LoseAck)).await.expect("it was on");
    assert_eq!((verdict.ok, verdict.results_again), (true, 1), "{verdict:?}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_poll_that_is_held_was_accepted() {
    let (orchestrator, worker) = started().await;
    let poll = worker.open_poll().await;
    eventually(|| open_polls(&orchestrator) == 1).await;
    switch_on(&orchestrator, Fault::LoseAck);
    switch_off(&orchestrator, Fault::LoseAck);
    worker.beat(&json!({"status": "idle"})).await;
    assert!(in_time(orchestrator.verdict(Fault::LoseAck)).await.expect("it was on").ok);
    drop(poll);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_does_not_come_back_has_not_recovered_and_loses_its_task() {
    let (orchestrator, worker) = started().await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    worker.task().await;
    switch_on(&orchestrator, Fault::Forget);
    switch_off(&orchestrator, Fault::Forget);
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    let verdict = orchestrator.verdict(Fault::Forget).await.expect("it was on");
    let waited = start.elapsed();
    assert!((Duration::from_secs(59)..Duration::from_secs(61)).contains(&waited), "{waited:?}");
    assert_eq!((verdict.ok, verdict.recovered_after, verdict.workers), (false, None, 1));
    assert_eq!((verdict.tasks_lost, &*verdict.lost), (1, &[submitted.job_id][..]));
    assert!(verdict.text.contains("`w`: no heartbeat was accepted"), "{}", verdict.text);
    assert!(verdict.text.contains("1 task was lost"), "{}", verdict.text);
}

#[tokio::test]
async fn after_too_many_requests_workers_have_more_time() {
    for (fault, seconds) in [(Fault::Slow, 60.0), (Fault::TooMany, 75.0)] {
        let (orchestrator, _) = started().await;
        tokio::time::pause();
        switch_on(&orchestrator, fault);
        switch_off(&orchestrator, fault);
        let start = tokio::time::Instant::now();
        assert!(!orchestrator.verdict(fault).await.expect("it was on").ok);
        let waited = start.elapsed().as_secs_f64();
        assert!((waited - seconds).abs() < 1.0, "{fault}: {waited}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn the_verdict_on_one_worker_ignores_the_others() {
    let (orchestrator, worker) = started().await;
    let other = Worker::registered(&orchestrator, "v", &["x"]).await;
    orchestrator.set_fault(Fault::Error5xx, FaultSwitch::on().with_worker("w")).expect("valid");
    for _ in 0..3 {
        other.beat(&json!({"status": "idle"})).await;
    }
    switch_off(&orchestrator, Fault::Error5xx);
    worker.beat(&json!({"status": "idle"})).await;
    worker.poll_for("0").await;
    let verdict = in_time(orchestrator.verdict(Fault::Error5xx)).await.expect("it was on");
    assert_eq!((verdict.ok, verdict.workers), (true, 1), "{verdict:?}");
    assert!(verdict.requests_per_second.abs() < f64::EPSILON, "none of its own: {verdict:?}");
    orchestrator.shutdown().await;
}
