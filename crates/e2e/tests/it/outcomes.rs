//! How a task ends decides what becomes of its job.

use e2e::{Orchestrator, Request, Version, Worker};
use serde_json::json;

with_both_orchestrators!(
    a_job_without_a_worker_is_quarantined,
    a_job_is_finished_with_the_handlers_data,
    numbers_and_text_survive_the_round_trip,
    a_transient_failure_is_tried_four_times,
    a_permanent_failure_is_quarantined,
    an_invalid_input_is_a_failed_job,
    a_custom_status_is_taken_as_a_transition,
);

/// Needs no worker: it shows that the orchestrator itself is up and its blueprint in force.
fn a_job_without_a_worker_is_quarantined(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let job = orchestrator.submit("echo", &json!({}));
    let job = orchestrator.wait_for_status(&job, "quarantined");
    assert_eq!(job["error_message"], "No suitable workers for task type 'echo'");
}

fn a_job_is_finished_with_the_handlers_data(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let job = orchestrator.submit("typed", &json!({ "width": 3, "height": 2 }));
    let job = orchestrator.wait_for_status(&job, "finished");
    assert_eq!(job["state_history"], json!({ "width": 3, "height": 2 }));
}

fn numbers_and_text_survive_the_round_trip(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    // Without members that are null: 1.0b30 drops those of a job before any worker sees them.
    let params = json!({
        "text": "zażółć 😀 \u{7f}\u{2028} \"\\ \t",
        "floats": [0.1, 5e-324, 1.5e-300, -2.5, 1e-7],
        "integers": [9_007_199_254_740_993_u64, -9_007_199_254_740_993_i64, u64::MAX, i64::MIN],
        "nested": { "": [null, true, {}, []], "é": "ü" },
    });
    let job = orchestrator.submit("echo", &params);
    let job = orchestrator.wait_for_status(&job, "finished");
    assert_eq!(job["state_history"], params);
}

fn a_transient_failure_is_tried_four_times(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let job = orchestrator.submit("fail", &json!({ "code": "TRANSIENT_ERROR", "message": "try again" }));
    let job = orchestrator.wait_for_status(&job, "quarantined");
    assert!(message_of(&job).ends_with("failed after 4 attempts: try again"), "{job}");
    assert_eq!(orchestrator.count(Request::is_dispatch), 4);
}

fn a_permanent_failure_is_quarantined(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let job = orchestrator.submit("fail", &json!({ "code": "PERMANENT_ERROR", "message": "never" }));
    let job = orchestrator.wait_for_status(&job, "quarantined");
    assert_eq!(job["error_message"], "Task failed with permanent error (PERMANENT_ERROR): never");
    assert_eq!(orchestrator.count(Request::is_dispatch), 1);
}

fn an_invalid_input_is_a_failed_job(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let job = orchestrator.submit("typed", &json!({ "width": 0, "height": 2 }));
    let job = orchestrator.wait_for_status(&job, "failed");
    let message = message_of(&job);
    assert!(message.starts_with("Task failed due to invalid input: "), "{job}");
    assert!(message.contains("Width and height must be positive."), "{job}");
    assert_eq!(orchestrator.count(Request::is_dispatch), 1);
}

fn a_custom_status_is_taken_as_a_transition(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let params = json!({ "status": "needs_manual_review", "data": { "reason": "blurred" } });
    let job = orchestrator.submit_for_review("status", &params);
    let job = orchestrator.wait_for_status(&job, "finished");
    assert_eq!(job["state_history"], json!({ "reason": "blurred" }));
}

fn message_of(job: &serde_json::Value) -> &str {
    job["error_message"].as_str().unwrap_or_default()
}
