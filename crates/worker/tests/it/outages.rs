//! Results while their orchestrator takes nothing, or another server answers in its place.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator};

use crate::results::of;
use crate::support::{both, each, push, start, until, watch_for};

/// A proxy or a captive portal answers for a while: what it says of results and their replacements decides nothing.
#[tokio::test]
async fn another_servers_pages_neither_acknowledge_a_result_nor_refuse_it() {
    let logs = Logs::new();
    let _guard = logs.start();
    each([200, 203, 400, 404, 422], async |status| {
        let (orchestrator, worker) = both(&[("MAX_CONCURRENT_TASKS", "10")]).await;
        let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
        let page = Answer::Raw { status, headers, body: "<html>log in</html>".into() };
        orchestrator.answer_always(Endpoint::Result, page);
        let ids: Vec<_> = (0..5).map(|number| push(&orchestrator, "echo", json!({"n": number}))).collect();
        until(|| ids.iter().all(|id| !of(&orchestrator, id).is_empty())).await;
        let line = logs.wait_for(&format!("does not answer as expected: {status} without JSON")).await;
        assert!(line.contains("log in"), "{line}");
        orchestrator.answer_normally(Endpoint::Result);
        assert!(worker.stop().await.is_clean(), "{status}");
        for id in &ids {
            let last = of(&orchestrator, id).pop().expect("a try").json();
            assert_eq!((&last["status"], &last["error"]), (&json!("success"), &Value::Null), "{status}");
        }
    })
    .await;
}

/// However many results wait, an outage sees few requests, and its end no burst.
#[tokio::test]
async fn an_outage_sees_few_requests_and_its_end_no_burst() {
    const RESULTS: usize = 2000;
    const ANSWER_AFTER: Duration = Duration::from_millis(5);
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().without_recording()).await;
    let taken = Arc::new(std::sync::Mutex::new(Vec::<(Instant, String)>::new()));
    let (seen, is_up) = (taken.clone(), Arc::new(AtomicBool::new(false)));
    let up = is_up.clone();
    orchestrator.on(Endpoint::Result, move |result| {
        if !up.load(Ordering::Relaxed) {
            return Some(Answer::status(503));
        }
        let id = result.json()["task_id"].as_str().expect("a text").to_owned();
        seen.lock().expect("no panic").push((Instant::now(), id));
        Some(Answer::Normally.after(ANSWER_AFTER))
    });
    let made = Arc::new(AtomicUsize::new(0));
    let counted = made.clone();
    orchestrator.make_tasks(move || {
        let is_wanted = counted.fetch_add(1, Ordering::Relaxed) < RESULTS;
        is_wanted.then(|| testkit::task("echo", json!({})).to_string().into())
    });
    let worker = start(&orchestrator, &[("MAX_CONCURRENT_TASKS", "4"), ("HEARTBEAT_INTERVAL", "1")]);
    until(|| made.load(Ordering::Relaxed) > RESULTS).await;
    orchestrator.answer_always(Endpoint::Poll, Answer::status(503));
    orchestrator.drop_connections();
    let kinds = [Endpoint::Result, Endpoint::Poll, Endpoint::Heartbeat, Endpoint::Register];
    let count = || kinds.iter().map(|kind| orchestrator.count(*kind)).sum::<usize>();
    let before = count();
    let watched = watch_for(Duration::from_secs(2)).await;
    let requests = count() - before;
    assert!(requests <= watched.at_most(2 * 20), "{requests} in 2 s");
    assert!(requests >= watched.at_least(10), "{requests} in 2 s: somebody finds out");
    is_up.store(true, Ordering::Relaxed);
    until(|| taken.lock().expect("no panic").len() >= RESULTS).await;
    assert!(worker.stop().await.is_clean());
    let taken = taken.lock().expect("no panic");
    let different: BTreeSet<_> = taken.iter().map(|(_, id)| id).collect();
    assert_eq!((different.len(), taken.len()), (RESULTS, RESULTS), "each once");
    // Each of four at once is answered before the next takes its place.
    let is_burst = |five: &[(Instant, String)]| five[4].0 - five[0].0 < ANSWER_AFTER;
    assert!(!taken.windows(5).any(is_burst), "never more than there are slots");
}
