//! The example program as a process: signals, exit codes, configuration, logs, the health server.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Answer, Endpoint, PATIENCE, Process, Script, ScriptedOrchestrator, Stopwatch};

use crate::support::{TOKEN, each, get, program, push, run, started, wait_for_heartbeat, watch_for};

async fn code(process: &mut Process) -> Option<i32> {
    process.wait(PATIENCE).await.code()
}

async fn holding(variables: &[(&str, &str)]) -> (ScriptedOrchestrator, Process) {
    let hold = Duration::from_secs(30);
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().hold(hold)).await;
    let process = started(&orchestrator, variables).await;
    orchestrator.wait_for_open_polls(1).await;
    (orchestrator, process)
}

#[tokio::test]
async fn both_signals_end_an_idle_one_with_0() {
    each(["TERM", "INT"], async |signal| {
        // Without an id of its own, SIGTERM lets polls go too.
        let (orchestrator, mut process) = holding(&[("WORKER_ID", "")]).await;
        let asked = Stopwatch::start();
        process.signal(signal);
        assert_eq!(code(&mut process).await, Some(0), "{:?}", process.lines());
        assert!(asked.took().is_within(Duration::from_millis(950)..Duration::from_secs(5)), "{signal}");
        assert_eq!(orchestrator.count(Endpoint::Poll), 1);
    })
    .await;
}

#[tokio::test]
async fn with_an_id_of_its_own_sigterm_awaits_the_open_poll_and_sigint_does_not() {
    let (orchestrator, mut process) = holding(&[]).await;
    process.terminate();
    wait_for_heartbeat(&orchestrator, |body| body["status"] == "busy").await;
    watch_for(Duration::from_millis(1500)).await;
    let id = push(&orchestrator, "echo", json!({}));
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    assert_eq!(code(&mut process).await, Some(0));
    let (_orchestrator, mut process) = holding(&[]).await;
    let asked = Stopwatch::start();
    process.signal("INT");
    assert_eq!(code(&mut process).await, Some(0));
    assert!(asked.took().is_below(Duration::from_secs(5)));
}

#[tokio::test]
async fn a_running_task_finishes_before_the_end() {
    let (orchestrator, mut process) = holding(&[]).await;
    let id = push(&orchestrator, "sleep", json!({"seconds": 1.0}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    process.signal("INT");
    assert_eq!(code(&mut process).await, Some(0), "{:?}", process.lines());
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
}

#[tokio::test]
async fn a_second_signal_cancels_with_1_and_a_third_kills() {
    let (orchestrator, mut process) = holding(&[]).await;
    let id = push(&orchestrator, "sleep", json!({"seconds": 30}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    process.terminate();
    process.wait_for_line("shutting down").await;
    process.terminate();
    assert_eq!(code(&mut process).await, Some(1));
    let result = orchestrator.wait_for_result(&id).await;
    assert_eq!(result["error"], json!({"code": "TRANSIENT_ERROR", "message": "worker shut down"}));
    let (orchestrator, mut process) = holding(&[]).await;
    push(&orchestrator, "block", json!({"seconds": 30}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    process.terminate();
    process.wait_for_line("shutting down").await;
    process.terminate();
    process.wait_for_line("cancelling").await;
    let asked = Stopwatch::start();
    process.terminate();
    assert_eq!(process.wait(PATIENCE).await.code(), None, "ended by the signal itself");
    assert!(asked.took().is_below(Duration::from_secs(3)));
}

#[tokio::test]
async fn past_the_limit_it_ends_with_1_and_lists_what_is_lost() {
    let (orchestrator, mut process) = holding(&[("WORKER_SHUTDOWN_TIMEOUT", "1")]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(500));
    let id = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_requests(Endpoint::Result, 1).await;
    process.signal("INT");
    assert_eq!(code(&mut process).await, Some(1));
    let line = process.lines().into_iter().find(|line| line.contains("not acknowledged")).expect("a line");
    assert!(line.contains("ERROR") && line.contains(&id), "{line}");
}

#[tokio::test]
async fn a_port_that_is_taken_ends_with_1_and_names_the_variable() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let variables = [("WORKER_HOST", "127.0.0.1"), ("WORKER_PORT", port.as_str())];
    let mut process = program("http://127.0.0.1:1", &variables).start();
    assert_eq!(code(&mut process).await, Some(1));
    let text = process.lines().join("\n");
    assert!(text.contains("WORKER_PORT") && text.contains(&port), "{text}");
}

#[tokio::test]
async fn a_wrong_token_is_an_error_that_says_what_to_check() {
    each([401, 403], async |status| {
        let orchestrator = ScriptedOrchestrator::start().await;
        orchestrator.answer_always(Endpoint::Register, Answer::Json(status, json!({"error": "bad token"})));
        let mut process = program(&orchestrator.url(), &[]).start();
        let line = process.wait_for_line("WORKER_TOKEN").await;
        assert!(
            line.contains("ERROR") && line.contains(&status.to_string()) && line.contains("bad token"),
            "{line}"
        );
        watch_for(Duration::from_secs(1)).await;
        assert_eq!(orchestrator.count(Endpoint::Register), 1);
        process.signal("INT");
        assert_eq!(code(&mut process).await, Some(0));
    })
    .await;
}

#[tokio::test]
async fn nobody_can_make_two_lines_of_a_record() {
    const FORGED: &str = "x\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[2J";
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
    let process = started(&orchestrator, &[]).await;
    for (name, params) in [("echo", json!({})), (FORGED, json!({})), ("raise", json!({"message": FORGED}))] {
        let mut task = testkit::task(name, params);
        task["job_id"] = json!(FORGED);
        task["task_id"] = json!(format!("{FORGED} {name}"));
        orchestrator.push_task(&task);
        orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    }
    let ended = process.wait_for_line("task ended: x").await;
    assert!(ended.contains(r"x\n2026-01-01T00:00:00Z ERROR forged\r\"), "{ended}");
    let lines = process.lines();
    // An unregistered task never starts.
    assert_eq!(lines.iter().filter(|line| line.contains("forged")).count(), 5, "{lines:#?}");
    for line in lines {
        assert!(!line.starts_with("2026-01-01") && !line.contains(char::is_control), "{line:?}");
    }
}

#[tokio::test]
async fn no_secret_is_in_the_fullest_log() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let url = orchestrator.url().replace("http://", "http://user:url-secret@");
    let variables = [
        ("LOG_LEVEL", "trace"),
        ("WORKER_INDIVIDUAL_TOKEN", "individual-secret"),
        ("S3_ACCESS_KEY", "access-secret"),
        ("S3_SECRET_KEY", "s3-secret"),
        ("ORCHESTRATOR_SECRET_KEY", "key-secret"),
        ("ORCHESTRATOR_URL", url.as_str()),
    ];
    let mut process = started(&orchestrator, &variables).await;
    orchestrator.answer_next(Endpoint::Poll, Answer::status(401));
    orchestrator.answer_next(Endpoint::Result, Answer::Reset);
    orchestrator.wait_for_requests(Endpoint::Poll, 1).await;
    process.signal("INT");
    assert_eq!(code(&mut process).await, Some(0));
    let text = process.lines().join("\n");
    assert!(text.contains("registered"), "{text}");
    for secret in [TOKEN, "individual-secret", "url-secret", "access-secret", "s3-secret", "key-secret"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let registered = orchestrator.requests(Endpoint::Register).remove(0);
    assert_eq!(registered.header("x-worker-token"), Some("individual-secret"));
}

#[tokio::test]
async fn failures_that_repeat_are_counted_and_not_told_line_by_line() {
    let quick = [
        ("HEARTBEAT_INTERVAL", "0.05"),
        ("TASK_POLL_ERROR_DELAY", "0.01"),
        ("WORKER_SHUTDOWN_TIMEOUT", "0.3"),
    ];
    each([(Endpoint::Heartbeat, 40), (Endpoint::Poll, 8)], async |(endpoint, enough)| {
        let (orchestrator, mut process) = holding(&quick).await;
        orchestrator.answer_always(endpoint, Answer::status(500));
        orchestrator.drop_connections();
        orchestrator.wait_for_requests(endpoint, enough).await;
        process.signal("INT");
        process.wait(PATIENCE).await;
        let said = |text: &str| process.lines().iter().filter(|line| line.contains(text)).count();
        let lines = (said("does not answer as expected"), said("answers again"));
        assert!(
            (1..=4).contains(&lines.0) && lines.1 <= 2,
            "{endpoint:?}: {lines:?} in {:#?}",
            process.lines()
        );
    })
    .await;
}

#[tokio::test]
async fn json_logs_are_json() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut process = started(&orchestrator, &[("LOG_FORMAT", "json")]).await;
    let task = testkit::task("echo", json!({}));
    orchestrator.push_task(&task);
    let (id, job) = (task["task_id"].as_str().expect("a text"), &task["job_id"]);
    orchestrator.wait_for_result(id).await;
    let panics = testkit::task("raise", json!({"panic": true, "message": "two\nlines"}));
    orchestrator.push_task(&panics);
    orchestrator.wait_for_result(panics["task_id"].as_str().expect("a text")).await;
    process.signal("INT");
    assert_eq!(code(&mut process).await, Some(0));
    let lines: Vec<Value> = process
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    for message in ["task started", "task ended"] {
        let line = lines.iter().find(|line| line["message"] == message).expect("a line");
        let span = json!({"name": "task", "task_id": id, "job_id": job, "orchestrator": orchestrator.url()});
        assert_eq!((&line["task"], &line["spans"]), (&json!("echo"), &json!([span])));
        for once in ["task_id", "job_id", "orchestrator"] {
            assert_eq!(line.to_string().matches(&format!("\"{once}\"")).count(), 1, "{line}");
        }
    }
    let ended = lines.iter().find(|line| line["message"] == "task ended").expect("a line for the end");
    assert_eq!(ended["outcome"], "success");
    let panicked =
        lines.iter().find(|line| line["message"] == "panicked: two\nlines").expect("a line for the panic");
    assert_eq!((&panicked["level"], &panicked["spans"][0]["task_id"]), (&json!("ERROR"), &panics["task_id"]));
    assert!(panicked["location"].as_str().is_some_and(|place| place.contains("tasks.rs:")), "{panicked}");
}

#[tokio::test]
async fn a_tasks_lines_tell_whose_it_is_each_id_once() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut process = started(&orchestrator, &[]).await;
    let task = testkit::task("echo", json!({}));
    orchestrator.push_task(&task);
    let (id, job) = (task["task_id"].as_str().expect("a text"), task["job_id"].as_str().expect("a text"));
    orchestrator.wait_for_result(id).await;
    process.signal("INT");
    assert_eq!(code(&mut process).await, Some(0));
    for message in ["task started", "task ended"] {
        let lines = process.lines();
        let line = lines.iter().find(|line| line.contains(message)).expect("a line");
        for once in [format!("task_id={id}"), format!("job_id={job}"), orchestrator.url()] {
            assert_eq!(line.matches(&once).count(), 1, "{once} in {line}");
        }
        assert_eq!(line.matches("orchestrator=").count(), 1, "{line}");
    }
}

#[tokio::test]
async fn health_and_readiness_are_served() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_next(Endpoint::Register, Answer::status(500));
    orchestrator.answer_next(Endpoint::Register, Answer::status(500));
    let mut process = program(&orchestrator.url(), &[("WORKER_HOST", "127.0.0.1")]).start();
    let line = process.wait_for_line("health server listens").await;
    let address = line.rsplit_once("address=").expect("an address").1.trim().to_owned();
    assert_eq!(get(&address, "/health").await, (200, "OK".to_owned()));
    orchestrator.wait_for_open_polls(1).await;
    let (status, body) = get(&address, "/ready").await;
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &body["ready"], &body["slots"]["total"]), (200, &json!(true), &json!(10)));
    assert_eq!(get(&address, "/nothing").await.0, 404);
    push(&orchestrator, "sleep", json!({"seconds": 1.5}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    process.signal("INT");
    wait_for_heartbeat(&orchestrator, |body| body["status"] == "busy").await;
    assert_eq!(get(&address, "/ready").await.0, 503, "draining");
    assert_eq!(get(&address, "/health").await.0, 200);
    assert_eq!(code(&mut process).await, Some(0));
}

#[tokio::test]
async fn every_conformance_task_does_what_it_is_for() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let _process = started(&orchestrator, &[]).await;
    let table = [
        ("echo", json!({"a": [1, 0.1]}), json!("success"), json!({"a": [1, 0.1]})),
        ("status", json!({"status": "custom", "data": {"x": 1}}), json!("custom"), json!({"x": 1})),
        ("status", json!({"status": "custom"}), json!("custom"), json!({})),
        ("none", json!({}), json!("success"), Value::Null),
        ("typed", json!({"width": 2, "height": 3}), json!("success"), json!({"width": 2, "height": 3})),
        (
            "validated",
            json!({"width": 2, "height": 3, "source_url": "u"}),
            json!("success"),
            json!({"width": 2, "height": 3}),
        ),
        ("progress", json!({"steps": 3}), json!("success"), json!({"steps": 3})),
        ("hot", json!({"add": ["m"]}), json!("success"), json!({})),
        ("hot_sync", json!({"remove": ["m"]}), json!("success"), json!({})),
    ];
    for (name, params, status, data) in table {
        let result = run(&orchestrator, name, params).await;
        assert_eq!((&result["status"], &result["data"]), (&status, &data), "{name}");
    }
    for (name, params, code, said) in [
        ("fail", json!({"code": "MY_CODE", "message": "mine"}), "MY_CODE", "mine"),
        ("fail_const", json!({"which": "permanent"}), "PERMANENT_ERROR", "from the SDK's constant"),
        ("fail_const", json!({"which": "transient"}), "TRANSIENT_ERROR", "from the SDK's constant"),
        ("raise", json!({"message": "oh"}), "TRANSIENT_ERROR", "oh"),
        ("raise", json!({"message": "oh", "kind": "value"}), "TRANSIENT_ERROR", "oh"),
        ("raise", json!({"message": "oh", "panic": true}), "TRANSIENT_ERROR", "oh"),
        (
            "typed",
            json!({"width": 0, "height": 3}),
            "INVALID_INPUT_ERROR",
            "Width and height must be positive.",
        ),
        ("typed", json!({"width": "2", "height": 3}), "INVALID_INPUT_ERROR", "width"),
        ("validated", json!({"width": 0, "height": -3, "source_url": "u"}), "INVALID_INPUT_ERROR", "height"),
        ("validated", json!({"width": 1, "height": 1}), "INVALID_INPUT_ERROR", "source_url"),
        ("sleep", json!({"seconds": -1}), "INVALID_INPUT_ERROR", ""),
    ] {
        let result = run(&orchestrator, name, params).await;
        assert_eq!(result["error"]["code"], code, "{name}");
        assert!(result["error"]["message"].as_str().is_some_and(|text| text.contains(said)), "{result}");
    }
    for name in ["sleep", "block", "video", "audio"] {
        let data = run(&orchestrator, name, json!({"seconds": 0.1})).await["data"].clone();
        let took = data["finished"].as_f64().zip(data["started"].as_f64()).map(|(end, start)| end - start);
        assert!(took.is_some_and(|took| took >= 0.09), "{name}: {data}");
    }
}
