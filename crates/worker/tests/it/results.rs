//! Results: delivered once, whatever comes in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use avtomatika_worker::IgnoredResult;
use rxon::signing::Signer;
use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Recorded, Relay, Script, ScriptedOrchestrator, Stopwatch};
use tokio::sync::Notify;

use crate::support::{Running, TOKEN, both, config, each, push, run, start, tasks, until, watch_for};

/// The tries of a task's result.
pub(crate) fn of(orchestrator: &ScriptedOrchestrator, id: &str) -> Vec<Recorded> {
    let mut results = orchestrator.requests(Endpoint::Result);
    results.retain(|result| {
        serde_json::from_slice::<Value>(&result.body).is_ok_and(|body| body["task_id"] == id)
    });
    results
}

#[tokio::test]
async fn every_attempt_is_sealed_anew_and_they_come_ever_less_often() {
    let clock = Stopwatch::start();
    let (orchestrator, _worker) = both(&[("RESULT_RETRY_INITIAL_DELAY", "0.2")]).await;
    for status in [500, 503, 408, 502] {
        orchestrator.answer_next(Endpoint::Result, Answer::status(status));
    }
    let id = push(&orchestrator, "echo", json!({"a": 0.1, "b": "é"}));
    orchestrator.wait_for_requests(Endpoint::Result, 5).await;
    let attempts = of(&orchestrator, &id);
    let (mut nonces, mut signatures) = (BTreeSet::new(), BTreeSet::new());
    let mut timestamps = Vec::new();
    for attempt in &attempts {
        let body = attempt.json();
        let signature = body["security"]["signature"].as_str().expect("a signature").to_owned();
        assert!(Signer::new(TOKEN).verify(&attempt.body, &[], &signature), "{body}");
        assert_eq!(body["security"]["signer_id"], "w-1");
        nonces.insert(body["nonce"].as_str().expect("a nonce").to_owned());
        signatures.insert(signature);
        timestamps.push(body["timestamp"].as_f64().expect("seconds"));
        assert_eq!(body["data"], json!({"a": 0.1, "b": "é"}));
    }
    assert_eq!((nonces.len(), signatures.len()), (5, 5));
    assert!(timestamps.is_sorted() && timestamps[4] >= timestamps[0] + 2.0, "3 s and more: {timestamps:?}");
    for (number, base) in [200, 400, 800, 1600].into_iter().enumerate() {
        let gap = clock.between(attempts[number].at, attempts[number + 1].at);
        let limits = Duration::from_millis(base)..Duration::from_millis(base * 5 / 4 + 151);
        assert!(gap.is_within(limits), "{gap:?} before try {}", number + 2);
    }
    watch_for(Duration::from_millis(300)).await;
    assert_eq!(of(&orchestrator, &id).len(), 5, "acknowledged is acknowledged");
}

#[tokio::test]
async fn a_result_gets_through_every_kind_of_cut() {
    let answers = [
        Answer::Reset,
        Answer::CloseBeforeReading,
        Answer::CloseAfterReading,
        Answer::ResetWhileReading { after: 10 },
        Answer::Truncated { status: 200, declared_length: 100, body: "{".into() },
        Answer::Bytes("nonsense\r\n\r\n".into()),
    ];
    let scripts = [Script::older(), Script::newer()];
    let cases = answers.iter().flat_map(|answer| scripts.iter().map(move |script| (script.clone(), answer)));
    each(cases, async |(script, answer)| {
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let worker = start(&orchestrator, &[]);
        orchestrator.answer_next(Endpoint::Result, answer.clone());
        let id = push(&orchestrator, "echo", json!({"a": 1}));
        orchestrator.wait_for_requests(Endpoint::Result, 2).await;
        let stopped = worker.stop().await;
        assert!(stopped.is_clean(), "{answer:?}: {stopped:?}");
        assert!(!of(&orchestrator, &id).is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_an_older_orchestrator_may_have_got_is_not_repeated_where_that_is_forbidden() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::older()).await;
    let _worker = start(&orchestrator, &[("RESULT_RESEND_AMBIGUOUS", "false")]);
    orchestrator.answer_next(Endpoint::Result, Answer::CloseAfterReading);
    let ambiguous = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_requests(Endpoint::Result, 1).await;
    // This one was answered: it was not processed, and may be repeated.
    orchestrator.answer_next(Endpoint::Result, Answer::status(503));
    let refused = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_requests(Endpoint::Result, 3).await;
    watch_for(Duration::from_millis(300)).await;
    assert_eq!((of(&orchestrator, &ambiguous).len(), of(&orchestrator, &refused).len()), (1, 2));
    let newer = ScriptedOrchestrator::start().await;
    let _worker = start(&newer, &[("RESULT_RESEND_AMBIGUOUS", "false")]);
    newer.answer_next(Endpoint::Result, Answer::CloseAfterReading);
    let id = push(&newer, "echo", json!({}));
    newer.wait_for_requests(Endpoint::Result, 2).await;
    assert_eq!(of(&newer, &id).len(), 2, "1.0b17 can tell a repeated one");
}

#[tokio::test]
async fn after_the_quick_tries_a_result_is_kept_and_offered_when_the_orchestrator_is_back() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let relay = Relay::start(orchestrator.addr()).await;
    let worker = crate::support::tasks()
        .config(crate::support::config(&relay.url(), &[("RESULT_MAX_RETRIES", "2")]))
        .build()
        .expect("a worker");
    let _worker = crate::support::Running::start(worker);
    orchestrator
        .answer_always(Endpoint::Result, Answer::Raw { status: 502, headers: vec![], body: "<html>".into() });
    let id = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_requests(Endpoint::Result, 2).await;
    watch_for(Duration::from_millis(500)).await;
    assert_eq!(of(&orchestrator, &id).len(), 2, "two quick tries");
    orchestrator.answer_normally(Endpoint::Result);
    relay.refuse().await;
    relay.cut();
    orchestrator.forget_workers();
    watch_for(Duration::from_millis(500)).await;
    relay.accept().await;
    orchestrator.wait_for_requests(Endpoint::Result, 3).await;
    assert_eq!(of(&orchestrator, &id).len(), 3);
}

#[tokio::test]
async fn what_is_refused_for_good_becomes_a_small_failure_once() {
    each([400, 404, 413, 422], async |status| {
        let (orchestrator, worker) = both(&[]).await;
        orchestrator.answer_next(Endpoint::Result, Answer::Json(status, json!({"error": "no good"})));
        let id = push(&orchestrator, "echo", json!({"a": 1}));
        orchestrator.wait_for_requests(Endpoint::Result, 2).await;
        let second = of(&orchestrator, &id)[1].json();
        assert_eq!(
            (&second["status"], &second["error"]["code"]),
            (&json!("failure"), &json!("PERMANENT_ERROR"))
        );
        let message = second["error"]["message"].as_str().expect("a text");
        assert!(
            message.starts_with(&format!("result refused: {status}, ")) && message.ends_with(" bytes"),
            "{message}"
        );
        assert_eq!(second["error"]["details"]["reason"], "no good");
        assert!(worker.stop().await.is_clean());
        assert_eq!(of(&orchestrator, &id).len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_failure_that_is_refused_too_ends_there() {
    let (orchestrator, worker) = both(&[]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(400));
    let id = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_requests(Endpoint::Result, 2).await;
    watch_for(Duration::from_millis(300)).await;
    assert_eq!(of(&orchestrator, &id).len(), 2);
    orchestrator.answer_normally(Endpoint::Result);
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    worker.stop().await;
}

#[tokio::test]
async fn a_job_that_the_older_orchestrator_does_not_know_is_given_up_after_the_quick_tries() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::older()).await;
    let worker = start(&orchestrator, &[("RESULT_MAX_RETRIES", "3"), ("RESULT_RETRY_INITIAL_DELAY", "0.02")]);
    orchestrator.answer_always(Endpoint::Result, Answer::Json(500, json!({"error": "Job not found"})));
    let id = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_requests(Endpoint::Result, 3).await;
    let stopped = worker.stop().await;
    assert!(stopped.unacknowledged.is_empty(), "{stopped:?}");
    assert_eq!(of(&orchestrator, &id).len(), 3);
}

#[tokio::test]
async fn an_orchestrator_that_ignores_a_result_is_obeyed() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = told.clone();
    let hook = move |result: &IgnoredResult| {
        heard.lock().expect("no panic").push((result.task_id.to_string(), result.reason.clone()));
        panic!("a hook's panic harms nothing");
    };
    let worker = tasks().on_ignored_result(hook).config(config(&orchestrator.url(), &[]));
    let worker = Running::start(worker.build().expect("a worker"));
    orchestrator.answer_next(Endpoint::Result, Answer::ok(json!({"status": "ignored", "reason": "late"})));
    let id = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_requests(Endpoint::Result, 1).await;
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    assert!(worker.stop().await.is_clean());
    assert_eq!(of(&orchestrator, &id).len(), 1);
    assert_eq!(*told.lock().expect("no panic"), [(id, "late".to_owned())]);
}

#[tokio::test]
async fn any_2xx_of_json_or_of_nothing_acknowledges() {
    let bodies = [
        Answer::body(""),
        Answer::body("null"),
        Answer::Json(202, json!([])),
        Answer::Raw { status: 204, headers: vec![], body: bytes::Bytes::new() },
    ];
    each(bodies, async |answer| {
        let (orchestrator, worker) = both(&[]).await;
        orchestrator.answer_next(Endpoint::Result, answer.clone());
        push(&orchestrator, "echo", json!({}));
        orchestrator.wait_for_requests(Endpoint::Result, 1).await;
        assert!(worker.stop().await.is_clean(), "{answer:?}");
        assert_eq!(orchestrator.count(Endpoint::Result), 1);
    })
    .await;
}

#[tokio::test]
async fn the_same_result_is_never_sent_by_two_tries_at_once() {
    let clock = Stopwatch::start();
    let (orchestrator, worker) = both(&[("MAX_CONCURRENT_TASKS", "50"), ("RESULT_MAX_RETRIES", "20")]).await;
    orchestrator.on(Endpoint::Result, |_| {
        let slow = Duration::from_millis(fastrand::u64(0..60));
        Some(if fastrand::u8(..5) == 0 {
            Answer::status(503).after(slow)
        } else {
            Answer::Normally.after(slow)
        })
    });
    let ids: Vec<_> = (0..60).map(|_| push(&orchestrator, "echo", json!({}))).collect();
    for id in &ids {
        orchestrator.wait_for_result(id).await;
    }
    let stopping = Instant::now();
    let stopped = worker.stop().await;
    assert!(stopped.is_clean(), "{stopped:?}");
    for id in &ids {
        for pair in of(&orchestrator, id).windows(2).filter(|pair| pair[1].at < stopping) {
            // The first delay is 50 ms, and counts from the answer: two closer together would overlap. At the end
            // of the worker what waits is offered without delay.
            assert!(clock.between(pair[0].at, pair[1].at).is_at_least(Duration::from_millis(50)), "{id}");
        }
    }
}

#[tokio::test]
async fn a_result_that_hangs_holds_up_no_other() {
    let (orchestrator, _worker) = both(&[]).await;
    orchestrator.answer_next(Endpoint::Result, Answer::Hang);
    push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_requests(Endpoint::Result, 1).await;
    let began = Stopwatch::start();
    for _ in 0..5 {
        run(&orchestrator, "echo", json!({})).await;
    }
    assert!(began.took().is_below(Duration::from_secs(5)), "{:?}", began.took());
}

#[tokio::test]
async fn a_result_on_its_way_holds_no_slot() {
    let (orchestrator, worker) = both(&[("MAX_CONCURRENT_TASKS", "1")]).await;
    for _ in 0..3 {
        orchestrator.answer_next(Endpoint::Result, Answer::Hang);
        push(&orchestrator, "echo", json!({}));
    }
    orchestrator.wait_for_requests(Endpoint::Result, 3).await;
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    worker.abandon();
}

/// 10,000 results that nobody takes are as many as are kept in memory: no further task is asked for until one is gone.
#[tokio::test]
async fn polling_pauses_while_too_many_results_wait_and_none_of_them_is_lost() {
    const MOST: usize = 10_000;
    let slots = 20;
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().without_recording()).await;
    let results = Arc::new(std::sync::Mutex::new(BTreeMap::<String, usize>::new()));
    let (taken, open) = (results.clone(), Arc::new(AtomicBool::new(false)));
    let is_open = open.clone();
    orchestrator.on(Endpoint::Result, move |result| {
        if !is_open.load(Ordering::Relaxed) {
            return Some(Answer::status(429).header("retry-after", "1"));
        }
        let id = result.json()["task_id"].as_str().expect("a text").to_owned();
        *taken.lock().expect("no panic").entry(id).or_default() += 1;
        None
    });
    let status = Arc::new(std::sync::Mutex::new(String::new()));
    let told = status.clone();
    orchestrator.on(Endpoint::Heartbeat, move |beat| {
        if !beat.body.is_empty() {
            let beat = beat.json();
            *told.lock().expect("no panic") = format!("{} at {}", beat["status"], beat["load"]);
        }
        None
    });
    let made = Arc::new(AtomicUsize::new(0));
    let counted = made.clone();
    orchestrator.make_tasks(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Some(testkit::task("echo", json!({})).to_string().into())
    });
    let worker = start(&orchestrator, &[("MAX_CONCURRENT_TASKS", &slots.to_string())]);
    // Each part is waited for, as this is much work for a busy machine.
    for part in 1..=10 {
        until(|| made.load(Ordering::Relaxed) >= MOST * part / 10).await;
    }
    until(|| orchestrator.open_polls() == 0).await;
    // One that does not poll, and runs nothing, is given no tasks all the same.
    until(|| *status.lock().expect("no panic") == "\"busy\" at 0.0").await;
    let kept = made.load(Ordering::Relaxed);
    // A task that is under way when the last place is taken is not given back.
    assert!((MOST..=MOST + slots).contains(&kept), "{kept} tasks were asked for");
    let beats = orchestrator.count(Endpoint::Heartbeat);
    until(|| orchestrator.count(Endpoint::Heartbeat) >= beats + 6).await;
    assert_eq!(made.load(Ordering::Relaxed), kept, "polling pauses while heartbeats go on");
    assert_eq!(*status.lock().expect("no panic"), "\"busy\" at 0.0");
    open.store(true, Ordering::Relaxed);
    until(|| made.load(Ordering::Relaxed) >= kept + 100).await;
    let stopped = worker.stop().await;
    assert!(stopped.is_clean(), "{} are left", stopped.unacknowledged.len());
    let results = results.lock().expect("no panic");
    assert!(results.values().all(|times| *times == 1));
    assert_eq!(results.len(), made.load(Ordering::Relaxed), "one for each task");
}

#[tokio::test]
async fn results_that_hang_hold_up_none_of_a_burst() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let gate = Arc::new((AtomicUsize::new(0), Notify::new()));
    let inside = gate.clone();
    let gated = async move || {
        let opened = inside.1.notified();
        inside.0.fetch_add(1, Ordering::Relaxed);
        opened.await;
    };
    let worker = crate::support::tasks()
        .task("gated", gated)
        .config(crate::support::config(&orchestrator.url(), &[("MAX_CONCURRENT_TASKS", "20")]))
        .build()
        .expect("a worker");
    let worker = crate::support::Running::start(worker);
    // One sender is there, and idle, when eight tasks end in one moment and the first two results hang.
    run(&orchestrator, "echo", json!({})).await;
    let burst = async |number: usize| {
        for _ in 0..8 {
            push(&orchestrator, "gated", json!({}));
        }
        until(|| gate.0.load(Ordering::Relaxed) == 8 * number).await;
        orchestrator.answer_next(Endpoint::Result, Answer::Hang);
        orchestrator.answer_next(Endpoint::Result, Answer::Hang);
    };
    burst(1).await;
    gate.1.notify_waiters();
    orchestrator.wait_for_requests(Endpoint::Result, 9).await;
    // And so at the end of the worker.
    burst(2).await;
    worker.ask_to_stop();
    gate.1.notify_waiters();
    orchestrator.wait_for_requests(Endpoint::Result, 17).await;
    worker.abandon();
}

#[tokio::test]
async fn refused_credentials_are_knocked_at_with_one_result() {
    let clock = Stopwatch::start();
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, worker) = both(&[("MAX_CONCURRENT_TASKS", "20")]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(401));
    for _ in 0..8 {
        push(&orchestrator, "sleep", json!({"seconds": 0.3}));
    }
    let first = orchestrator.wait_for_requests(Endpoint::Result, 1).await.remove(0).at;
    let is_later = move |result: &Recorded| result.at - first >= Duration::from_secs(4);
    orchestrator.wait_for(Endpoint::Result, is_later).await;
    let burst = orchestrator.requests(Endpoint::Result).iter().filter(|result| !is_later(result)).count();
    assert!(burst <= 8, "{burst}: those that were under way");
    watch_for(Duration::from_secs(1)).await;
    let all = orchestrator.requests(Endpoint::Result);
    assert_eq!(all.len(), burst + 1, "one finds out");
    let found_out = clock.between(first, all[burst].at);
    assert!(found_out.is_at_least(Duration::from_secs(5)), "{found_out:?}");
    assert_eq!(logs.count("refuses this worker's credentials"), 1, "{logs:?}");
    orchestrator.answer_normally(Endpoint::Result);
    assert!(worker.stop().await.is_clean());
    assert!(orchestrator.count(Endpoint::Result) >= burst + 1 + 8, "each got through");
}

#[tokio::test]
async fn failed_tries_are_counted_and_only_what_changes_is_a_line() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, worker) = both(&[("MAX_CONCURRENT_TASKS", "20"), ("RESULT_MAX_RETRIES", "3")]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(503));
    for _ in 0..8 {
        push(&orchestrator, "echo", json!({}));
    }
    orchestrator.wait_for_requests(Endpoint::Result, 24).await;
    until(|| logs.count("it is kept, and offered every 30 s") == 8).await;
    assert_eq!(logs.count("does not answer as expected"), 2, "the first and the tenth: {logs:?}");
    orchestrator.answer_normally(Endpoint::Result);
    assert!(worker.stop().await.is_clean());
    assert_eq!(logs.count("the orchestrator answers again"), 1, "{logs:?}");
}

#[tokio::test]
async fn that_results_are_too_many_is_said_once() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, worker) = both(&[]).await;
    for _ in 0..2 {
        orchestrator.answer_next(Endpoint::Result, Answer::status(429).header("retry-after", "1"));
    }
    push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_requests(Endpoint::Result, 3).await;
    assert!(worker.stop().await.is_clean());
    assert_eq!(logs.count("limits the rate of results"), 1, "{logs:?}");
    assert_eq!(logs.count("not sent"), 0, "{logs:?}");
}

/// An orchestrator that restarts between two heartbeats refuses only polls. When they succeed again it is up again,
/// and kept results are offered at once instead of 30 s later.
#[tokio::test]
async fn a_kept_result_is_offered_when_polls_get_through_again() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start().await;
    let relay = Relay::start(orchestrator.addr()).await;
    let variables = [("RESULT_MAX_RETRIES", "1"), ("HEARTBEAT_INTERVAL", "60")];
    let worker = tasks().config(config(&relay.url(), &variables)).build().expect("a worker");
    let worker = Running::start(worker);
    orchestrator.answer_next(Endpoint::Result, Answer::status(503));
    let id = push(&orchestrator, "echo", json!({}));
    logs.wait_for("it is kept").await;
    relay.refuse().await;
    relay.cut();
    // One poll that fails is no sign yet that the orchestrator is down.
    until(|| logs.count("outcome=NoAnswer") >= 2).await;
    relay.accept().await;
    let up = Stopwatch::start();
    orchestrator.wait_for_requests(Endpoint::Result, 2).await;
    assert!(up.took().is_below(Duration::from_secs(10)), "{id}: {:?}", up.took());
    assert!(worker.stop().await.is_clean());
}
