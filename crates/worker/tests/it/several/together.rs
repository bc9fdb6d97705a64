//! `ROUND_ROBIN` and `WATERFALL`: all at once.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use testkit::{Answer, Endpoint, Recorded, Script, ScriptedOrchestrator, Stopwatch};

use super::{orchestrators, start};
use crate::support::{push, run, told, until, wait_for_heartbeat, watch_for};

/// The first so many polls of all, in the order they came in.
async fn first_polls(all: &[&ScriptedOrchestrator], count: usize) -> Vec<usize> {
    let total = || all.iter().map(|orchestrator| orchestrator.count(Endpoint::Poll)).sum::<usize>();
    until(|| total() >= count).await;
    let mut polls: Vec<(Instant, usize)> = all
        .iter()
        .enumerate()
        .flat_map(|(who, orchestrator)| {
            orchestrator.requests(Endpoint::Poll).into_iter().map(move |poll: Recorded| (poll.at, who))
        })
        .collect();
    polls.sort_unstable();
    polls.truncate(count);
    polls.into_iter().map(|(_, who)| who).collect()
}

fn counts<const N: usize>(polls: &[usize]) -> [usize; N] {
    std::array::from_fn(|who| polls.iter().filter(|poll| **poll == who).count())
}

fn weights(entries: [(&ScriptedOrchestrator, u32); 3]) -> [(&ScriptedOrchestrator, Value); 3] {
    entries.map(|(orchestrator, weight)| (orchestrator, json!({"weight": weight})))
}

/// Makes an orchestrator have a task for every poll.
fn never_empty(orchestrator: &ScriptedOrchestrator, name: &'static str, params: Value) {
    orchestrator.make_tasks(move || Some(Bytes::from(testkit::task(name, params.clone()).to_string())));
}

#[tokio::test]
async fn where_all_have_nothing_at_once_polls_follow_the_weights() {
    let [heavy, middle, light] = orchestrators().await;
    for orchestrator in [&heavy, &middle, &light] {
        orchestrator.answer_always(Endpoint::Poll, Answer::status(204));
    }
    // Longest pauses of 0.25 s would make it a long test: the whole has to take less than ten of them.
    let _worker = start("ROUND_ROBIN", &weights([(&heavy, 100), (&middle, 50), (&light, 10)]), &[]);
    let polls = first_polls(&[&heavy, &middle, &light], 32).await;
    let [heavy, middle, light] = counts(&polls);
    assert!(heavy.abs_diff(20) <= 2 && middle.abs_diff(10) <= 2 && light.abs_diff(2) <= 1, "{polls:?}");
}

/// However few slots, and whether tasks are short or long.
#[tokio::test]
async fn where_all_have_tasks_polls_follow_the_weights() {
    for (slots, seconds) in [("1", 0.0), ("3", 0.0), ("10", 0.0), ("4", 0.02)] {
        let [heavy, middle, light] = orchestrators().await;
        for orchestrator in [&heavy, &middle, &light] {
            never_empty(orchestrator, "sleep", json!({"seconds": seconds}));
        }
        let entries = weights([(&heavy, 100), (&middle, 50), (&light, 10)]);
        let worker = start("ROUND_ROBIN", &entries, &[("MAX_CONCURRENT_TASKS", slots)]);
        // Registrations come in some order: the first polls are not compared.
        let all = first_polls(&[&heavy, &middle, &light], 400).await;
        worker.abandon();
        let [heavy, middle, light] = counts(&all[80..]);
        let fair = |got: usize, wanted: usize, pollers: usize| got.abs_diff(wanted) <= pollers + 1;
        assert!(
            fair(heavy, 200, 8) && fair(middle, 100, 4) && fair(light, 20, 2),
            "{slots} slots, {seconds} s: {heavy} {middle} {light}"
        );
    }
}

#[tokio::test]
async fn idle_orchestrators_that_hold_polls_have_one_each() {
    let hold = Duration::from_secs(5);
    let one = ScriptedOrchestrator::start_with(Script::newer().hold(hold)).await;
    let other = ScriptedOrchestrator::start_with(Script::older().hold(hold)).await;
    for mode in ["ROUND_ROBIN", "WATERFALL"] {
        let worker = start(mode, &[(&one, json!({"weight": 10})), (&other, json!({"priority": 20}))], &[]);
        one.wait_for_open_polls(1).await;
        other.wait_for_open_polls(1).await;
        watch_for(Duration::from_millis(300)).await;
        assert_eq!((one.open_polls(), other.open_polls()), (1, 1), "{mode}");
        // A task released into a held poll arrives at once, whatever the other does.
        assert_eq!(run(&other, "echo", json!({"a": 1})).await["data"], json!({"a": 1}));
        worker.abandon();
        one.wait_for_no_open_poll().await;
        other.wait_for_no_open_poll().await;
    }
}

#[tokio::test]
async fn with_few_slots_a_waterfall_polls_by_priority() {
    let [first, second] = orchestrators().await;
    for _ in 0..10 {
        push(&first, "sleep", json!({"seconds": 0.01}));
    }
    let ids: Vec<_> = (0..3).map(|_| push(&second, "echo", json!({}))).collect();
    // The second registers later: only then do both compete.
    second.answer_next(Endpoint::Register, Answer::status(500));
    let _worker = start(
        "WATERFALL",
        &[(&second, json!({"priority": 2})), (&first, json!({"priority": 1}))],
        &[("MAX_CONCURRENT_TASKS", "1")],
    );
    for id in &ids {
        second.wait_for_result(id).await;
    }
    let last_of_first = first.requests(Endpoint::Result).last().expect("results").at;
    let first_of_second = second.requests(Endpoint::Result)[0].at;
    assert_eq!(first.count(Endpoint::Result), 10);
    assert!(last_of_first <= first_of_second);
}

/// Refused, hanging, or answering nonsense: the other's tasks run as if it were alone.
#[tokio::test]
async fn one_that_is_broken_delays_neither_the_others_tasks_nor_heartbeats_nor_the_end() {
    let broken: [fn(&ScriptedOrchestrator); 5] = [
        |orchestrator| orchestrator.answer_always(Endpoint::Register, Answer::Hang),
        |orchestrator| orchestrator.answer_always(Endpoint::Register, Answer::Reset),
        |orchestrator| {
            orchestrator.answer_always(Endpoint::Heartbeat, Answer::Hang);
            orchestrator.answer_always(Endpoint::Poll, Answer::Hang);
        },
        |orchestrator| orchestrator.answer_always(Endpoint::Poll, Answer::body("<html>hello</html>")),
        |orchestrator| {
            orchestrator.answer_always(Endpoint::Poll, Answer::status(503));
            orchestrator.answer_always(Endpoint::Heartbeat, Answer::status(503));
        },
    ];
    crate::support::each(broken.iter().enumerate(), async |(case, break_it)| {
        for mode in ["ROUND_ROBIN", "WATERFALL"] {
            let [bad, good] = orchestrators().await;
            break_it(&bad);
            let entries = [(&bad, json!({"priority": 1, "weight": 100})), (&good, json!({"priority": 2}))];
            let worker = start(mode, &entries, &[("MAX_CONCURRENT_TASKS", "2")]);
            let began = Stopwatch::start();
            for step in 0..20 {
                assert_eq!(run(&good, "echo", json!({"step": step})).await["status"], "success");
            }
            good.wait_for_requests(Endpoint::Heartbeat, 5).await;
            assert!(began.took().is_below(Duration::from_secs(8)), "{mode}, case {case}: {:?}", began.took());
            let ending = Stopwatch::start();
            let stopped = worker.stop().await;
            assert!(stopped.is_clean(), "{mode}, case {case}: {stopped:?}");
            assert!(
                ending.took().is_below(Duration::from_secs(8)),
                "{mode}, case {case}: {:?}",
                ending.took()
            );
        }
    })
    .await;
}

#[tokio::test]
async fn one_that_is_down_leaves_the_last_slot_to_the_other_and_its_share_when_it_is_back() {
    let [bad, good] = orchestrators().await;
    let entries = [(&bad, json!({"weight": 100})), (&good, json!({"weight": 1}))];
    let variables = [("MAX_CONCURRENT_TASKS", "1"), ("HEARTBEAT_INTERVAL", "0.1")];
    let _worker = start("ROUND_ROBIN", &entries, &variables);
    run(&bad, "echo", json!({})).await;
    run(&good, "echo", json!({})).await;
    bad.refuse().await;
    bad.drop_connections();
    for step in 0..20 {
        assert_eq!(run(&good, "echo", json!({"step": step})).await["status"], "success");
    }
    bad.accept().await;
    assert_eq!(run(&bad, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn tasks_belong_to_the_orchestrator_they_came_from() {
    let [one, other] = orchestrators().await;
    let _worker = start("ROUND_ROBIN", &[(&one, json!({})), (&other, json!({}))], &[]);
    // Ids are an orchestrator's own: the same one is another task elsewhere.
    let mut task = testkit::task("sleep", json!({"seconds": 0.8}));
    task["task_id"] = json!("same");
    one.push_task(&task);
    other.push_task(&task);
    let own = push(&one, "sleep", json!({"seconds": 0.8}));
    let beat = wait_for_heartbeat(&one, |beat| beat["load"] == json!(3.0)).await;
    let current = beat["current_tasks"].to_string();
    assert!(current.contains("same") && current.contains(&own), "{current}");
    let beat = wait_for_heartbeat(&other, |beat| beat["load"] == json!(3.0)).await;
    assert!(!beat.to_string().contains(&own), "{beat}");
    // Nor can one cancel what another gave.
    other.answer_next(Endpoint::Heartbeat, Answer::ok(json!({"status": "ok", "cancel_task_ids": [own]})));
    let (first, second) = (one.wait_for_result("same").await, other.wait_for_result("same").await);
    assert_eq!((&first["status"], &second["status"]), (&json!("success"), &json!("success")));
    assert_eq!(one.wait_for_result(&own).await["status"], "success");
    assert_eq!((one.count(Endpoint::Result), other.count(Endpoint::Result)), (2, 1));
}

#[tokio::test]
async fn each_is_told_of_changes_and_of_the_end() {
    let [one, other] = orchestrators().await;
    let entries = [(&one, json!({})), (&other, json!({}))];
    let worker =
        start("ROUND_ROBIN", &entries, &[("HEARTBEAT_INTERVAL", "60"), ("MAX_CONCURRENT_TASKS", "1")]);
    for orchestrator in [&one, &other] {
        wait_for_heartbeat(orchestrator, |beat| beat["status"] == "idle").await;
    }
    let id = push(&one, "sleep", json!({"seconds": 1.0}));
    for orchestrator in [&one, &other] {
        wait_for_heartbeat(orchestrator, |beat| beat["status"] == "busy").await;
    }
    one.wait_for_result(&id).await;
    worker.stop().await;
    for orchestrator in [&one, &other] {
        let last = told(orchestrator).pop().expect("heartbeats").json();
        assert_eq!((&last["status"], &last["supported_tasks"]), (&json!("busy"), &json!([])));
    }
}

#[tokio::test]
async fn a_silence_after_429_is_one_orchestrators_own() {
    let [one, other] = orchestrators().await;
    let _worker = start("ROUND_ROBIN", &[(&one, json!({})), (&other, json!({}))], &[]);
    one.wait_for_open_polls(1).await;
    for endpoint in [Endpoint::Poll, Endpoint::Heartbeat, Endpoint::Result] {
        one.answer_always(endpoint, Answer::status(429));
    }
    push(&one, "echo", json!({}));
    for step in 0..10 {
        assert_eq!(run(&other, "echo", json!({"step": step})).await["status"], "success");
    }
}
