//! `FAILOVER`: one is active, the others stand by.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator, Stopwatch};

use super::{falls_silent, heard_of, orchestrators, start};
use crate::support::{Running, each, push, run, told, until, wait_for_heartbeat};

/// Starts a worker for two, of which the first is preferred though it is listed last.
fn start_both(
    first: &ScriptedOrchestrator,
    second: &ScriptedOrchestrator,
    variables: &[(&str, &str)],
) -> Running {
    start("FAILOVER", &[(second, json!({"priority": 20})), (first, json!({"priority": 10}))], variables)
}

#[tokio::test]
async fn a_standby_hears_nothing_while_the_active_one_is_up() {
    let [first, second] = orchestrators().await;
    let worker = start_both(&first, &second, &[]);
    for _ in 0..5 {
        run(&first, "echo", json!({})).await;
    }
    first.wait_for_requests(Endpoint::Heartbeat, 5).await;
    worker.stop().await;
    assert_eq!(heard_of(&second), 0, "one that knew us would give us tasks that nobody polls");
}

#[tokio::test]
async fn of_equal_priority_the_first_in_the_list_is_preferred() {
    let [first, second] = orchestrators().await;
    let _worker = start("FAILOVER", &[(&first, json!({})), (&second, json!({}))], &[]);
    run(&first, "echo", json!({})).await;
    assert_eq!(heard_of(&second), 0);
}

/// The whole story: down, stood in for, back again, left. Ten seconds are the protocol's.
#[tokio::test]
async fn the_next_takes_over_within_a_second_and_the_first_comes_back() {
    let [first, second] = orchestrators().await;
    let _worker = start_both(&first, &second, &[("RESULT_MAX_RETRIES", "1"), ("WORKER_MAX_POLLERS", "1")]);
    let kept = push(&first, "sleep", json!({"seconds": 0.5}));
    wait_for_heartbeat(&first, |beat| beat["load"] == json!(1.0)).await;
    first.refuse().await;
    first.drop_connections();
    let dropped = Stopwatch::start();
    let registered = second.wait_for_requests(Endpoint::Register, 1).await.remove(0).at;
    let took = dropped.until(registered);
    assert!(took.is_below(Duration::from_secs(1)), "{took:?}");
    assert_eq!(run(&second, "echo", json!({})).await["status"], "success");
    let beat = wait_for_heartbeat(&second, |beat| beat["load"] == json!(0.0)).await;
    assert_eq!(beat["current_tasks"], json!([]), "what runs there came from another");

    first.accept().await;
    let long = push(&second, "sleep", json!({"seconds": 11.0}));
    let probes = first.wait_for_requests(Endpoint::Register, 2).await;
    let probed_after = dropped.until(probes[1].at);
    assert!(probed_after.is_within(Duration::from_secs(9)..Duration::from_secs(14)), "{probed_after:?}");
    // What was kept for it is offered at once, not after its 30 s.
    let result = first.wait_for_result(&kept).await;
    assert_eq!(result["status"], "success");
    assert_eq!(run(&first, "echo", json!({})).await["status"], "success");

    // The second is told that nothing is accepted, and gets heartbeats until its last result.
    let left = wait_for_heartbeat(&second, |beat| beat["status"] == "busy").await;
    assert_eq!(left["supported_tasks"], json!([]));
    assert!(left["current_tasks"].to_string().contains(&long), "{left}");
    let seen = told(&second).len();
    until(|| told(&second).len() >= seen + 2).await;
    assert_eq!(second.wait_for_result(&long).await["status"], "success");
    second.wait_for_no_open_poll().await;
    falls_silent(&second).await;
    assert_eq!(second.count(Endpoint::Register), 1);
}

#[tokio::test]
async fn a_poll_that_is_open_when_its_orchestrator_is_left_is_awaited() {
    let [first] = orchestrators().await;
    let second = ScriptedOrchestrator::start_with(Script::newer().hold(Duration::from_secs(60))).await;
    first.answer_always(Endpoint::Register, Answer::status(503));
    let _worker = start_both(&first, &second, &[("TASK_POLL_TIMEOUT", "60")]);
    second.wait_for_open_polls(1).await;
    first.answer_normally(Endpoint::Register);
    first.wait_for_open_polls(1).await;
    wait_for_heartbeat(&second, |beat| beat["status"] == "busy").await;
    // What was dispatched just before it heard is run like any other.
    assert_eq!(second.open_polls(), 1);
    assert_eq!(run(&second, "echo", json!({"late": true})).await["data"], json!({"late": true}));
    second.wait_for_no_open_poll().await;
    assert_eq!(second.count(Endpoint::Poll), 1);
}

/// What counts as a failure of the active one, three in a row, and what does not. Heartbeats would end the row.
#[tokio::test]
async fn three_failures_in_a_row_are_down_and_some_answers_are_none() {
    let variables =
        [("HEARTBEAT_INTERVAL", "60"), ("TASK_POLL_ERROR_DELAY", "0.02"), ("WORKER_MAX_POLLERS", "1")];
    let fail: [(&str, Answer); 4] = [
        ("500", Answer::status(500)),
        ("HTML", Answer::body("<html>hello</html>")),
        ("empty 200", Answer::body("")),
        ("reset", Answer::Reset),
    ];
    let do_not: [(&str, Answer); 4] = [
        ("429", Answer::status(429).header("retry-after", "1")),
        ("401", Answer::status(401)),
        ("403", Answer::status(403)),
        ("malformed", Answer::ok(json!({"job_id": 1}))),
    ];
    let all = fail.map(|(name, answer)| (name, answer, true)).into_iter();
    let all: Vec<_> = all.chain(do_not.map(|(name, answer)| (name, answer, false))).collect();
    each(all, async |(name, answer, fails)| {
        let [first, second] = orchestrators().await;
        let _worker = start_both(&first, &second, &variables);
        first.wait_for_open_polls(1).await;
        let before = first.count(Endpoint::Poll);
        first.answer_always(Endpoint::Poll, answer);
        if fails {
            second.wait_for_requests(Endpoint::Register, 1).await;
            let failed = first.count(Endpoint::Poll) - before;
            assert!(failed >= 3, "{name}: {failed} failures");
        } else {
            first.wait_for_requests(Endpoint::Poll, before + 3).await;
            first.answer_normally(Endpoint::Poll);
            assert_eq!(run(&first, "echo", json!({})).await["status"], "success", "{name}");
            assert_eq!(heard_of(&second), 0, "{name}");
        }
    })
    .await;
}

/// Polls that were under way together when a proxy was reloaded.
#[tokio::test]
async fn failures_of_parallel_polls_are_one() {
    let [first, second] = orchestrators().await;
    let variables =
        [("HEARTBEAT_INTERVAL", "60"), ("MAX_CONCURRENT_TASKS", "40"), ("TASK_POLL_ERROR_DELAY", "0.3")];
    let _worker = start_both(&first, &second, &variables);
    for _ in 0..30 {
        push(&first, "sleep", json!({"seconds": 3.0}));
    }
    first.wait_for_open_polls(5).await;
    first.drop_connections();
    let seen = first.count(Endpoint::Poll);
    first.answer_always(Endpoint::Poll, Answer::status(503));
    first.wait_for_requests(Endpoint::Poll, seen + 3).await;
    first.answer_normally(Endpoint::Poll);
    assert_eq!(run(&first, "echo", json!({})).await["status"], "success");
    assert_eq!(heard_of(&second), 0);
}

#[tokio::test]
async fn one_that_forgot_us_is_registered_with_again_and_not_left() {
    let [first, second] = orchestrators().await;
    let variables = [("HEARTBEAT_INTERVAL", "60"), ("TASK_POLL_ERROR_DELAY", "0.02")];
    let _worker = start_both(&first, &second, &variables);
    first.wait_for_open_polls(1).await;
    first.answer_always(Endpoint::Poll, Answer::status(404));
    first.wait_for_requests(Endpoint::Register, 4).await;
    first.answer_normally(Endpoint::Poll);
    assert_eq!(run(&first, "echo", json!({})).await["status"], "success");
    assert_eq!(heard_of(&second), 0);
}

#[tokio::test]
async fn when_all_are_down_the_first_that_is_back_serves() {
    let logs = Logs::new();
    let _guard = logs.start();
    let [first, second, third] = orchestrators().await;
    for orchestrator in [&first, &second, &third] {
        orchestrator.refuse().await;
    }
    let entries = [(&first, json!({})), (&second, json!({})), (&third, json!({}))];
    let _worker = start("FAILOVER", &entries, &[]);
    until(|| logs.count("the orchestrator is down") == 3).await;
    second.accept().await;
    assert_eq!(run(&second, "echo", json!({})).await["status"], "success");
    assert_eq!(heard_of(&third), 0);
}

/// 10 s are the time limit of a registration and of a heartbeat.
#[tokio::test]
async fn one_that_hangs_is_given_up_after_its_time_limit() {
    let clock = &Stopwatch::start();
    each([Endpoint::Register, Endpoint::Heartbeat], async |endpoint| {
        let [first, second] = orchestrators().await;
        first.answer_always(endpoint, Answer::Hang);
        let _worker = start_both(&first, &second, &[]);
        let hung = first.wait_for_requests(endpoint, 1).await.remove(0).at;
        let registered = second.wait_for_requests(Endpoint::Register, 1).await.remove(0).at;
        let after = clock.between(hung, registered);
        assert!(after.is_within(Duration::from_secs(9)..Duration::from_millis(11_500)), "{after:?}");
        assert_eq!(run(&second, "echo", json!({})).await["status"], "success");
    })
    .await;
}

#[tokio::test]
async fn the_end_tells_the_active_one_and_the_one_that_was_left() {
    let [first, second] = orchestrators().await;
    first.answer_always(Endpoint::Register, Answer::status(503));
    let worker = start_both(&first, &second, &[]);
    let long = push(&second, "sleep", json!({"seconds": 13.0}));
    wait_for_heartbeat(&second, |beat| beat["load"] == json!(1.0)).await;
    first.answer_normally(Endpoint::Register);
    // The probe comes within ten seconds.
    first.wait_for_open_polls(1).await;
    let running = push(&first, "sleep", json!({"seconds": 0.5}));
    wait_for_heartbeat(&first, |beat| beat["load"] == json!(2.0)).await;
    let stopped = worker.stop().await;
    assert!(stopped.is_clean(), "{stopped:?}");
    for (orchestrator, id) in [(&first, &running), (&second, &long)] {
        let result = orchestrator.wait_for_result(id).await;
        assert_eq!(result["status"], "success");
        let last: Value = told(orchestrator).pop().expect("heartbeats").json();
        assert_eq!(last["status"], "busy");
    }
}

/// The polls of the one that is left stay open until it answers them: its successor has a slot all the same, even while
/// tasks run.
#[tokio::test]
async fn after_a_burst_one_slot_is_left_for_the_next_active_one() {
    each([0, 1], async |long_tasks| {
        let first = ScriptedOrchestrator::start_with(Script::newer().hold(Duration::from_secs(60))).await;
        let [second] = orchestrators().await;
        let variables =
            [("MAX_CONCURRENT_TASKS", "4"), ("TASK_POLL_TIMEOUT", "60"), ("HEARTBEAT_INTERVAL", "0.2")];
        let _worker = start_both(&first, &second, &variables);
        for _ in 0..long_tasks {
            push(&first, "sleep", json!({"seconds": 300.0}));
        }
        for _ in 0..40 {
            push(&first, "echo", json!({}));
        }
        until(|| first.count(Endpoint::Result) >= 40).await;
        first.wait_for_open_polls(1).await;
        let most = 3 - long_tasks;
        assert!(first.open_polls() <= most, "{} while {long_tasks} tasks run", first.open_polls());
        first.answer_always(Endpoint::Heartbeat, Answer::status(500));
        assert_eq!(run(&second, "echo", json!({})).await["status"], "success");
        assert!(first.open_polls() > 0, "they are still held");
    })
    .await;
}
