//! A whole worker over TLS and through proxies, and what it says and does when it cannot get through.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use testkit::{Answer, Endpoint, PATIENCE, Process, Proxy, Relay, Script, ScriptedOrchestrator, Tls};

use crate::support::{Running, TOKEN, config, each, program, run, tasks, watch_for};

/// A file with a certificate; each test has a name of its own for it.
fn pem(name: &str, tls: &Tls) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("secure-{name}.pem"));
    std::fs::write(&path, tls.ca_pem()).expect("a folder for temporary files");
    path.to_str().expect("a text").to_owned()
}

async fn secure(tls: &Tls, bind: &str) -> ScriptedOrchestrator {
    let bind = bind.parse().expect("an address");
    ScriptedOrchestrator::start_with(Script { bind, ..Script::newer().tls(tls.server_config()) }).await
}

fn worker(url: &str, variables: &[(&str, &str)]) -> Running {
    Running::start(tasks().config(config(url, variables)).build().expect("a worker"))
}

/// Everything in a second and a half: registration (full jitter over 1, 2 s) or heartbeats, polls and results.
const MOST_FAILURES: usize = 40;

/// Lines that tell of a failed exchange.
fn failures(process: &Process) -> usize {
    let tells =
        |line: &&String| line.contains("does not answer as expected") || line.contains("still failing");
    process.lines().iter().filter(tells).count()
}

#[tokio::test]
async fn everything_goes_over_tls_by_address_and_by_name() {
    let tls = Tls::new();
    let ca = pem("whole", &tls);
    let orchestrator = secure(&tls, "127.0.0.1:0").await;
    for url in [orchestrator.url(), format!("https://localhost:{}", orchestrator.addr().port())] {
        let worker = worker(&url, &[("TLS_CA_PATH", &ca)]);
        for number in 0..5 {
            let result =
                run(&orchestrator, "echo", json!({"number": number, "text": "x".repeat(100_000)})).await;
            assert_eq!(result["data"]["number"], number);
        }
        let seen = orchestrator.count(Endpoint::Heartbeat);
        orchestrator.wait_for_requests(Endpoint::Heartbeat, seen + 3).await;
        assert!(worker.stop().await.is_clean());
    }
}

/// A server that takes nobody without a certificate: every kind of request shows ours.
#[tokio::test]
async fn a_client_certificate_lets_the_whole_worker_in() {
    let tls = Tls::new();
    let script = Script::newer().tls(tls.mutual_server_config());
    let orchestrator = ScriptedOrchestrator::start_with(script).await;
    let ca = pem("mutual", &tls);
    let identity = tls.client("w");
    let file = |name: &str, text: &str| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("secure-mutual-{name}.pem"));
        std::fs::write(&path, text).expect("a folder for temporary files");
        path.to_str().expect("a text").to_owned()
    };
    let (certificate, key) = (file("certificate", &identity.certificate_pem), file("key", &identity.key_pem));
    let variables = [("TLS_CA_PATH", &*ca), ("TLS_CERT_PATH", &certificate), ("TLS_KEY_PATH", &key)];
    let worker = worker(&orchestrator.url(), &variables);
    assert_eq!(run(&orchestrator, "echo", json!({"n": 1})).await["data"]["n"], 1);
    let seen = orchestrator.count(Endpoint::Heartbeat);
    orchestrator.wait_for_requests(Endpoint::Heartbeat, seen + 1).await;
    assert!(worker.stop().await.is_clean());
}

/// Said once with the reason, tried again with pauses, and not a byte of the token is sent.
#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_named_and_tried_again_within_reason() {
    let (right, wrong, expired) = (Tls::new(), Tls::new(), Tls::expired());
    let (right_ca, wrong_ca) = (pem("right", &right), pem("wrong", &wrong));
    let expired_ca = pem("expired", &expired);
    let cases = [
        ("expired", "127.0.0.1:0", expired_ca.as_str(), "certificate expired", "has to be renewed"),
        ("wrong CA", "127.0.0.1:0", wrong_ca.as_str(), "invalid peer certificate", ""),
        ("system's CAs", "127.0.0.1:0", "", "UnknownIssuer", "set `TLS_CA_PATH`"),
        (
            "wrong host",
            "127.0.0.2:0",
            right_ca.as_str(),
            "not valid for name",
            "the address in `ORCHESTRATOR_URL`",
        ),
    ];
    each(cases, async |(name, bind, ca, problem, advice)| {
        let orchestrator = secure(if name == "expired" { &expired } else { &right }, bind).await;
        let variables = [("TLS_CA_PATH", ca), ("LOG_LEVEL", "debug")];
        let mut process = program(&orchestrator.url(), &variables).start();
        let line = process.wait_for_line("does not answer as expected").await;
        assert!(line.contains("WARN") && line.contains("operation=\"registration\""), "{name}: {line}");
        assert!(line.contains("certificate") && line.contains(problem), "{name}: {line}");
        assert!(line.contains(advice), "{name}: {line}");
        assert!(line.contains(&orchestrator.url()), "{name}: {line}");
        let watched = watch_for(Duration::from_secs(2)).await;
        let tries = orchestrator.connections_accepted() as usize;
        assert!((1..=watched.at_most(12)).contains(&tries), "{name}: {tries} connections in 2 s");
        assert!(!process.lines().iter().any(|line| line.contains(TOKEN)), "{name}");
        process.signal("INT");
        assert_eq!(process.wait(PATIENCE).await.code(), Some(0), "{name}");
        assert_eq!(orchestrator.count(Endpoint::Register), 0, "{name}");
    })
    .await;
}

/// The server does not take the worker's certificate: what it says about it is said.
#[tokio::test]
async fn a_client_certificate_that_is_refused_is_named_and_tried_again_within_reason() {
    let tls = Tls::new();
    let ca = pem("client", &tls);
    let file = |name: &str, text: &str| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("secure-client-{name}.pem"));
        std::fs::write(&path, text).expect("a folder for temporary files");
        path.to_str().expect("a text").to_owned()
    };
    let cases = [
        ("none", None, "CertificateRequired"),
        ("expired", Some(tls.expired_client("w-1")), "CertificateExpired"),
        ("other", Some(Tls::new().client("w-1")), "alert"),
    ];
    each(cases, async |(name, identity, problem)| {
        let script = Script::newer().tls(tls.mutual_server_config());
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let files = identity.map(|identity| {
            let certificate = file(&format!("{name}-certificate"), &identity.certificate_pem);
            (certificate, file(&format!("{name}-key"), &identity.key_pem))
        });
        let mut variables = vec![("TLS_CA_PATH", ca.as_str()), ("LOG_LEVEL", "debug")];
        if let Some((certificate, key)) = &files {
            variables.extend([("TLS_CERT_PATH", certificate.as_str()), ("TLS_KEY_PATH", key)]);
        }
        let mut process = program(&orchestrator.url(), &variables).start();
        let line = process.wait_for_line("does not answer as expected").await;
        assert!(line.contains("WARN") && line.contains(problem), "{name}: {line}");
        assert!(line.contains("`TLS_CERT_PATH`"), "{name}: {line}");
        let watched = watch_for(Duration::from_secs(2)).await;
        let tries = orchestrator.connections_accepted() as usize;
        assert!((1..=watched.at_most(12)).contains(&tries), "{name}: {tries} connections in 2 s");
        process.signal("INT");
        assert_eq!(process.wait(PATIENCE).await.code(), Some(0), "{name}");
        assert_eq!(orchestrator.count(Endpoint::Register), 0, "{name}");
    })
    .await;
}

/// Somebody else answers at the address for a while: heartbeats are tried on, in their rhythm, and nothing is lost.
#[tokio::test]
async fn a_certificate_that_turns_wrong_is_lived_with_until_it_is_right_again() {
    let (right, wrong) = (Tls::new(), Tls::new());
    let ca = pem("turns", &right);
    let (good, bad) = (secure(&right, "127.0.0.1:0").await, secure(&wrong, "127.0.0.1:0").await);
    let relay = Relay::start(good.addr()).await;
    let url = format!("https://{}", relay.addr());
    let mut process = program(&url, &[("TLS_CA_PATH", &ca), ("LOG_LEVEL", "debug")]).start();
    good.wait_for_open_polls(1).await;
    let id = crate::support::push(&good, "sleep", json!({"seconds": 0.5}));
    good.wait_for(Endpoint::Heartbeat, |beat| String::from_utf8_lossy(&beat.body).contains("\"load\":1"))
        .await;
    relay.turn(bad.addr());
    let before = failures(&process);
    process.wait_for_line("operation=\"heartbeat\"").await;
    let watched = watch_for(Duration::from_millis(1500)).await;
    let seen = failures(&process) - before;
    let limits = watched.at_least(3)..=watched.at_most(MOST_FAILURES);
    assert!(limits.contains(&seen), "{seen} failures in 1.5 s: {:?}", process.lines());
    let tries = bad.connections_accepted() as usize;
    assert!(tries <= watched.at_most(MOST_FAILURES), "{tries} connections in 1.5 s");
    assert_eq!(Endpoint::ALL.map(|endpoint| bad.count(endpoint)), [0; Endpoint::ALL.len()]);
    relay.turn(good.addr());
    assert_eq!(good.wait_for_result(&id).await["status"], "success");
    assert_eq!(run(&good, "echo", json!({})).await["status"], "success");
    process.signal("INT");
    assert_eq!(process.wait(PATIENCE).await.code(), Some(0));
}

/// Nobody listens: attempts leave no trace at the other side, so the log is counted.
#[tokio::test]
async fn refused_connections_are_tried_again_within_reason() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut process = program(&orchestrator.url(), &[("LOG_LEVEL", "debug")]).start();
    orchestrator.wait_for_open_polls(1).await;
    let id = crate::support::push(&orchestrator, "sleep", json!({"seconds": 0.3}));
    orchestrator
        .wait_for(Endpoint::Heartbeat, |beat| String::from_utf8_lossy(&beat.body).contains(&id))
        .await;
    orchestrator.refuse().await;
    orchestrator.drop_connections();
    process.wait_for_line("does not answer as expected").await;
    let before = failures(&process);
    let watched = watch_for(Duration::from_millis(1500)).await;
    let seen = failures(&process) - before;
    let limits = watched.at_least(3)..=watched.at_most(MOST_FAILURES);
    assert!(limits.contains(&seen), "{seen} failures in 1.5 s");
    orchestrator.accept().await;
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    process.signal("INT");
    assert_eq!(process.wait(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn everything_goes_through_a_proxy_plain_and_secure() {
    let tls = Tls::new();
    let ca = pem("proxy", &tls);
    let proxy = Proxy::requiring("Basic bWU6c2VjcmV0").await;
    let with_credentials = format!("http://me:secret@{}", proxy.addr());
    let (plain, secure) = (ScriptedOrchestrator::start().await, secure(&tls, "127.0.0.1:0").await);
    for orchestrator in [&plain, &secure] {
        let variables = [
            ("TLS_CA_PATH", ca.as_str()),
            ("HTTP_PROXY", &with_credentials),
            ("HTTPS_PROXY", &with_credentials),
        ];
        let worker = worker(&orchestrator.url(), &variables);
        for number in 0..3 {
            assert_eq!(run(orchestrator, "echo", json!({"a": number})).await["data"]["a"], number);
        }
        orchestrator.wait_for_requests(Endpoint::Heartbeat, 3).await;
        assert!(worker.stop().await.is_clean());
    }
    let seen = proxy.seen();
    assert!(seen.iter().all(|request| request.allowed));
    let asked = |text: &str| seen.iter().filter(|request| request.target.contains(text)).count();
    let forwarded = [Endpoint::Register, Endpoint::Heartbeat, Endpoint::Poll, Endpoint::Result]
        .map(|endpoint| plain.count(endpoint))
        .iter()
        .sum::<usize>();
    assert!(asked("/_worker/") >= forwarded && forwarded > 10, "{forwarded}: every request went that way");
    let tunnels = seen.iter().filter(|request| request.method == "CONNECT").count();
    assert_eq!(tunnels as u64, secure.connections_accepted(), "and every connection");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_and_asked_again_within_reason() {
    let proxy = Proxy::requiring("Basic bWU6c2VjcmV0").await;
    let tls = Tls::new();
    let (plain, secure) = (ScriptedOrchestrator::start().await, secure(&tls, "127.0.0.1:0").await);
    each([&plain, &secure], async |orchestrator| {
        let url = format!("http://me:wrong-and-secret@{}", proxy.addr());
        let variables = [("HTTP_PROXY", url.as_str()), ("HTTPS_PROXY", &url), ("LOG_LEVEL", "debug")];
        let mut process = program(&orchestrator.url(), &variables).start();
        let line = process.wait_for_line("does not answer as expected").await;
        assert!(line.contains("the proxy refused") && line.contains("407"), "{line}");
        assert!(line.contains(&proxy.addr().to_string()), "{line}");
        let watched = watch_for(Duration::from_secs(2)).await;
        assert!(failures(&process) <= watched.at_most(12), "{} in 2 s", failures(&process));
        assert!(!process.printed("wrong-and-secret"), "{:?}", process.lines());
        process.signal("INT");
        assert_eq!(process.wait(PATIENCE).await.code(), Some(0));
        assert_eq!(orchestrator.count(Endpoint::Register), 0);
    })
    .await;
}

/// A redirect is not followed: its target would be shown the worker's token. Where it leads is said.
#[tokio::test]
async fn a_redirect_is_not_followed_and_says_where_it_leads() {
    let elsewhere = ScriptedOrchestrator::start().await;
    let orchestrator = ScriptedOrchestrator::start().await;
    let location = format!("http://me:pass-word@{}/_worker/workers/register?key=1", elsewhere.addr());
    orchestrator
        .answer_always(Endpoint::Register, Answer::Json(308, json!({})).header("location", &location));
    let mut process = program(&orchestrator.url(), &[]).start();
    let line = process.wait_for_line("does not answer as expected").await;
    assert!(line.contains("308") && line.contains(&elsewhere.addr().to_string()), "{line}");
    assert!(line.contains("redirects are not followed"), "{line}");
    assert!(!line.contains("pass-word") && !line.contains("key=1"), "{line}");
    process.signal("INT");
    assert_eq!(process.wait(PATIENCE).await.code(), Some(0));
    assert_eq!(elsewhere.connections_accepted(), 0);
}
