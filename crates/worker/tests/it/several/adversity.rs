//! Orchestrators that fail at an awkward moment.

use std::time::Duration;

use serde_json::json;
use testkit::{Answer, Endpoint, Stopwatch};
use tokio_util::sync::CancellationToken;

use super::{orchestrators, start};
use crate::support::{each, run, until, wait_for_heartbeat, watch_for};

/// Its poll is never answered, its port is shut, and there is one slot: the other is not to wait for the poll's limit.
#[tokio::test]
async fn a_poll_that_nobody_will_answer_keeps_no_slot_from_the_others() {
    each(["FAILOVER", "ROUND_ROBIN", "WATERFALL"], async |mode| {
        let [dead, alive] = orchestrators().await;
        dead.answer_always(Endpoint::Poll, Answer::Hang);
        // It registers later, so that the dead one has the slot first.
        alive.answer_next(Endpoint::Register, Answer::status(500));
        let variables = [("MAX_CONCURRENT_TASKS", "1"), ("TASK_POLL_TIMEOUT", "60")];
        let _worker = start(mode, &[(&dead, json!({})), (&alive, json!({}))], &variables);
        dead.wait_for_requests(Endpoint::Poll, 1).await;
        dead.answer_always(Endpoint::Heartbeat, Answer::Reset);
        dead.refuse().await;
        for step in 0..10 {
            assert_eq!(run(&alive, "echo", json!({"step": step})).await["status"], "success", "{mode}");
        }
    })
    .await;
}

/// As long as there are slots, it is awaited: the port may be shut for a restart that lets open polls end.
#[tokio::test]
async fn an_open_poll_of_one_that_is_down_is_awaited_while_there_are_slots() {
    let [first, second] = orchestrators().await;
    let gate = CancellationToken::new();
    let task = testkit::task("echo", json!({"late": true}));
    first.answer_next(Endpoint::Poll, Answer::ok(task.clone()).once_cancelled(&gate));
    let _worker =
        start("FAILOVER", &[(&first, json!({})), (&second, json!({}))], &[("TASK_POLL_TIMEOUT", "60")]);
    first.wait_for_requests(Endpoint::Poll, 1).await;
    first.answer_next(Endpoint::Heartbeat, Answer::Reset);
    first.refuse().await;
    assert_eq!(run(&second, "echo", json!({})).await["status"], "success");
    watch_for(Duration::from_millis(600)).await;
    gate.cancel();
    first.accept().await;
    let result = first.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    assert_eq!(result["data"], json!({"late": true}));
    assert_eq!(second.count(Endpoint::Result), 1);
}

/// What it says of us after it was left is no reason to make ourselves known to it.
#[tokio::test]
async fn one_that_forgets_us_while_it_is_being_left_is_not_registered_with() {
    let [first, second] = orchestrators().await;
    first.refuse().await;
    let _worker = start("FAILOVER", &[(&first, json!({})), (&second, json!({}))], &[]);
    second.wait_for_open_polls(1).await;
    first.accept().await;
    // Its next heartbeat is under way while the first is probed, ten seconds after it was found to be down: one that
    // begins earlier has reached its own time limit by then.
    let seen = second.wait_for_requests(Endpoint::Heartbeat, 25).await.len();
    let gate = CancellationToken::new();
    second.answer_next(Endpoint::Heartbeat, Answer::status(404).once_cancelled(&gate));
    second.wait_for_requests(Endpoint::Heartbeat, seen + 1).await;
    first.wait_for_requests(Endpoint::Poll, 1).await;
    gate.cancel();
    watch_for(Duration::from_secs(1)).await;
    assert_eq!(second.count(Endpoint::Register), 1);
    assert_eq!(run(&first, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn one_that_is_left_during_a_silence_is_told_all_the_same() {
    let [first, second] = orchestrators().await;
    first.refuse().await;
    let _worker = start("FAILOVER", &[(&first, json!({})), (&second, json!({}))], &[]);
    second.wait_for_open_polls(1).await;
    wait_for_heartbeat(&second, |beat| beat["status"] == "idle").await;
    second.answer_next(Endpoint::Heartbeat, Answer::status(429));
    let seen = second.count(Endpoint::Heartbeat);
    second.wait_for_requests(Endpoint::Heartbeat, seen + 1).await;
    first.accept().await;
    first.wait_for_requests(Endpoint::Poll, 1).await;
    wait_for_heartbeat(&second, |beat| beat["status"] == "busy").await;
}

/// Polls that always fail after a registration that always succeeds, without any delay of their own.
#[tokio::test]
async fn orchestrators_that_register_and_never_serve_make_no_hot_loop() {
    each([Answer::status(500), Answer::Reset, Answer::status(404)], async |answer| {
        let [first, second] = orchestrators().await;
        for orchestrator in [&first, &second] {
            orchestrator.answer_always(Endpoint::Poll, answer.clone());
            orchestrator.answer_always(Endpoint::Heartbeat, answer.clone());
        }
        let variables = [("TASK_POLL_ERROR_DELAY", "0"), ("HEARTBEAT_INTERVAL", "0.5")];
        let _worker = start("FAILOVER", &[(&first, json!({})), (&second, json!({}))], &variables);
        until(|| second.count(Endpoint::Register) + first.count(Endpoint::Register) >= 2).await;
        let watched = watch_for(Duration::from_secs(4)).await;
        for orchestrator in [&first, &second] {
            let counts =
                [Endpoint::Register, Endpoint::Heartbeat, Endpoint::Poll].map(|of| orchestrator.count(of));
            assert!(counts.iter().all(|count| *count < watched.at_most(40)), "{answer:?}: {counts:?}");
        }
    })
    .await;
}

/// The active one is gone, the next hangs where it is registered with, and the last was never spoken to.
#[tokio::test]
async fn the_end_waits_for_none_that_is_down_hangs_or_stands_by() {
    let [down, hanging, standby] = orchestrators().await;
    hanging.answer_always(Endpoint::Register, Answer::Hang);
    let entries = [(&down, json!({})), (&hanging, json!({})), (&standby, json!({}))];
    let worker = start("FAILOVER", &entries, &[("WORKER_SHUTDOWN_POLLS", "await")]);
    down.wait_for_requests(Endpoint::Poll, 1).await;
    down.refuse().await;
    down.drop_connections();
    hanging.wait_for_requests(Endpoint::Register, 1).await;
    let asked = Stopwatch::start();
    let stopped = worker.stop().await;
    assert!(stopped.is_clean(), "{stopped:?}");
    assert!(asked.took().is_below(Duration::from_secs(5)), "{:?}", asked.took());
    assert_eq!(super::heard_of(&standby), 0);
}
