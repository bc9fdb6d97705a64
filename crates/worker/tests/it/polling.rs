//! Polls: how many, how often, and what they survive.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator, Stopwatch};

use crate::support::{both, each, push, run, start, watch_for};

fn raw(header: (&str, &str), body: impl Into<Bytes>) -> Answer {
    Answer::Raw { status: 200, headers: vec![(header.0.to_owned(), header.1.to_owned())], body: body.into() }
}

#[tokio::test]
async fn an_idle_worker_holds_one_poll_and_asks_again_at_once() {
    let clock = Stopwatch::start();
    let (orchestrator, _worker) = both(&[]).await;
    let polls = orchestrator.wait_for_requests(Endpoint::Poll, 5).await;
    assert_eq!(orchestrator.open_polls(), 1);
    for pair in polls.windows(2) {
        let gap = clock.between(pair[0].at, pair[1].at);
        assert!(gap.is_within(Duration::from_millis(290)..Duration::from_millis(450)), "held 0.3 s: {gap:?}");
    }
    assert!(polls.iter().all(|poll| poll.connection == polls[0].connection), "one connection for all");
}

#[tokio::test]
async fn tasks_that_come_at_once_let_pollers_grow_and_their_absence_shrinks_them() {
    let orchestrator =
        ScriptedOrchestrator::start_with(Script::newer().hold(Duration::from_millis(500))).await;
    let _worker = start(&orchestrator, &[("WORKER_MAX_POLLERS", "3"), ("MAX_CONCURRENT_TASKS", "20")]);
    let ids: Vec<_> = (0..30).map(|_| push(&orchestrator, "sleep", json!({"seconds": 0.01}))).collect();
    orchestrator.wait_for_open_polls(3).await;
    assert_eq!(orchestrator.open_polls(), 3);
    for id in ids {
        orchestrator.wait_for_result(&id).await;
    }
    let seen = orchestrator.count(Endpoint::Poll);
    orchestrator.wait_for_requests(Endpoint::Poll, seen + 4).await;
    assert_eq!(orchestrator.open_polls(), 1);
}

#[tokio::test]
async fn pollers_are_never_more_than_free_slots() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().hold(Duration::from_secs(5))).await;
    let _worker = start(&orchestrator, &[("MAX_CONCURRENT_TASKS", "4")]);
    for _ in 0..3 {
        push(&orchestrator, "sleep", json!({"seconds": 20}));
    }
    orchestrator.wait_for_open_polls(1).await;
    orchestrator.wait_for_requests(Endpoint::Poll, 4).await;
    watch_for(Duration::from_millis(200)).await;
    assert_eq!(orchestrator.open_polls(), 1, "three of four slots are taken");
}

/// Whatever comes back, and however fast: the worker neither hammers nor dies.
#[tokio::test]
async fn no_answer_leads_to_a_hot_loop() {
    let answers = [
        ("500", Answer::status(500)),
        ("503 with text", Answer::Raw { status: 503, headers: vec![], body: Bytes::from_static(b"busy") }),
        ("HTML", Answer::body("<html>hello</html>")),
        ("empty 200", Answer::body("")),
        ("null", Answer::body("null")),
        ("list", Answer::body("[1]")),
        ("cut JSON", Answer::body(r#"{"job_id":"#)),
        ("not UTF-8", Answer::body(Bytes::from_static(b"\xff\xfe\x00"))),
        ("reset", Answer::Reset),
        ("close", Answer::CloseAfterReading),
        ("close early", Answer::CloseBeforeReading),
        (
            "truncated",
            Answer::Truncated { status: 200, declared_length: 500, body: Bytes::from_static(b"{") },
        ),
        ("not HTTP", Answer::Bytes(Bytes::from_static(b"SSH-2.0-OpenSSH\r\n"))),
        ("redirect", Answer::Json(302, json!({})).header("location", "http://127.0.0.1:1/")),
        ("201", Answer::Json(201, json!({}))),
        ("404", Answer::status(404)),
        ("bad gzip", raw(("content-encoding", "gzip"), "no gzip")),
        ("zstd", raw(("content-encoding", "zstd"), "?")),
        ("429 for no time", Answer::status(429).header("retry-after", "0")),
        ("429 until the past", Answer::status(429).header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")),
        ("429", Answer::status(429)),
        ("401", Answer::status(401)),
        ("403", Answer::status(403)),
    ];
    let checks = answers.map(|(name, answer)| async move {
        let (orchestrator, worker) = both(&[("HEARTBEAT_INTERVAL", "5")]).await;
        orchestrator.wait_for_open_polls(1).await;
        orchestrator.answer_always(Endpoint::Poll, answer);
        let watched = watch_for(Duration::from_millis(1500)).await;
        let polls = orchestrator.count(Endpoint::Poll);
        // 0.05, 0.1, 0.2, 0.4, 0.8 s between them.
        let limits = watched.at_least(2)..=watched.at_most(9);
        assert!(limits.contains(&polls), "{name}: {polls} polls in 1.5 s");
        worker.abandon();
    });
    futures_util::future::join_all(checks).await;
}

/// What was delivered before is no reason to ask at once: the same again would come at once.
#[tokio::test]
async fn a_task_that_always_comes_again_makes_no_hot_loop() {
    let tasks = [("echo", json!({})), ("sleep", json!({"seconds": 30})), ("echo", json!("malformed"))];
    each(tasks, async |(name, params)| {
        let (orchestrator, worker) = both(&[("MAX_CONCURRENT_TASKS", "10")]).await;
        orchestrator.wait_for_open_polls(1).await;
        orchestrator.answer_always(Endpoint::Poll, Answer::ok(testkit::task(name, params.clone())));
        let watched = watch_for(Duration::from_millis(1800)).await;
        let polls = orchestrator.count(Endpoint::Poll);
        let limits = watched.at_least(5)..=watched.at_most(14);
        assert!(limits.contains(&polls), "{name} {params}: {polls} polls in 1.8 s");
        worker.abandon();
    })
    .await;
}

#[tokio::test]
async fn delays_of_nothing_make_no_hot_loop_either() {
    let none = [("TASK_POLL_ERROR_DELAY", "0"), ("IDLE_POLL_DELAY", "0")];
    each(
        [Answer::status(500), Answer::Raw { status: 204, headers: vec![], body: Bytes::new() }],
        async |answer| {
            let (orchestrator, worker) = both(&none).await;
            orchestrator.answer_always(Endpoint::Poll, answer.clone());
            let watched = watch_for(Duration::from_secs(1)).await;
            let polls = orchestrator.count(Endpoint::Poll);
            assert!(polls <= watched.at_most(20), "{answer:?}: {polls} in a second");
            worker.abandon();
        },
    )
    .await;
}

#[tokio::test]
async fn nothing_at_once_is_asked_for_less_and_less_often_and_a_task_begins_anew() {
    let clock = Stopwatch::start();
    let (orchestrator, _worker) = both(&[]).await;
    orchestrator.wait_for_open_polls(1).await;
    orchestrator
        .answer_always(Endpoint::Poll, Answer::Raw { status: 204, headers: vec![], body: Bytes::new() });
    let watched = watch_for(Duration::from_millis(1800)).await;
    let polls = orchestrator.requests(Endpoint::Poll);
    let limits = watched.at_least(5)..=watched.at_most(14);
    assert!(limits.contains(&polls.len()), "{} in 1.8 s", polls.len());
    // The pause doubles from 0.01 s: the sixth is the first of 0.25 s.
    let polls = orchestrator.wait_for_requests(Endpoint::Poll, 8).await;
    let last = &polls[polls.len() - 2..];
    let gap = clock.between(last[0].at, last[1].at);
    assert!(gap.is_at_least(Duration::from_millis(245)), "{gap:?}");
    orchestrator.answer_normally(Endpoint::Poll);
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn after_errors_the_delay_doubles_and_a_success_begins_anew() {
    let clock = Stopwatch::start();
    let (orchestrator, _worker) = both(&[("TASK_POLL_ERROR_DELAY", "0.1")]).await;
    orchestrator.wait_for_open_polls(1).await;
    for _ in 0..4 {
        orchestrator.answer_next(Endpoint::Poll, Answer::status(500));
    }
    let polls = orchestrator.wait_for_requests(Endpoint::Poll, 6).await;
    for (failure, base) in [(1, 100u64), (2, 200), (3, 400), (4, 800)] {
        let gap = clock.between(polls[failure].at, polls[failure + 1].at);
        let limits = Duration::from_millis(base)..Duration::from_millis(base * 5 / 4 + 150);
        assert!(gap.is_within(limits), "{gap:?} after failure {failure}");
    }
    orchestrator.answer_next(Endpoint::Poll, Answer::status(500));
    let polls = orchestrator.wait_for_requests(Endpoint::Poll, 8).await;
    let gap = clock.between(polls[6].at, polls[7].at);
    assert!(gap.is_within(Duration::from_millis(100)..Duration::from_millis(275)), "{gap:?}");
}

#[tokio::test]
async fn a_poll_goes_on_after_every_kind_of_cut() {
    let answers = [
        Answer::Reset,
        Answer::Truncated {
            status: 200,
            declared_length: 9000,
            body: Bytes::from_static(br#"{"job_id":"j"#),
        },
        Answer::Endless { status: 200 },
        Answer::Bytes(Bytes::from_static(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n")),
    ];
    each(answers, async |answer| {
        let (orchestrator, worker) = both(&[]).await;
        orchestrator.wait_for_open_polls(1).await;
        orchestrator.answer_next(Endpoint::Poll, answer);
        orchestrator.wait_for_requests(Endpoint::Poll, 2).await;
        assert_eq!(run(&orchestrator, "echo", json!({"a": 1})).await["data"], json!({"a": 1}));
        worker.abandon();
    })
    .await;
}

#[tokio::test]
async fn a_compressed_task_is_read() {
    let (orchestrator, _worker) = both(&[]).await;
    let task = testkit::task("echo", json!({"text": "x".repeat(5000)}));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(task.to_string().as_bytes()).expect("memory");
    let body = encoder.finish().expect("memory");
    orchestrator.answer_next(Endpoint::Poll, raw(("content-encoding", "gzip"), body));
    let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    assert_eq!(result["data"], task["params"]);
}

#[tokio::test]
async fn a_small_body_that_decompresses_to_a_huge_one_is_refused() {
    let (orchestrator, _worker) = both(&[]).await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&vec![b' '; 65 << 20]).expect("memory");
    let body = encoder.finish().expect("memory");
    assert!(body.len() < 1 << 20);
    orchestrator.answer_next(Endpoint::Poll, raw(("content-encoding", "gzip"), body));
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn ten_megabytes_of_params_arrive_byte_by_byte() {
    let orchestrator =
        ScriptedOrchestrator::start_with(Script { body_limit: 64 << 20, ..Script::newer() }).await;
    let _worker = start(&orchestrator, &[]);
    let params = json!({"text": "ключ".repeat(10 << 17)});
    let result = run(&orchestrator, "echo", params.clone()).await;
    assert!(result["data"] == params);
}

#[tokio::test]
async fn a_body_that_comes_slowly_is_waited_for() {
    let (orchestrator, _worker) = both(&[]).await;
    let task = testkit::task("echo", json!({"a": 1}));
    let body = Bytes::from(task.to_string());
    let slow = Answer::Dribble { status: 200, body, chunk: 10, every: Duration::from_millis(20) };
    orchestrator.answer_next(Endpoint::Poll, slow);
    let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    assert_eq!(result["data"], json!({"a": 1}));
}

#[tokio::test]
async fn a_poll_that_is_never_answered_is_given_up_five_seconds_after_its_time() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_next(Endpoint::Poll, Answer::Hang);
    let _worker = start(&orchestrator, &[("TASK_POLL_TIMEOUT", "0.5")]);
    let began = Stopwatch::start();
    let polls = orchestrator.wait_for_requests(Endpoint::Poll, 2).await;
    assert!(polls[0].query.contains("timeout=0.5&"));
    assert!(began.took().is_at_least(Duration::from_millis(5400)), "{:?}", began.took());
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn a_slot_that_becomes_free_is_used_at_once() {
    let (orchestrator, _worker) = both(&[("MAX_CONCURRENT_TASKS", "1"), ("IDLE_POLL_DELAY", "5")]).await;
    let began = Stopwatch::start();
    let ids: Vec<_> = (0..10).map(|_| push(&orchestrator, "sleep", json!({"seconds": 0.05}))).collect();
    for id in ids {
        let result: Value = orchestrator.wait_for_result(&id).await;
        assert_eq!(result["status"], "success");
    }
    let took = began.took();
    assert!(took.is_within(Duration::from_millis(500)..Duration::from_millis(1500)), "{took:?}");
}

/// Its pause has grown meanwhile; nothing tells of the end but a registration or a heartbeat.
#[tokio::test]
async fn one_that_is_back_after_an_outage_is_polled_at_once() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = both(&[("TASK_POLL_ERROR_DELAY", "30")]).await;
    orchestrator.wait_for_open_polls(1).await;
    orchestrator.refuse().await;
    orchestrator.drop_connections();
    // The poll was only cut off; that nobody is there is what the heartbeat finds.
    logs.wait_for("operation=\"poll\"").await;
    logs.wait_for("operation=\"heartbeat\"").await;
    orchestrator.accept().await;
    let up = Stopwatch::start();
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    assert!(up.took().is_below(Duration::from_secs(15)), "{:?}", up.took());
}

/// A hold that nobody knows of: redis-py 8 makes a minute of each hold of 5 s or more.
#[tokio::test]
async fn a_hold_longer_than_the_limit_is_learned_while_heartbeats_are_answered() {
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().hold(Duration::from_secs(8))).await;
    let _worker = start(&orchestrator, &[("TASK_POLL_TIMEOUT", "1")]);
    let line = logs.wait_for("a poll was not answered within 6s, although heartbeats are").await;
    assert!(
        line.contains("given up after 12s from now on") && line.contains("raise `TASK_POLL_TIMEOUT`"),
        "{line}"
    );
    logs.wait_for("the orchestrator holds polls for 8 s, longer than `TASK_POLL_TIMEOUT`").await;
    assert_eq!(logs.count("a poll was not answered within"), 1);
}

#[tokio::test]
async fn a_proxy_that_ends_polls_is_named_and_shorter_polls_are_asked_for() {
    for end in [Answer::status(504), Answer::CloseAfterReading] {
        let logs = Logs::new();
        let _guard = logs.start();
        let (orchestrator, _worker) = both(&[("TASK_POLL_ERROR_DELAY", "0.02")]).await;
        orchestrator.answer_always(Endpoint::Poll, end.after(Duration::from_secs(2)));
        let line = logs.wait_for("a proxy ends polls after ").await;
        assert!(line.contains("raise the proxy's read timeout"), "{line}");
        let asked = |query: &str| {
            let rest = query.split_once("timeout=").expect("a time").1;
            rest.split('&').next().expect("a number").parse::<f64>().expect("a number")
        };
        let shorter = orchestrator.wait_for(Endpoint::Poll, move |request| asked(&request.query) < 2.0).await;
        assert!(asked(&shorter.query) >= 1.5, "{}", shorter.query);
        orchestrator.answer_normally(Endpoint::Poll);
        assert_eq!(crate::support::run(&orchestrator, "echo", json!({})).await["status"], "success");
    }
}
