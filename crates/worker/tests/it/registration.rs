//! Registration: what is said, when it is tried again, and how being forgotten is noticed.

use std::time::Duration;

use serde_json::json;
use testkit::{Answer, Endpoint, Recorded, Script, ScriptedOrchestrator, Stopwatch};
use tokio_util::sync::CancellationToken;

use crate::support::{
    self, TOKEN, WORKER_ID, both, each, push, run, start, told, until, wait_for_heartbeat, watch_for,
};

#[tokio::test]
async fn a_registration_serves_both_generations() {
    let variables = [
        ("WORKER_TYPE", "gpu-worker"),
        ("MAX_CONCURRENT_TASKS", "3"),
        ("CPU_CORES", "6"),
        ("GPU_MODEL", "RTX"),
        ("GPU_VRAM_GB", "24"),
        ("INSTALLED_SOFTWARE", r#"{"ffmpeg":"6"}"#),
        ("INSTALLED_MODELS", r#"[{"name":"m","version":"2"}]"#),
        ("COST_PER_SKILL", r#"{"echo":0.5}"#),
    ];
    let (orchestrator, _worker) = both(&variables).await;
    let request = orchestrator.wait_for_requests(Endpoint::Register, 1).await.remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/_worker/workers/register"));
    assert_eq!(request.header("x-worker-token"), Some(TOKEN));
    assert_eq!(request.header("x-worker-id"), Some(WORKER_ID));
    assert_eq!(request.header("x-rxon-version"), Some("1.0b17"));
    let body = request.json();
    assert_eq!(body["worker_id"], WORKER_ID);
    assert_eq!(body["worker_type"], "gpu-worker");
    assert_eq!(body["supported_tasks"], json!(["echo", "sleep", "block", "grouped"]));
    assert_eq!(body["supported_skills"][3]["name"], "grouped");
    assert_eq!(body["supported_skills"][3]["type"], "group");
    assert_eq!(body["resources"]["max_concurrent_tasks"], 3);
    assert_eq!(body["resources"]["cpu_cores"], 6);
    assert_eq!(body["resources"]["gpu_info"], json!({"model": "RTX", "vram_gb": 24.0}));
    assert_eq!(body["installed_software"], json!({"ffmpeg": "6"}));
    assert_eq!(body["installed_models"], json!([{"name": "m", "version": "2"}]));
    assert_eq!(body["installed_artifacts"][0]["name"], "m");
    assert_eq!(body["capabilities"]["cost_per_skill"], json!({"echo": 0.5}));
    assert_eq!(body["capabilities"]["websockets"], false);
    assert!(body["capabilities"]["hostname"].is_string() && body["capabilities"]["ip_address"].is_string());
    let signature = body["security"]["signature"].as_str().expect("a signature");
    assert!(rxon::signing::Signer::new(TOKEN).verify(&request.body, &[], signature));
}

#[tokio::test]
async fn what_the_orchestrator_warns_of_is_said() {
    let logs = testkit::capture::Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start().await;
    let warning = "Protocol version mismatch! Orchestrator: 1.0b18, Worker: 1.0b17.";
    let said = format!("{warning}\n2026-01-01 ERROR forged");
    let answer = json!({"status": "registered", "version": "1.0b18", "warning": said});
    orchestrator.answer_always(Endpoint::Register, Answer::ok(answer));
    let _worker = start(&orchestrator, &[]);
    let line = logs.wait_for(&format!("the orchestrator says: {warning}")).await;
    assert!(line.contains("WARN") && line.contains(&orchestrator.url()), "{line}");
    assert!(line.contains("forged"), "what it says is one line: {line}");
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success", "it works all the same");
}

#[tokio::test]
async fn nothing_is_asked_before_the_registration_is_accepted_and_a_heartbeat_follows_at_once() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let gate = CancellationToken::new();
    orchestrator.answer_next(Endpoint::Register, Answer::Normally.once_cancelled(&gate));
    let _worker = start(&orchestrator, &[("HEARTBEAT_INTERVAL", "60")]);
    orchestrator.wait_for_requests(Endpoint::Register, 1).await;
    watch_for(Duration::from_millis(300)).await;
    assert_eq!((orchestrator.count(Endpoint::Poll), orchestrator.count(Endpoint::Heartbeat)), (0, 0));
    gate.cancel();
    orchestrator.wait_for_requests(Endpoint::Poll, 1).await;
    let heartbeat = orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await.remove(0).json();
    assert_eq!((&heartbeat["status"], &heartbeat["load"]), (&json!("idle"), &json!(0.0)));
    assert_eq!(orchestrator.count(Endpoint::Register), 1);
}

#[tokio::test]
async fn a_registration_that_fails_is_tried_again_and_again() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_next(Endpoint::Register, Answer::status(500));
    orchestrator.answer_next(Endpoint::Register, Answer::body("<html>not yet</html>"));
    orchestrator.refuse().await;
    let _worker = start(&orchestrator, &[]);
    watch_for(Duration::from_millis(200)).await;
    orchestrator.accept().await;
    orchestrator.wait_for_requests(Endpoint::Register, 3).await;
    assert_eq!(run(&orchestrator, "echo", json!({"a": 1})).await["data"], json!({"a": 1}));
}

#[tokio::test]
async fn an_orchestrator_that_is_down_is_not_knocked_at_without_pause() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_always(Endpoint::Register, Answer::status(500));
    let _worker = start(&orchestrator, &[]);
    orchestrator.wait_for_requests(Endpoint::Register, 1).await;
    let watched = watch_for(Duration::from_secs(2)).await;
    let tries = orchestrator.count(Endpoint::Register);
    // Full jitter over 1, 2, 4 s: a few at most, and many more only without any backoff.
    assert!(tries <= watched.at_most(12), "{tries} in 2 s");
}

#[tokio::test]
async fn refused_for_the_rate_the_registration_waits_as_told_and_never_hammers() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_always(Endpoint::Register, Answer::status(429).header("retry-after", "0"));
    let _worker = start(&orchestrator, &[]);
    orchestrator.wait_for_requests(Endpoint::Register, 1).await;
    watch_for(Duration::from_millis(800)).await;
    assert_eq!(orchestrator.count(Endpoint::Register), 1);
}

#[tokio::test]
async fn a_worker_that_was_forgotten_registers_again_within_two_intervals() {
    each([Script::older(), Script::newer()], async |script| {
        let generation = script.generation;
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let worker = start(&orchestrator, &[("HEARTBEAT_INTERVAL", "0.3")]);
        orchestrator.wait_for_requests(Endpoint::Heartbeat, 2).await;
        orchestrator.forget_workers();
        let forgotten = Stopwatch::start();
        let again = orchestrator.wait_for_requests(Endpoint::Register, 2).await.remove(1);
        let took = forgotten.until(again.at);
        assert!(took.is_below(Duration::from_millis(900)), "{generation:?}: {took:?}");
        assert!(orchestrator.knows(WORKER_ID));
        assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_answers_404_has_forgotten_too() {
    each([Endpoint::Heartbeat, Endpoint::Poll], async |endpoint| {
        let (orchestrator, worker) = both(&[]).await;
        orchestrator.wait_for_requests(Endpoint::Poll, 1).await;
        orchestrator.answer_next(endpoint, Answer::status(404));
        orchestrator.wait_for_requests(Endpoint::Register, 2).await;
        assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_no_consent_of_an_orchestrator_is_no_registration() {
    let page = |status| Answer::Raw { status, headers: vec![], body: "<html>log in</html>".into() };
    let answers = [
        Answer::ok(json!({"status": "error", "message": "no room"})),
        Answer::ok(json!({"error": "no room"})),
        Answer::ok(json!([])),
        page(200),
        page(404),
    ];
    each(answers, async |answer| {
        let orchestrator = ScriptedOrchestrator::start().await;
        orchestrator.answer_next(Endpoint::Register, answer.clone());
        let worker = start(&orchestrator, &[]);
        orchestrator.wait_for_requests(Endpoint::Register, 2).await;
        let early = [Endpoint::Poll, Endpoint::Heartbeat].map(|endpoint| orchestrator.requests(endpoint));
        let second = orchestrator.requests(Endpoint::Register)[1].at;
        assert!(early.iter().flatten().all(|request| request.at >= second), "{answer:?}");
        assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_another_server_says_to_a_heartbeat_or_a_poll_is_no_forgetting() {
    let page = Answer::Raw { status: 404, headers: vec![], body: "<html>not here</html>".into() };
    each([Endpoint::Heartbeat, Endpoint::Poll], async |endpoint| {
        let (orchestrator, worker) = both(&[]).await;
        orchestrator.wait_for_requests(Endpoint::Poll, 1).await;
        orchestrator.answer_next(endpoint, page.clone());
        support::push(&orchestrator, "echo", json!({}));
        let seen = orchestrator.count(endpoint);
        orchestrator.wait_for_requests(endpoint, seen + 2).await;
        assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
        assert_eq!(orchestrator.count(Endpoint::Register), 1, "{endpoint:?}");
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_empty_answer_to_a_heartbeat_is_not_forgetting() {
    let (orchestrator, _worker) = both(&[("HEARTBEAT_INTERVAL", "0.05")]).await;
    orchestrator.answer_always(Endpoint::Heartbeat, Answer::body(""));
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 10).await;
    assert_eq!(orchestrator.count(Endpoint::Register), 1);
}

#[tokio::test]
async fn a_restarted_orchestrator_is_found_again() {
    let (orchestrator, _worker) = both(&[]).await;
    orchestrator.wait_for_open_polls(1).await;
    orchestrator.refuse().await;
    orchestrator.drop_connections();
    orchestrator.forget_workers();
    watch_for(Duration::from_millis(400)).await;
    orchestrator.accept().await;
    orchestrator.wait_for_requests(Endpoint::Register, 2).await;
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn the_newer_generation_is_asked_before_every_second_heartbeat() {
    // Long enough for each to be answered before the next.
    let (orchestrator, _worker) = both(&[("HEARTBEAT_INTERVAL", "0.3")]).await;
    let requests = orchestrator.wait_for_requests(Endpoint::Heartbeat, 9).await;
    let empty: Vec<bool> = requests.iter().take(9).map(|request| request.body.is_empty()).collect();
    assert_eq!(empty, [false, true, false, false, true, false, false, true, false]);
    let older = ScriptedOrchestrator::start_with(Script::older()).await;
    let _worker = start(&older, &[("HEARTBEAT_INTERVAL", "0.05")]);
    older.wait_for_requests(Endpoint::Heartbeat, 6).await;
    assert_eq!(told(&older).len(), older.count(Endpoint::Heartbeat), "1.0b2 answers `null` to any");
}

#[tokio::test]
async fn an_orchestrator_below_a_path_is_found_there() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let url = format!("{}/some/prefix/", orchestrator.url());
    let worker = support::tasks().config(support::config(&url, &[])).build().expect("a worker");
    let _worker = support::Running::start(worker);
    let request = orchestrator.wait_for_requests(Endpoint::Poll, 1).await.remove(0);
    assert_eq!(request.path, format!("/some/prefix/_worker/workers/{WORKER_ID}/tasks/next"));
    assert_eq!(request.query, "timeout=5&available_skills=echo,sleep,block,grouped&hot_skills=");
}

/// Orchestrator 1.0b12 on Redis answers `null` also when two heartbeats of one worker collide.
#[tokio::test]
async fn a_null_that_is_no_forgetting_is_asked_about_and_the_heartbeat_repeated() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::older()).await;
    let worker = start(&orchestrator, &[("HEARTBEAT_INTERVAL", "60")]);
    wait_for_heartbeat(&orchestrator, |beat| beat["load"] == json!(0.0)).await;
    orchestrator.answer_next(Endpoint::Heartbeat, Answer::ok(json!(null)));
    push(&orchestrator, "sleep", json!({"seconds": 0.5}));
    let running = |request: &Recorded| !request.body.is_empty() && request.json()["load"] == json!(1.0);
    until(|| {
        orchestrator.requests(Endpoint::Heartbeat).iter().filter(|request| running(request)).count() >= 2
    })
    .await;
    let requests = orchestrator.requests(Endpoint::Heartbeat);
    let first = requests.iter().position(running).expect("one");
    assert!(requests[first + 1].body.is_empty(), "it is asked first: {requests:?}");
    assert_eq!(orchestrator.count(Endpoint::Register), 1);
    // A goodbye that was not taken in is repeated, too: else tasks would be dispatched to polls that are let go.
    wait_for_heartbeat(&orchestrator, |beat| beat["load"] == json!(0.0)).await;
    orchestrator.answer_next(Endpoint::Heartbeat, Answer::ok(json!(null)));
    worker.ask_to_stop();
    let busy = |request: &Recorded| !request.body.is_empty() && request.json()["status"] == "busy";
    until(|| orchestrator.requests(Endpoint::Heartbeat).iter().filter(|request| busy(request)).count() >= 2)
        .await;
    worker.stopped().await;
    // A real forgetting is one all the same.
    let _worker = start(&orchestrator, &[]);
    orchestrator.wait_for_requests(Endpoint::Register, 2).await;
    orchestrator.forget_workers();
    orchestrator.wait_for_requests(Endpoint::Register, 3).await;
}

/// Over HTTP alone the older generation shows which process registered last.
#[tokio::test]
async fn another_process_that_registers_under_the_same_id_is_warned_about() {
    let logs = testkit::capture::Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = both(&[]).await;
    let registration = orchestrator.wait_for_requests(Endpoint::Register, 1).await[0].json();
    let own = registration["metadata"]["instance"].clone();
    let record = |instance: &serde_json::Value| Answer::ok(json!({"metadata": {"instance": instance}}));
    orchestrator.answer_always(Endpoint::Heartbeat, record(&own));
    let told_so_far = told(&orchestrator).len();
    until(|| told(&orchestrator).len() >= told_so_far + 5).await;
    let warning = "another process has registered under this worker's id";
    assert_eq!(logs.count(warning), 0);
    orchestrator.answer_always(Endpoint::Heartbeat, record(&json!("another")));
    logs.wait_for(warning).await;
    let told_so_far = told(&orchestrator).len();
    until(|| told(&orchestrator).len() >= told_so_far + 5).await;
    assert_eq!(logs.count(warning), 1);
}
