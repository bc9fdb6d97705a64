//! The outcome of a task decides how its job ends.

use e2e::{Orchestrator, Request, Version, Worker};
use serde_json::json;

with_both_orchestrators!(
    a_job_without_a_worker_is_quarantined,
    a_job_is_finished_with_the_handlers_data,
    numbers_and_text_survive_the_round_trip,
    a_job_without_data_is_finished,
    each_error_code_decides_the_fate_of_its_job,
    unexpected_failures_are_tried_four_times_and_do_no_harm,
    an_invalid_input_is_a_failed_job_with_its_problems,
    an_unknown_task_never_reaches_the_worker,
    a_custom_status_is_taken_as_a_transition,
    a_custom_status_without_a_transition_is_a_failed_job,
);

/// Needs no worker: this shows that the orchestrator runs and uses the blueprint.
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
    // Without members that are null: 1.0b30 removes them from a job before it gives the task to a worker.
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

fn a_job_without_data_is_finished(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let job = orchestrator.submit("none", &json!({}));
    let finished = orchestrator.wait_for_status(&job, "finished");
    assert_eq!(finished["state_history"], json!({}));
    let results = orchestrator.results_of(&job);
    assert_eq!(results.len(), 1, "{results:?}");
    assert!(results[0]["data"].is_null() && results[0]["error"].is_null(), "{results:?}");
}

/// The end of a job whose task failed.
#[derive(Clone, Copy)]
enum Fate {
    TriedFourTimes,
    Quarantined,
    Failed,
}

/// The error codes of both generations. 1.0b12 does not know the last three, nor the made-up one.
fn fates(version: Version) -> [(&'static str, Fate); 13] {
    let contract = match version {
        Version::V1_0b12 => Fate::TriedFourTimes,
        Version::V1_0b30 => Fate::Quarantined,
    };
    [
        ("TRANSIENT_ERROR", Fate::TriedFourTimes),
        ("TIMEOUT_ERROR", Fate::TriedFourTimes),
        ("RESOURCE_EXHAUSTED_ERROR", Fate::TriedFourTimes),
        ("INTERNAL_ERROR", Fate::TriedFourTimes),
        ("MADE_UP_ERROR", Fate::TriedFourTimes),
        ("PERMANENT_ERROR", Fate::Quarantined),
        ("SECURITY_ERROR", Fate::Quarantined),
        ("DEPENDENCY_ERROR", Fate::Quarantined),
        ("INVALID_INPUT_ERROR", Fate::Failed),
        ("INTEGRITY_MISMATCH_ERROR", Fate::Failed),
        ("LIMIT_EXCEEDED_ERROR", Fate::TriedFourTimes),
        ("DEPENDENCY_MISSING_ERROR", Fate::TriedFourTimes),
        ("CONTRACT_VIOLATION_ERROR", contract),
    ]
}

fn each_error_code_decides_the_fate_of_its_job(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let jobs = fates(version).map(|(code, fate)| {
        let params = json!({ "code": code, "message": format!("because of {code}") });
        (code, fate, orchestrator.submit("fail", &params))
    });
    for (code, fate, id) in &jobs {
        let (status, attempts) = match fate {
            Fate::TriedFourTimes => ("quarantined", 4),
            Fate::Quarantined => ("quarantined", 1),
            Fate::Failed => ("failed", 1),
        };
        let job = orchestrator.wait_for_status(id, status);
        let message = message_of(&job);
        assert!(message.contains(&format!("because of {code}")), "{job}");
        match fate {
            Fate::TriedFourTimes => assert!(message.contains("failed after 4 attempts"), "{job}"),
            Fate::Quarantined => assert!(message.contains(code), "{job}"),
            Fate::Failed => {}
        }
        let results = orchestrator.results_of(id);
        assert_eq!(results.len(), attempts, "{code}: {results:?}");
        assert!(results.iter().all(|result| result["error"]["code"] == *code), "{results:?}");
    }
}

fn unexpected_failures_are_tried_four_times_and_do_no_harm(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let mut worker = Worker::start(&orchestrator);
    let failures = [
        json!({ "message": "it went wrong" }),
        json!({ "message": "it went wrong", "kind": "value" }),
        json!({ "message": "it went wrong", "panic": true }),
    ];
    let jobs = failures.map(|params| orchestrator.submit("raise", &params));
    for id in &jobs {
        let job = orchestrator.wait_for_status(id, "quarantined");
        assert!(message_of(&job).contains("failed after 4 attempts"), "{job}");
        assert!(message_of(&job).contains("it went wrong"), "{job}");
        let results = orchestrator.results_of(id);
        assert_eq!(results.len(), 4, "{results:?}");
        for result in &results {
            assert_eq!(result["error"]["code"], "TRANSIENT_ERROR");
            assert!(result["error"]["details"]["type"].is_string(), "{result}");
        }
    }
    assert!(worker.is_running());
    let job = orchestrator.submit("echo", &json!({ "still": "here" }));
    orchestrator.wait_for_status(&job, "finished");
}

fn an_invalid_input_is_a_failed_job_with_its_problems(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let shape = json!({ "width": "wide", "height": 2 });
    let own_rule = json!({ "width": 0, "height": 2 });
    let two_rules = json!({ "width": 0, "height": -1, "source_url": "http://pictures" });
    let cases = [
        ("typed", shape, "width", 1),
        ("typed", own_rule, "Width and height must be positive.", 1),
        ("validated", two_rules, "height", 2),
    ];
    let jobs =
        cases.map(|(task, params, says, problems)| (orchestrator.submit(task, &params), says, problems));
    for (id, says, problems) in &jobs {
        let job = orchestrator.wait_for_status(id, "failed");
        let message = message_of(&job);
        assert!(message.starts_with("Task failed due to invalid input: "), "{job}");
        assert!(message.contains(says), "{job}");
        let results = orchestrator.results_of(id);
        assert_eq!(results.len(), 1, "{results:?}");
        let error = &results[0]["error"];
        assert_eq!(error["code"], "INVALID_INPUT_ERROR");
        assert_eq!(error["details"]["problems"].as_array().map(Vec::len), Some(*problems), "{error}");
    }
    let job = orchestrator.submit("validated", &json!({ "width": 3, "height": 2, "source_url": "http://a" }));
    let job = orchestrator.wait_for_status(&job, "finished");
    assert_eq!(job["state_history"], json!({ "width": 3, "height": 2 }));
}

/// Both orchestrators know the tasks of a worker.
fn an_unknown_task_never_reaches_the_worker(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let job = orchestrator.submit("no_such_task", &json!({}));
    orchestrator.wait_for_status(&job, "quarantined");
    assert_eq!(orchestrator.count(Request::is_dispatch), 0);
}

fn a_custom_status_is_taken_as_a_transition(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let params = json!({ "status": "needs_manual_review", "data": { "reason": "blurred" } });
    let job = orchestrator.submit_for_review("status", &params);
    let job = orchestrator.wait_for_status(&job, "finished");
    assert_eq!(job["state_history"], json!({ "reason": "blurred" }));
}

fn a_custom_status_without_a_transition_is_a_failed_job(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let _worker = Worker::start(&orchestrator);
    let job = orchestrator.submit("status", &json!({ "status": "weird" }));
    let failed = orchestrator.wait_for_status(&job, "failed");
    assert!(message_of(&failed).contains("weird"), "{failed}");
    assert_eq!(orchestrator.results_of(&job).len(), 1);
}

fn message_of(job: &serde_json::Value) -> &str {
    job["error_message"].as_str().unwrap_or_default()
}
