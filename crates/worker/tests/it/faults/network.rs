//! Faults of everything at once, answers that are only odd, and the end of a worker in the middle of a fault.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Answer, Endpoint, Relay, Script, ScriptedOrchestrator, Stopwatch};

use super::table;
use super::{Bench, FAULT, WATCHED, counted};
use crate::support::{Watched, each, push, until, watch_for};

/// Nobody answers at all, in three ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// Connections are refused, as by a machine whose orchestrator is down.
    Refused,
    /// What is written arrives nowhere, and nothing comes back, as behind a firewall that forgot the connection.
    HalfOpen,
    /// Connections are accepted and cut again and again.
    Cut,
}

#[tokio::test]
async fn an_outage_loses_nothing_and_is_knocked_at_within_reason() {
    each([Outage::Refused, Outage::HalfOpen, Outage::Cut], async |outage| {
        let orchestrator = ScriptedOrchestrator::start().await;
        let relay = Relay::start(orchestrator.addr()).await;
        let (worker, runs) = counted(&relay.url(), &[]);
        orchestrator.wait_for_open_polls(1).await;
        let id = push(&orchestrator, "once", json!({"seconds": 0.5}));
        until(|| runs.lock().expect("no panic").contains_key(&id)).await;
        let requests = WATCHED.map(|kind| orchestrator.count(kind));
        let (connections, watched) = suffer(outage, &relay).await;
        let most = watched.at_most(50);
        // Polls and results 6 each, heartbeats 2 each 0.2 s, and as many again where one is repeated at once.
        assert!(connections <= most, "{outage:?}: {connections} connections in {FAULT:?}");
        for (kind, before) in WATCHED.into_iter().zip(requests) {
            let seen = orchestrator.count(kind) - before;
            assert!(seen <= most, "{outage:?}: {seen} requests of {kind:?}");
        }
        let result = orchestrator.wait_for_result(&id).await;
        assert_eq!(result["status"], "success", "{outage:?}");
        let next = push(&orchestrator, "once", json!({"seconds": 0}));
        orchestrator.wait_for_result(&next).await;
        worker.ask_to_stop();
        assert!(worker.stopped().await.is_clean(), "{outage:?}");
        let runs = runs.lock().expect("no panic");
        assert_eq!((runs[&id], runs[&next]), (1, 1), "{outage:?}");
    })
    .await;
}

/// Gives the number of connections that were accepted meanwhile.
async fn suffer(outage: Outage, relay: &Relay) -> (usize, Watched) {
    let mut before = relay.connections_accepted();
    let stopwatch = Stopwatch::start();
    match outage {
        Outage::Refused => {
            relay.refuse().await;
            before = relay.connections_accepted();
            relay.cut();
            watch_for(FAULT).await;
            assert_eq!(relay.connections_accepted(), before);
            relay.accept().await;
        }
        Outage::HalfOpen => {
            relay.stall();
            watch_for(FAULT).await;
            relay.resume();
        }
        Outage::Cut => {
            let began = Instant::now();
            while began.elapsed() < FAULT {
                relay.cut();
                watch_for(Duration::from_millis(20)).await;
            }
        }
    }
    ((relay.connections_accepted() - before) as usize, Watched::new(FAULT, &stopwatch))
}

/// A worker that nobody answers registers ever less often, and works as soon as somebody does.
#[tokio::test]
async fn a_half_open_connection_at_the_start_is_survived() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let relay = Relay::start(orchestrator.addr()).await;
    relay.stall();
    let (worker, _runs) = counted(&relay.url(), &[]);
    watch_for(FAULT).await;
    assert_eq!((relay.connections_accepted(), orchestrator.count(Endpoint::Register)), (1, 0));
    relay.resume();
    let id = push(&orchestrator, "once", json!({"seconds": 0}));
    orchestrator.wait_for_result(&id).await;
    worker.ask_to_stop();
    assert!(worker.stopped().await.is_clean());
}

#[tokio::test]
async fn odd_answers_that_are_whole_are_taken_for_what_they_say() {
    for (endpoint, body) in [
        (Endpoint::Register, r#"{"status":"registered","version":"1.0b17"}"#),
        (Endpoint::Heartbeat, r#"{"status":"ok"}"#),
        (Endpoint::Poll, r#"{"job_id":"j","task_id":"odd","type":"once","params":{"seconds":0}}"#),
        (Endpoint::Result, r#"{"status":"accepted","transition":"success"}"#),
        (Endpoint::Event, r#"{"status":"event_accepted"}"#),
    ] {
        each(table::oddities(body), async |(name, answer)| {
            let orchestrator = ScriptedOrchestrator::start().await;
            orchestrator.answer_next(endpoint, answer.clone());
            // The first heartbeat is the only one, unless something changes.
            let (worker, runs) = counted(&orchestrator.url(), &[("TASK_POLL_ERROR_DELAY", "60")]);
            let id = if endpoint == Endpoint::Poll {
                "odd".to_owned()
            } else {
                push(&orchestrator, "once", json!({"seconds": 0}))
            };
            orchestrator.wait_for_result(&id).await;
            worker.ask_to_stop();
            let stopped = worker.stopped().await;
            assert!(stopped.is_clean(), "{endpoint:?}, {name}: {stopped:?}");
            assert_eq!(runs.lock().expect("no panic")[&id], 1, "{endpoint:?}, {name}");
            // A registration that was answered by the test is one that the orchestrator knows nothing of.
            let registrations = orchestrator.count(Endpoint::Register);
            assert!(
                registrations == 1 || endpoint == Endpoint::Register,
                "{endpoint:?}, {name}: {registrations}"
            );
            let once = [Endpoint::Result, Endpoint::Event];
            assert_eq!(once.map(|kind| orchestrator.count(kind)), [1; 2], "{endpoint:?}, {name}");
        })
        .await;
    }
}

/// The end of a worker while one endpoint fails: how long it may take, the limit of the shutdown aside.
#[tokio::test]
async fn a_fault_does_not_hold_up_the_end_beyond_the_limits() {
    let mut cases = Vec::new();
    for fault in table::of_the_connection().into_iter().chain(table::refusals("http://127.0.0.1:1/")) {
        for endpoint in [Endpoint::Poll, Endpoint::Heartbeat, Endpoint::Result, Endpoint::Event] {
            cases.push((endpoint, fault.clone()));
        }
    }
    each(cases, async |(endpoint, fault)| {
        // Only results that are not taken last until the limit. All else ends long before it.
        let limit = if endpoint == Endpoint::Result { "1" } else { "20" };
        let bench =
            Bench::new(Script::newer(), endpoint, &fault, &[("WORKER_SHUTDOWN_TIMEOUT", limit)]).await;
        bench.orchestrator.wait_for_open_polls(1).await;
        let id = bench.push(0.2);
        bench.until("the task starts", || bench.runs(&id) == 1).await;
        let seen = bench.orchestrator.count(endpoint);
        bench.fail(true);
        if endpoint == Endpoint::Event {
            // Its progress went before: the fault is there, and nothing meets it but what comes at the end.
            bench.until("its result is taken", || bench.tries(&id).1 == 1).await;
        } else {
            bench.until("something meets the fault", || bench.orchestrator.count(endpoint) > seen).await;
        }
        let before = bench.counts();
        let asked = Stopwatch::start();
        bench.worker.ask_to_stop();
        ends(bench, &id, before, asked).await;
    })
    .await;
}

async fn ends(bench: Bench, id: &str, before: [usize; 5], asked: Stopwatch) {
    let Bench { label, orchestrator, worker, endpoint, fault, .. } = bench;
    let stopped = worker.stopped().await;
    let took = asked.took();
    let after = WATCHED.map(|kind| orchestrator.count(kind));
    for ((kind, before), after) in WATCHED.into_iter().zip(before).zip(after) {
        let rate = (after - before) as f64 / took.wall().as_secs_f64().max(1.0);
        assert!(rate <= 30.0, "{label}: {rate:.1} requests of {kind:?} a second while it ends");
    }
    let unacknowledged: Vec<_> =
        stopped.unacknowledged.iter().map(avtomatika_worker::TaskId::as_str).collect();
    let is_answered = !fault.hangs();
    let (longest, left) = match endpoint {
        // What is cancelled and in flight is waited for a little.
        Endpoint::Result => (if is_answered { 1.0 } else { 9.0 }, vec![id]),
        // The goodbye is waited for during 3 s at most.
        Endpoint::Heartbeat if !is_answered => (3.0, vec![]),
        _ => (1.5, vec![]),
    };
    assert!(took.is_below(Duration::from_secs_f64(longest + 3.0)), "{label}: {took:?}");
    assert_eq!(unacknowledged, left, "{label}");
}

/// Registrations and heartbeats that hang are given up after 10 s. Up to three heartbeats may hang at once.
#[tokio::test]
async fn what_is_never_answered_is_given_up_after_its_limit() {
    let clock = &Stopwatch::start();
    each([(Endpoint::Register, 1), (Endpoint::Heartbeat, 3)], async |(endpoint, at_once)| {
        let orchestrator = ScriptedOrchestrator::start().await;
        for _ in 0..at_once {
            orchestrator.answer_next(endpoint, Answer::Hang);
        }
        let (worker, _runs) = counted(&orchestrator.url(), &[]);
        let tries = orchestrator.wait_for_requests(endpoint, at_once + 1).await;
        let took = clock.between(tries[0].at, tries[at_once].at);
        // One second of full jitter may follow a registration, an interval a heartbeat.
        let limits = Duration::from_millis(9900)..Duration::from_secs(13);
        assert!(took.is_within(limits), "{endpoint:?}: {took:?}");
        let id = push(&orchestrator, "once", json!({"seconds": 0}));
        orchestrator.wait_for_result(&id).await;
        worker.ask_to_stop();
        assert!(worker.stopped().await.is_clean(), "{endpoint:?}");
    })
    .await;
}
