//! A client cancels a job.

use e2e::{LIMIT, Orchestrator, Request, Version, Worker, until};
use serde_json::json;

with_both_orchestrators!(a_cancelled_job_is_stopped_if_the_orchestrator_notifies_the_worker);

fn a_cancelled_job_is_stopped_if_the_orchestrator_notifies_the_worker(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = Worker::start(&orchestrator);
    // Without a websocket 1.0b12 does not notify the worker: the task runs to its end.
    let seconds = if version == Version::V1_0b12 { 3 } else { 100 };
    let job = orchestrator.submit("sleep", &json!({ "seconds": seconds }));
    orchestrator.wait_for_dispatches(1);
    until("the task is reported as running", LIMIT, || {
        orchestrator.worker(worker.id()).filter(|worker| worker["current_tasks"] != json!([]))
    });
    orchestrator.cancel(&job);

    match version {
        Version::V1_0b12 => {
            orchestrator.wait_for_status(&job, "finished");
        }
        Version::V1_0b30 => {
            let result = until("the result arrives", LIMIT, || orchestrator.results_of(&job).pop());
            assert_eq!(result["status"], "cancelled", "{result}");
            let job = orchestrator.wait_for_status(&job, "cancelled");
            assert_eq!(job["state_history"], json!({}), "{job}");
        }
    }
    assert_eq!(orchestrator.count(Request::is_dispatch), 1);
    let next = orchestrator.submit("echo", &json!({ "goes": "on" }));
    orchestrator.wait_for_status(&next, "finished");
}
