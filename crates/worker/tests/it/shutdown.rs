//! How a worker ends that was asked to, in process. Signals and exit codes are in `program`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use avtomatika_worker::StopCause;
use serde_json::{Value, json};
use testkit::{Answer, Endpoint, Relay, Script, ScriptedOrchestrator, Stopwatch};

use crate::support::{
    Running, Watched, both, config, each, push, run, start, tasks, told, until, wait_for_heartbeat, watch_for,
};

async fn holding(hold: Duration, variables: &[(&str, &str)]) -> (ScriptedOrchestrator, Running) {
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().hold(hold)).await;
    let worker = start(&orchestrator, variables);
    orchestrator.wait_for_open_polls(1).await;
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
    (orchestrator, worker)
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_idle_worker_says_busy_and_lets_its_poll_go_a_second_later() {
    let (orchestrator, worker) = holding(LONG, &[("HEARTBEAT_INTERVAL", "60")]).await;
    let asked = Stopwatch::start();
    let stopped = worker.stop().await;
    let took = asked.took();
    assert!(took.is_within(Duration::from_millis(950)..Duration::from_secs(4)), "{took:?}");
    assert!(stopped.is_clean() && stopped.cause == StopCause::Asked, "{stopped:?}");
    let last = told(&orchestrator).pop().expect("a goodbye").json();
    assert_eq!(
        (&last["status"], &last["supported_tasks"], &last["available_skills"]),
        (&json!("busy"), &json!([]), &json!([]))
    );
    let polls = orchestrator.count(Endpoint::Poll);
    watch_for(Duration::from_millis(300)).await;
    assert_eq!((polls, orchestrator.count(Endpoint::Poll)), (1, 1));
}

#[tokio::test]
async fn running_tasks_finish_and_heartbeats_go_on_until_the_last_result_is_acknowledged() {
    let (orchestrator, worker) = holding(LONG, &[]).await;
    let id = push(&orchestrator, "sleep", json!({"seconds": 0.5}));
    let blocked = push(&orchestrator, "block", json!({"seconds": 0.7}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 2.0).await;
    orchestrator.answer_next(Endpoint::Result, Answer::Normally.after(Duration::from_secs(2)));
    let (asked, stopwatch) = (Instant::now(), Stopwatch::start());
    let stopped = worker.stop().await;
    let watched = Watched::new(Duration::from_secs(2), &stopwatch);
    assert!(stopped.is_clean(), "{stopped:?}");
    for id in [id, blocked] {
        assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    }
    let after: Vec<_> = told(&orchestrator).into_iter().filter(|beat| beat.at > asked).collect();
    // One may have been on its way when the worker was asked to stop.
    let on_its_way = after.iter().take_while(|beat| beat.json()["status"] != "busy").count();
    assert!(on_its_way <= 1 && after[on_its_way..].iter().all(|beat| beat.json()["status"] == "busy"));
    let last = stopwatch.between(asked, after.last().expect("some").at);
    assert!(
        after.len() >= watched.at_least(8) && last.is_at_least(Duration::from_secs(2)),
        "{} heartbeats, the last after {last:?}",
        after.len()
    );
}

#[tokio::test]
async fn a_task_that_still_arrives_is_run() {
    let (orchestrator, worker) = holding(LONG, &[("WORKER_SHUTDOWN_POLLS", "await")]).await;
    worker.ask_to_stop();
    wait_for_heartbeat(&orchestrator, |body| body["status"] == "busy").await;
    watch_for(Duration::from_millis(1300)).await;
    assert_eq!(orchestrator.open_polls(), 1, "awaited, not let go");
    let id = push(&orchestrator, "sleep", json!({"seconds": 0.2}));
    let stopped = worker.stopped().await;
    assert!(stopped.is_clean(), "{stopped:?}");
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    assert_eq!(orchestrator.count(Endpoint::Poll), 1);
}

#[tokio::test]
async fn a_poll_that_is_awaited_is_let_go_at_the_limit_and_that_is_clean() {
    let variables = [("WORKER_SHUTDOWN_POLLS", "await"), ("WORKER_SHUTDOWN_TIMEOUT", "1.5")];
    let (_orchestrator, worker) = holding(LONG, &variables).await;
    let asked = Stopwatch::start();
    assert!(worker.stop().await.is_clean());
    assert!(
        asked.took().is_within(Duration::from_millis(1450)..Duration::from_secs(4)),
        "{:?}",
        asked.took()
    );
}

#[tokio::test]
async fn the_goodbye_ignores_a_silence_and_is_not_preceded_by_a_question() {
    each([1, 2], async |count| {
        let (orchestrator, worker) = holding(LONG, &[("HEARTBEAT_INTERVAL", "0.1")]).await;
        orchestrator.wait_for_requests(Endpoint::Heartbeat, count).await;
        orchestrator.answer_next(Endpoint::Heartbeat, Answer::status(429));
        let seen = orchestrator.count(Endpoint::Heartbeat);
        orchestrator.wait_for_requests(Endpoint::Heartbeat, seen + 1).await;
        let (asked, stopwatch) = (Instant::now(), Stopwatch::start());
        assert!(worker.stop().await.is_clean());
        let took = stopwatch.took();
        let goodbye: Vec<_> =
            orchestrator.requests(Endpoint::Heartbeat).into_iter().filter(|beat| beat.at > asked).collect();
        assert_eq!(goodbye.first().map(|beat| beat.json()["status"].clone()), Some(json!("busy")));
        assert!(took.is_below(Duration::from_secs(4)), "{took:?}");
    })
    .await;
}

#[tokio::test]
async fn where_the_goodbye_is_refused_polls_are_awaited_within_the_limit() {
    let (orchestrator, worker) = holding(Duration::from_secs(3), &[]).await;
    orchestrator.answer_always(Endpoint::Heartbeat, Answer::status(500));
    worker.ask_to_stop();
    watch_for(Duration::from_millis(1600)).await;
    assert_eq!(orchestrator.open_polls(), 1);
    let id = push(&orchestrator, "echo", json!({}));
    assert!(worker.stopped().await.is_clean());
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
}

#[tokio::test]
async fn an_orchestrator_that_cannot_be_reached_holds_nothing_up() {
    let (orchestrator, worker) = both(&[]).await;
    orchestrator.wait_for_open_polls(1).await;
    orchestrator.refuse().await;
    orchestrator.drop_connections();
    watch_for(Duration::from_millis(300)).await;
    let asked = Stopwatch::start();
    assert!(worker.stop().await.is_clean());
    assert!(asked.took().is_below(Duration::from_secs(2)), "{:?}", asked.took());
    let never = start(&orchestrator, &[]);
    watch_for(Duration::from_millis(200)).await;
    let asked = Stopwatch::start();
    assert!(never.stop().await.is_clean());
    assert!(asked.took().is_below(Duration::from_secs(2)), "never registered: {:?}", asked.took());
}

#[tokio::test]
async fn a_registration_that_hangs_holds_nothing_up() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_always(Endpoint::Register, Answer::Hang);
    let worker = start(&orchestrator, &[]);
    orchestrator.wait_for_requests(Endpoint::Register, 1).await;
    let asked = Stopwatch::start();
    assert!(worker.stop().await.is_clean());
    assert!(asked.took().is_below(Duration::from_secs(2)), "{:?}", asked.took());
}

#[tokio::test]
async fn a_heartbeat_that_hangs_does_not_delay_the_goodbye() {
    let (orchestrator, worker) = holding(LONG, &[]).await;
    orchestrator.answer_next(Endpoint::Heartbeat, Answer::Hang);
    let seen = orchestrator.count(Endpoint::Heartbeat);
    orchestrator.wait_for_requests(Endpoint::Heartbeat, seen + 1).await;
    let asked = Stopwatch::start();
    assert!(worker.stop().await.is_clean());
    assert!(asked.took().is_below(Duration::from_secs(4)), "{:?}", asked.took());
}

#[tokio::test]
async fn past_the_limit_what_runs_is_cancelled_and_reported() {
    let (orchestrator, worker) = holding(LONG, &[("WORKER_SHUTDOWN_TIMEOUT", "0.5")]).await;
    let ids = ["sleep", "block"].map(|name| push(&orchestrator, name, json!({"seconds": 20})));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 2.0).await;
    let asked = Stopwatch::start();
    let stopped = worker.stop().await;
    assert!(asked.took().is_within(Duration::from_millis(450)..Duration::from_secs(4)), "{:?}", asked.took());
    assert!(
        !stopped.is_clean() && stopped.cancelled.len() == 2 && stopped.unacknowledged.is_empty(),
        "{stopped:?}"
    );
    for id in ids {
        let result = orchestrator.wait_for_result(&id).await;
        assert_eq!(result["error"]["code"], "TRANSIENT_ERROR");
        assert_eq!(result["error"]["message"], "worker shut down");
    }
}

#[tokio::test]
async fn results_that_nobody_takes_are_listed_and_not_waited_for_beyond_the_limit() {
    each([Answer::status(500), Answer::status(429), Answer::status(401), Answer::Reset], async |answer| {
        let (orchestrator, worker) = holding(LONG, &[("WORKER_SHUTDOWN_TIMEOUT", "1")]).await;
        orchestrator.answer_always(Endpoint::Result, answer.clone());
        let id = push(&orchestrator, "echo", json!({}));
        orchestrator.wait_for_requests(Endpoint::Result, 1).await;
        let asked = Stopwatch::start();
        let stopped = worker.stop().await;
        let took = asked.took();
        assert!(took.is_within(Duration::from_millis(950)..Duration::from_secs(4)), "{answer:?}: {took:?}");
        let unacknowledged: Vec<_> = stopped.unacknowledged.iter().map(|id| id.as_str().to_owned()).collect();
        assert_eq!(unacknowledged, [id], "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn a_result_waits_for_its_orchestrator_as_long_as_the_limit_allows() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().hold(LONG)).await;
    let relay = Relay::start(orchestrator.addr()).await;
    let worker = tasks().config(config(&relay.url(), &[])).build().expect("a worker");
    let worker = Running::start(worker);
    let id = push(&orchestrator, "sleep", json!({"seconds": 0.3}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    relay.refuse().await;
    relay.cut();
    worker.ask_to_stop();
    watch_for(Duration::from_millis(800)).await;
    relay.accept().await;
    assert!(worker.stopped().await.is_clean());
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
}

#[tokio::test]
async fn being_forgotten_is_ignored_while_it_ends() {
    let (orchestrator, worker) = holding(LONG, &[]).await;
    push(&orchestrator, "sleep", json!({"seconds": 1.2}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    worker.ask_to_stop();
    wait_for_heartbeat(&orchestrator, |body| body["status"] == "busy").await;
    orchestrator.forget_workers();
    assert!(worker.stopped().await.is_clean());
    assert_eq!(orchestrator.count(Endpoint::Register), 1);
}

#[tokio::test]
async fn a_worker_that_is_dropped_does_nothing_any_more() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let steps = Arc::new(AtomicUsize::new(0));
    let counted = steps.clone();
    let forever = async move || {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let builder = tasks().task("forever", async move || -> () { forever().await });
    let worker = Running::start(builder.config(config(&orchestrator.url(), &[])).build().expect("a worker"));
    push(&orchestrator, "forever", json!({}));
    push(&orchestrator, "block", json!({"seconds": 30}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 2.0).await;
    worker.abandon();
    watch_for(Duration::from_millis(500)).await;
    let all = || Endpoint::ALL.map(|endpoint| orchestrator.count(endpoint));
    let (before, counted) = (all(), steps.load(Ordering::Relaxed));
    watch_for(Duration::from_millis(700)).await;
    assert_eq!((all(), steps.load(Ordering::Relaxed)), (before, counted));
    assert_eq!((orchestrator.open_connections(), orchestrator.count(Endpoint::Result)), (0, 0));
}

#[tokio::test]
async fn one_after_another_and_two_at_once_in_one_process() {
    let (one, two) = (ScriptedOrchestrator::start().await, ScriptedOrchestrator::start().await);
    for _ in 0..2 {
        let (first, second) = (start(&one, &[("WORKER_ID", "a")]), start(&two, &[("WORKER_ID", "b")]));
        let params = json!({"a": 1});
        let (left, right): (Value, Value) =
            tokio::join!(run(&one, "echo", params.clone()), run(&two, "echo", params));
        assert_eq!((&left["worker_id"], &right["worker_id"]), (&json!("a"), &json!("b")));
        first.stop().await;
        assert_eq!(run(&two, "echo", json!({})).await["status"], "success", "the other goes on");
        second.stop().await;
        until(|| one.open_connections() + two.open_connections() == 0).await;
    }
}
