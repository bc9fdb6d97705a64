//! Requests that the orchestrator refuses.

use std::time::Duration;

use e2e::{LIMIT, Orchestrator, Version, Worker, WorkerOptions, within};
use serde_json::json;

with_both_orchestrators!(
    a_wrong_token_is_logged_and_seldom_tried_again,
    a_result_that_is_too_large_ends_its_job
);

fn a_wrong_token_is_logged_and_seldom_tried_again(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let mut worker = WorkerOptions::new(&orchestrator).with("WORKER_TOKEN", "not-the-token").start();

    let status = version.refusal().to_string();
    worker.log().wait_for("the status and the variable to check", LIMIT, |line| {
        line.contains("ERROR") && line.contains(&status) && line.contains("WORKER_TOKEN")
    });
    // A registration, a request for a token and the registration again; all three are repeated at most once.
    let too_many = || (orchestrator.requests().len() > 6).then_some(());
    let found = within(Duration::from_secs(5), too_many);
    assert_eq!(found, None, "too many requests: {:?}", orchestrator.requests());

    let leaked = worker.log().lines().into_iter().find(|line| line.contains("not-the-token"));
    assert_eq!(leaked, None);
    assert!(worker.is_running(), "a refused worker continues to try");
    assert_eq!(crate::terminate(&mut worker, Duration::from_secs(10)), 0);
}

fn a_result_that_is_too_large_ends_its_job(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let job = orchestrator.submit_large("echo", 1_500_000);
    let job = orchestrator.wait_for_status(&job, "quarantined");
    let message = job["error_message"].as_str().unwrap_or_default();
    assert!(message.contains("result refused: 413"), "{message}");

    let next = orchestrator.submit("echo", &json!({ "small": 1 }));
    orchestrator.wait_for_status(&next, "finished");
}
