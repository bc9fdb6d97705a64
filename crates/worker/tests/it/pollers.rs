//! Pollers: how many there are, and the connections they have.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator, Stopwatch};
use tracing::Level;

use crate::support::{both, push, run, start, until, watch_for};

/// Polls that end together, with a task or with nothing, on as many threads.
#[test]
fn pollers_on_many_threads_are_never_too_many_and_never_none() {
    let logs = Logs::at(Level::ERROR);
    let caught = logs.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(8)
        .enable_all()
        .on_thread_start(move || std::mem::forget(caught.start()))
        .build()
        .expect("a runtime");
    let deadline = Instant::now() + Duration::from_secs(3);
    runtime.block_on(async {
        let script = Script::newer().hold(Duration::from_millis(5));
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let worker = start(&orchestrator, &[("WORKER_MAX_POLLERS", "4"), ("MAX_CONCURRENT_TASKS", "50")]);
        orchestrator.wait_for_open_polls(1).await;
        while Instant::now() < deadline {
            for _ in 0..10 {
                push(&orchestrator, "echo", json!({}));
            }
            let ends = Instant::now() + Duration::from_millis(25);
            while Instant::now() < ends {
                assert!(orchestrator.open_polls() <= 4, "{} polls", orchestrator.open_polls());
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
        assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
        worker.abandon();
    });
    assert_eq!(logs.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn pollers_that_end_leave_one_connection_for_the_next() {
    let (orchestrator, _worker) = both(&[("WORKER_MAX_POLLERS", "8"), ("MAX_CONCURRENT_TASKS", "20")]).await;
    orchestrator.wait_for_open_polls(1).await;
    for _ in 0..12 {
        push(&orchestrator, "sleep", json!({"seconds": 30}));
    }
    orchestrator.wait_for_open_polls(4).await;
    // Heartbeats have one, the poller that stays has one, and one is spare.
    until(|| orchestrator.open_connections() == 3).await;
    let dialled = orchestrator.connections_accepted();
    push(&orchestrator, "sleep", json!({"seconds": 30}));
    orchestrator.wait_for_open_polls(2).await;
    assert_eq!(orchestrator.connections_accepted(), dialled, "the spare one is used");
}

#[tokio::test]
async fn a_poll_on_a_connection_that_was_just_closed_is_repeated_at_once() {
    let clock = Stopwatch::start();
    for answer in [Answer::CloseAfterReading, Answer::Reset] {
        let (orchestrator, worker) = both(&[("TASK_POLL_ERROR_DELAY", "30")]).await;
        orchestrator.wait_for_open_polls(1).await;
        orchestrator.answer_next(Endpoint::Poll, answer.clone());
        let polls = orchestrator.wait_for_requests(Endpoint::Poll, 3).await;
        let gap = clock.between(polls[1].at, polls[2].at);
        assert!(gap.is_below(Duration::from_millis(500)), "{answer:?}: {gap:?}");
        assert_eq!(polls[1].connection, polls[0].connection);
        assert_ne!(polls[2].connection, polls[1].connection);
        worker.abandon();
    }
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_asked_on() {
    let (orchestrator, _worker) = both(&[("TASK_POLL_ERROR_DELAY", "30")]).await;
    orchestrator.wait_for_open_polls(1).await;
    let nothing = Bytes::from_static(b"HTTP/1.1 204 No Content\r\n\r\n");
    orchestrator.answer_always(Endpoint::Poll, Answer::Bytes(nothing));
    let watched = watch_for(Duration::from_millis(1800)).await;
    let polls = orchestrator.count(Endpoint::Poll);
    assert!((watched.at_least(5)..=watched.at_most(14)).contains(&polls), "{polls} in 1.8 s");
}

#[tokio::test]
async fn a_poll_that_is_cut_after_it_was_held_is_an_error() {
    let clock = Stopwatch::start();
    let (orchestrator, _worker) = both(&[("TASK_POLL_ERROR_DELAY", "1")]).await;
    orchestrator.wait_for_open_polls(1).await;
    let cut = Answer::CloseAfterReading.after(Duration::from_millis(1200));
    orchestrator.answer_next(Endpoint::Poll, cut);
    let polls = orchestrator.wait_for_requests(Endpoint::Poll, 3).await;
    let gap = clock.between(polls[1].at, polls[2].at);
    assert!(gap.is_at_least(Duration::from_millis(2200)), "{gap:?}");
}

/// Two polls that are held for longer than both are given up: said once, with what to do about it.
#[tokio::test]
async fn that_an_orchestrator_holds_polls_for_too_long_is_said_once() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().hold(Duration::from_secs(60))).await;
    let _worker = start(&orchestrator, &[("TASK_POLL_TIMEOUT", "0.2")]);
    orchestrator.wait_for_open_polls(1).await;
    push(&orchestrator, "echo", json!({}));
    push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_open_polls(2).await;
    let polls = orchestrator.count(Endpoint::Poll);
    logs.wait_for("the orchestrator seems to hold polls longer").await;
    // Both have ended, and at least one has asked anew.
    orchestrator.wait_for_requests(Endpoint::Poll, polls + 1).await;
    until(|| orchestrator.open_polls() == 1).await;
    assert_eq!(logs.count("raise `TASK_POLL_TIMEOUT`"), 1, "{logs:?}");
}
