//! 429 and 401: what the worker does when it is told to be quiet or to go away.

use std::time::Duration;

use serde_json::json;
use testkit::{Answer, Endpoint, Recorded, ScriptedOrchestrator, Stopwatch};

use crate::support::{both, push, run, start, watch_for};

#[tokio::test]
async fn polls_keep_the_silence_they_are_told_and_no_more() {
    let clock = Stopwatch::start();
    let (orchestrator, _worker) = both(&[]).await;
    orchestrator.wait_for_open_polls(1).await;
    orchestrator.answer_next(Endpoint::Poll, Answer::status(429).header("retry-after", "2"));
    let refused = orchestrator.wait_for_requests(Endpoint::Poll, 2).await.remove(1).at;
    let next = orchestrator.wait_for_requests(Endpoint::Poll, 3).await.remove(2).at;
    let silence = clock.between(refused, next);
    assert!(silence.is_within(Duration::from_secs(2)..Duration::from_secs(4)), "{silence:?}");
    // A refusal that says when to come back is no lesson for ever.
    let began = Stopwatch::start();
    for _ in 0..10 {
        assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    }
    assert!(began.took().is_below(Duration::from_secs(5)), "{:?}", began.took());
}

#[tokio::test]
async fn all_pollers_share_the_silence() {
    let (orchestrator, _worker) = both(&[("MAX_CONCURRENT_TASKS", "50")]).await;
    for _ in 0..40 {
        push(&orchestrator, "sleep", json!({"seconds": 0.3}));
    }
    orchestrator.wait_for_requests(Endpoint::Poll, 20).await;
    orchestrator.answer_always(Endpoint::Poll, Answer::status(429).header("retry-after", "60"));
    watch_for(Duration::from_millis(500)).await;
    let count = orchestrator.count(Endpoint::Poll);
    watch_for(Duration::from_millis(800)).await;
    assert_eq!(orchestrator.count(Endpoint::Poll), count);
}

#[tokio::test]
async fn a_silence_of_one_kind_is_not_one_of_the_others() {
    let (orchestrator, _worker) = both(&[]).await;
    orchestrator.wait_for_open_polls(1).await;
    orchestrator.answer_always(Endpoint::Heartbeat, Answer::status(429));
    let seen = orchestrator.count(Endpoint::Heartbeat);
    orchestrator.wait_for_requests(Endpoint::Heartbeat, seen + 1).await;
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    watch_for(Duration::from_millis(600)).await;
    let count = orchestrator.count(Endpoint::Heartbeat);
    assert!(count <= seen + 2, "silent for 61 s: {count} after {seen}");
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn results_keep_a_silence_together_and_it_counts_as_no_try() {
    let clock = Stopwatch::start();
    let (orchestrator, _worker) = both(&[("RESULT_MAX_RETRIES", "1")]).await;
    orchestrator.answer_next(Endpoint::Result, Answer::status(429).header("retry-after", "1"));
    let first = push(&orchestrator, "echo", json!({}));
    let refused = orchestrator.wait_for_requests(Endpoint::Result, 1).await.remove(0).at;
    let second = push(&orchestrator, "echo", json!({}));
    let all = orchestrator.wait_for_requests(Endpoint::Result, 3).await;
    let silence = clock.between(refused, all[1].at);
    assert!(silence.is_at_least(Duration::from_secs(1)), "{silence:?}");
    let mut ids: Vec<_> = all[1..].iter().map(|result| result.json()["task_id"].clone()).collect();
    ids.sort_by_key(ToString::to_string);
    let mut wanted = [json!(first), json!(second)];
    wanted.sort_by_key(ToString::to_string);
    assert_eq!(ids, wanted);
}

#[tokio::test]
async fn a_result_refused_with_no_time_to_wait_makes_no_hot_loop() {
    let (orchestrator, _worker) = both(&[]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(429).header("retry-after", "0"));
    push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_requests(Endpoint::Result, 1).await;
    let watched = watch_for(Duration::from_millis(1500)).await;
    assert!(
        orchestrator.count(Endpoint::Result) <= watched.at_most(3),
        "{}",
        orchestrator.count(Endpoint::Result)
    );
}

/// Five seconds each: they pass side by side.
#[tokio::test]
async fn refused_credentials_are_tried_again_every_five_seconds() {
    let clock = &Stopwatch::start();
    tokio::join!(
        polls_refused(clock, 401),
        polls_refused(clock, 403),
        registration_refused(clock),
        result_refused(clock)
    );
}

async fn polls_refused(clock: &Stopwatch, status: u16) {
    let (orchestrator, worker) = both(&[("HEARTBEAT_INTERVAL", "60")]).await;
    orchestrator.wait_for_open_polls(1).await;
    orchestrator.answer_always(Endpoint::Poll, Answer::status(status));
    let polls = orchestrator.wait_for_requests(Endpoint::Poll, 3).await;
    assert_about_five_seconds(clock, &polls[1], &polls[2]);
    worker.abandon();
}

async fn registration_refused(clock: &Stopwatch) {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_next(Endpoint::Register, Answer::status(401));
    let _worker = start(&orchestrator, &[]);
    let tries = orchestrator.wait_for_requests(Endpoint::Register, 2).await;
    assert_about_five_seconds(clock, &tries[0], &tries[1]);
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

/// It is kept, whatever `RESULT_MAX_RETRIES` says.
async fn result_refused(clock: &Stopwatch) {
    let (orchestrator, _worker) = both(&[("RESULT_MAX_RETRIES", "1")]).await;
    orchestrator.answer_next(Endpoint::Result, Answer::status(403));
    let id = push(&orchestrator, "echo", json!({"a": 1}));
    let results = orchestrator.wait_for_requests(Endpoint::Result, 2).await;
    assert_about_five_seconds(clock, &results[0], &results[1]);
    assert_eq!((&results[1].json()["task_id"], &results[1].json()["data"]), (&json!(id), &json!({"a": 1})));
}

#[track_caller]
fn assert_about_five_seconds(clock: &Stopwatch, one: &Recorded, other: &Recorded) {
    let gap = clock.between(one.at, other.at);
    assert!(gap.is_within(Duration::from_secs(5)..Duration::from_millis(6600)), "{gap:?}");
}
