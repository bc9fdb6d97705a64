//! Secrets are nowhere in what the worker says, at the highest level of detail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, PATIENCE, Proxy, Script, ScriptedOrchestrator, Tls};

use crate::support::{Running, config, each, program, push, tasks, until};

/// The secrets, as they are given to the worker, and as they might come out.
fn forms(secret: &str) -> Vec<String> {
    let base64 = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text).trim_end_matches('=').to_owned()
    };
    let percent: Vec<_> = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    vec![secret.to_owned(), base64(secret), percent.concat()]
}

/// Every kind of exchange, and most kinds of failure, then the end.
async fn lead_through(orchestrator: &ScriptedOrchestrator, mut process: testkit::Process) -> Vec<String> {
    orchestrator.wait_for_open_polls(1).await;
    for (name, params) in
        [("echo", json!({"a": 1})), ("fail_const", json!({})), ("raise", json!({"message": "m"}))]
    {
        let id = push(orchestrator, name, params);
        orchestrator.wait_for_result(&id).await;
    }
    for answer in [
        Answer::status(401),
        Answer::status(403),
        Answer::status(500),
        // It quotes what it refuses.
        Answer::Json(403, json!({"error": "`token-secret-5` is no token, `token-secret-5`!"})),
        Answer::Json(500, json!({"said": "token-secret-5"})),
        Answer::Reset,
        Answer::body("<html>"),
        Answer::Truncated { status: 200, declared_length: 100, body: "{".into() },
    ] {
        for endpoint in
            [Endpoint::Heartbeat, Endpoint::Poll, Endpoint::Result, Endpoint::Token, Endpoint::WebSocket]
        {
            orchestrator.answer_next(endpoint, answer.clone());
        }
        let id = push(orchestrator, "echo", json!({}));
        orchestrator.wait_for_result(&id).await;
    }
    orchestrator.push_task_body("{\"task_id\": ");
    process.signal("INT");
    process.wait(PATIENCE).await;
    process.lines()
}

#[track_caller]
fn assert_none(lines: &[String], secrets: &[&str]) {
    assert!(lines.len() > 20, "a log: {lines:?}");
    for secret in secrets.iter().flat_map(|secret| forms(secret)) {
        let leak = lines.iter().find(|line| line.contains(&secret));
        assert!(leak.is_none(), "`{secret}` in {leak:?}");
    }
}

#[tokio::test]
async fn they_are_in_no_line_of_the_most_talkative_log() {
    each(["text", "json"], async |format| {
        let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
        orchestrator.on(Endpoint::Token, |_| {
            Some(Answer::ok(json!({"access_token": "short-secret-1", "expires_in": 1, "refresh_token": "refresh-secret-2"})))
        });
        let quoted = Arc::new(AtomicUsize::new(0));
        let count = quoted.clone();
        orchestrator.on(Endpoint::Heartbeat, move |request| {
            let token = request.header("x-worker-token").filter(|token| token.starts_with("short-"))?;
            let error = json!({"error": format!("`{token}` is no token")});
            (count.fetch_add(1, Ordering::SeqCst) < 3).then(|| Answer::Json(403, error))
        });
        let proxy = Proxy::start().await;
        let url = format!("http://user-x:url-secret-3@{}", orchestrator.addr());
        let through = format!("http://user-y:proxy-secret-4@{}", proxy.addr());
        let process = program(&url, &[
            ("LOG_LEVEL", "trace"), ("LOG_FORMAT", format), ("WORKER_TOKEN", "token-secret-5"),
            ("ORCHESTRATOR_SECRET_KEY", "sign-secret-6"), ("REQUIRE_TASK_SIGNATURE", "false"),
            ("S3_ACCESS_KEY", "access-secret-7"), ("S3_SECRET_KEY", "s3-secret-8"), ("HTTP_PROXY", &through),
            ("NO_PROXY", ""), ("WORKER_ENABLE_WEBSOCKETS", "true"),
        ])
        .start();
        // A short-lived token is had, shown, and quoted.
        orchestrator.answer_next(Endpoint::Heartbeat, Answer::status(401));
        until(|| quoted.load(Ordering::SeqCst) > 0).await;
        let lines = lead_through(&orchestrator, process).await;
        assert!(!proxy.seen().is_empty(), "it goes through the proxy");
        assert_none(&lines, &[
            "short-secret-1", "refresh-secret-2", "url-secret-3", "user-x:url-secret-3", "proxy-secret-4",
            "user-y:proxy-secret-4", "token-secret-5", "sign-secret-6", "access-secret-7", "s3-secret-8",
        ]);
    })
    .await;
}

#[tokio::test]
async fn keys_are_not_either() {
    let tls = Tls::new();
    let orchestrator =
        ScriptedOrchestrator::start_with(Script::newer().tls(tls.mutual_server_config())).await;
    let (folder, client) = (tempfile::tempdir().expect("a folder"), tls.client("w-1"));
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (ca, cert, key) = (path("ca.pem"), path("cert.pem"), path("key.pem"));
    std::fs::write(&ca, tls.ca_pem()).expect("written");
    std::fs::write(&cert, &client.certificate_pem).expect("written");
    std::fs::write(&key, &client.key_pem).expect("written");
    let process = program(
        &orchestrator.url(),
        &[
            ("LOG_LEVEL", "trace"),
            ("TLS_CA_PATH", &ca),
            ("TLS_CERT_PATH", &cert),
            ("TLS_KEY_PATH", &key),
            ("WORKER_TOKEN", "token-secret-5"),
        ],
    )
    .start();
    let lines = lead_through(&orchestrator, process).await;
    let inside = client.key_pem.lines().nth(1).expect("a key has lines");
    assert_none(&lines, &[inside, "token-secret-5"]);
}

#[tokio::test]
async fn a_wrong_configuration_is_explained_without_them() {
    let mut process = program(
        "http://user-x:url-secret-3@host:99999",
        &[
            ("LOG_LEVEL", "trace"),
            ("WORKER_TOKEN", "token-secret-5\u{7f}"),
            ("HTTP_PROXY", "ftp://u:proxy-secret-4@h"),
            ("ORCHESTRATORS_CONFIG", r#"[{"url": "gopher://u:json-secret-9@h", "token": "json-secret-10"}]"#),
            ("WORKER_INDIVIDUAL_TOKEN", "individual-secret-11\u{1}"),
            ("MAX_CONCURRENT_TASKS", "many"),
        ],
    )
    .start();
    assert_eq!(process.wait(PATIENCE).await.code(), Some(2));
    let lines = process.lines();
    assert!(lines.iter().any(|line| line.contains("MAX_CONCURRENT_TASKS")), "{lines:?}");
    for secret in [
        "url-secret-3",
        "token-secret-5",
        "proxy-secret-4",
        "json-secret-9",
        "json-secret-10",
        "individual-secret-11",
    ] {
        assert!(!lines.iter().any(|line| line.contains(secret)), "{secret}: {lines:?}");
    }
}

/// Whoever writes the log: this is said with the subscriber of a test.
#[tokio::test]
async fn what_an_orchestrator_quotes_is_masked_in_the_log_and_in_results() {
    const SECRETS: [&str; 4] = ["quoted-token-1", "quoted-key-2", "quoted-own-3", "quoted-password-4"];
    let quoted = SECRETS.join(" ");
    let logs = Logs::new();
    let _guard = logs.start();
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
    let url = orchestrator.url().replace("http://", "http://me:quoted-password-4@");
    let entries = json!([{"url": url, "token": "quoted-own-3"}]).to_string();
    let variables = [
        ("WORKER_TOKEN", "quoted-token-1"),
        ("ORCHESTRATORS_CONFIG", &entries),
        ("ORCHESTRATOR_SECRET_KEY", "quoted-key-2"),
        ("REQUIRE_TASK_SIGNATURE", "false"),
        ("WORKER_ENABLE_WEBSOCKETS", "true"),
    ];
    let worker = tasks().config(config(&orchestrator.url(), &variables)).build().expect("a worker");
    let _worker = Running::start(worker);
    orchestrator.wait_for_open_websockets(1).await;

    // Polls: no task, a malformed one, one for nobody, one with wrong parameters, one that is told by its ids.
    orchestrator.push_task_body(format!("garbage {quoted}"));
    let mut malformed = testkit::task("echo", json!({}));
    malformed["type"] = json!([quoted]);
    orchestrator.push_task(&malformed);
    let mut results =
        vec![orchestrator.wait_for_result(malformed["task_id"].as_str().expect("a text")).await];
    for (name, params) in [(quoted.as_str(), json!({})), ("sleep", json!({"seconds": quoted}))] {
        let id = push(&orchestrator, name, params);
        results.push(orchestrator.wait_for_result(&id).await);
    }
    for result in results {
        let error = result["error"].to_string();
        assert!(error.contains("*** ***") && !error.contains("quoted"), "{result}");
    }
    let mut named = testkit::task("echo", json!({}));
    named["task_id"] = json!(quoted);
    named["job_id"] = json!(quoted);
    orchestrator.push_task(&named);
    assert_eq!(
        orchestrator.wait_for_result(&quoted).await["job_id"],
        json!(quoted),
        "ids go back as they came"
    );

    // Answers to everything else.
    let error = Answer::Json(500, json!({"error": quoted}));
    for answer in [
        Answer::ok(json!({"status": "ignored", "reason": quoted})),
        Answer::Json(400, json!({"error": quoted})),
        error.clone(),
    ] {
        orchestrator.answer_next(Endpoint::Result, answer);
        let before = orchestrator.count(Endpoint::Result);
        push(&orchestrator, "echo", json!({}));
        orchestrator.wait_for_requests(Endpoint::Result, before + 1).await;
    }
    for answer in [error, Answer::ok(json!([quoted])), Answer::ok(json!({"cancel_task_ids": [quoted]}))] {
        let before = orchestrator.count(Endpoint::Heartbeat);
        orchestrator.answer_next(Endpoint::Heartbeat, answer);
        orchestrator.wait_for_requests(Endpoint::Heartbeat, before + 2).await;
    }

    // The websocket.
    orchestrator.send_websocket_text(&format!("rubbish {quoted}"));
    orchestrator.send_websocket_text(&json!(quoted).to_string());
    orchestrator.send_command(&json!({"command": quoted}));
    orchestrator.send_command(&json!({"command": "cancel_task", "task_id": quoted}));
    logs.wait_for("unknown command").await;
    orchestrator.close_websockets(1008, &quoted);
    logs.wait_for("the websocket was closed by the orchestrator (1008)").await;

    for said in ["not a task", "task ended", "the orchestrator ignored the result", "told to cancel"] {
        logs.wait_for(said).await;
    }
    let leaks: Vec<_> = logs.lines().into_iter().filter(|line| line.contains("quoted-")).collect();
    assert_eq!(leaks, [] as [&str; 0]);
}

/// What handlers say may be anything: the writer of the log is the last to look.
#[tokio::test]
async fn what_a_handler_says_is_masked_by_the_writer_of_the_log() {
    each(["text", "json"], async |format| {
        let orchestrator = ScriptedOrchestrator::start().await;
        let variables = [
            ("LOG_FORMAT", format),
            ("WORKER_TOKEN", "token-secret-5"),
            ("S3_ACCESS_KEY", "s3-access-7"),
            ("S3_SECRET_KEY", "s3-secret-8"),
        ];
        let process = program(&orchestrator.url(), &variables).start();
        for name in ["raise", "echo"] {
            let mut task = testkit::task(name, json!({"message": "it was token-secret-5 and s3-secret-8"}));
            task["task_id"] = json!(format!("{name}-token-secret-5"));
            orchestrator.push_task(&task);
            let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
            assert!(!result["error"].to_string().contains("secret"), "{result}");
        }
        process.wait_for_line("it was *** and ***").await;
        process.wait_for_line("echo-***").await;
        let leak = process.lines().into_iter().find(|line| line.contains("secret-"));
        assert_eq!(leak, None);
    })
    .await;
}
