//! Client certificates, short-lived tokens and signed tasks, as the real orchestrators know them.

use std::fs;

use e2e::{LIMIT, Orchestrator, OrchestratorOptions, Request, ServerTls, Version, WorkerOptions, until};
use serde_json::json;
use tempfile::TempDir;
use testkit::Tls;

with_both_orchestrators!(
    a_worker_with_a_certificate_fetches_a_token_and_runs_jobs,
    a_refused_certificate_of_another_worker_is_logged,
    a_task_without_the_right_signature_is_refused,
    signatures_are_checked_as_configured,
);

/// The `ORCHESTRATOR_SECRET_KEY` of every `Orchestrator`.
const KEY: &str = "key-of-the-orchestrator";

/// Starts an orchestrator that requires certificates. Returns it with the options of a worker that has a certificate
/// with this common name; by default the name is the worker's id.
fn with_certificate(version: Version, name: Option<&str>) -> (Orchestrator, WorkerOptions, TempDir) {
    let tls = Tls::new();
    let (certificate, key) = tls.server_pem();
    let server = ServerTls { certificate, key, client_authority: tls.ca_pem().to_owned() };
    let orchestrator = OrchestratorOptions::new(version).tls(server).start();
    let files = tempfile::tempdir().expect("a temporary directory can be made");
    let mut options = WorkerOptions::new(&orchestrator);
    let identity = tls.client(name.unwrap_or(options.id()));
    for (variable, text) in [
        ("TLS_CA_PATH", tls.ca_pem()),
        ("TLS_CERT_PATH", &identity.certificate_pem),
        ("TLS_KEY_PATH", &identity.key_pem),
    ] {
        let path = files.path().join(variable);
        fs::write(&path, text).expect("a temporary file can be written");
        options = options.with(variable, &path.display().to_string());
    }
    (orchestrator, options, files)
}

fn a_worker_with_a_certificate_fetches_a_token_and_runs_jobs(version: Version) {
    let (orchestrator, options, _files) = with_certificate(version, None);
    let worker = options.with("WORKER_ENABLE_WEBSOCKETS", "true").start();
    orchestrator.wait_for_worker(worker.id());
    let job = orchestrator.submit("echo", &json!({ "over": "tls" }));
    orchestrator.wait_for_status(&job, "finished");
    worker.log().wait_for("the websocket", LIMIT, |line| line.contains("the websocket is open"));
    let requests = orchestrator.requests();
    let first = requests.first().expect("requests");
    assert_eq!((first.path.as_str(), first.status), ("/_worker/auth/token", 200), "{requests:?}");
    let refused: Vec<_> = requests.iter().filter(|request| request.status >= 400).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

fn a_refused_certificate_of_another_worker_is_logged(version: Version) {
    let (orchestrator, options, _files) = with_certificate(version, Some("somebody-else"));
    let worker = options.start();
    worker.log().wait_for("the refusal", LIMIT, |line| line.contains("ERROR") && line.contains("refus"));
    let refused = |request: &Request| request.is_registration() && request.status == version.refusal();
    until("the registration is refused", LIMIT, || (orchestrator.count(refused) > 0).then_some(()));
}

/// 1.0b12 signs nothing; 1.0b30 signs with its own key.
fn a_task_without_the_right_signature_is_refused(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = WorkerOptions::new(&orchestrator).with("ORCHESTRATOR_SECRET_KEY", "another-key").start();
    orchestrator.wait_for_worker(worker.id());
    let job = orchestrator.submit("echo", &json!({}));
    let result = until("the result arrives", LIMIT, || orchestrator.results_of(&job).pop());
    assert_eq!(result["error"]["code"], "SECURITY_ERROR", "{result}");
    orchestrator.wait_for_status(&job, "quarantined");
}

fn signatures_are_checked_as_configured(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let required = if version == Version::V1_0b12 { "false" } else { "true" };
    let options = WorkerOptions::new(&orchestrator)
        .with("ORCHESTRATOR_SECRET_KEY", KEY)
        .with("REQUIRE_TASK_SIGNATURE", required);
    let worker = options.start();
    orchestrator.wait_for_worker(worker.id());
    // Two JSON encoders may differ in floats, in text outside ASCII and in the deadline.
    let params =
        json!({ "ratio": 0.1, "whole": 2.0, "large": 1e16, "text": "žluťoučký/\u{2028}", "none": null });
    let job = orchestrator.submit_limited("echo", &params, 30.5);
    orchestrator.wait_for_status(&job, "finished");
}
