//! Tasks that take too long.

use std::collections::BTreeSet;

use e2e::{LIMIT, Orchestrator, Request, Version, Worker, WorkerOptions, until};
use serde_json::json;

with_both_orchestrators!(
    a_task_past_its_deadline_never_runs_twice_at_once,
    the_workers_own_limit_stops_a_task,
    a_blocking_task_past_the_limit_is_reported_when_it_ends,
);

fn a_task_past_its_deadline_never_runs_twice_at_once(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = Worker::start(&orchestrator);
    let id = orchestrator.submit_limited("sleep", &json!({ "seconds": 8 }), 1.5);
    match version {
        // The worker is not notified: the job fails, and the task runs to its end, once.
        Version::V1_0b12 => {
            let job = orchestrator.wait_for_status(&id, "failed");
            assert_eq!(job["error_message"], "Worker task timed out.", "{job}");
            assert_eq!(orchestrator.count(Request::is_dispatch), 1);
        }
        // All attempts have the deadline of the job: the first one is stopped there, and the others are too late to
        // start.
        Version::V1_0b30 => {
            let job = orchestrator.wait_for_status(&id, "quarantined");
            let message = job["error_message"].as_str().unwrap_or_default();
            assert!(message.ends_with("the task's deadline has passed"), "{job}");
            assert_timed_out(&orchestrator.results_of(&id), 4);
        }
    }
    assert_eq!(max_at_once(&worker), 1);
    let next = orchestrator.submit_limited("echo", &json!({ "in": "time" }), 60.0);
    orchestrator.wait_for_status(&next, "finished");
}

fn the_workers_own_limit_stops_a_task(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = WorkerOptions::new(&orchestrator).with("WORKER_TASK_TIMEOUT", "0.5").start();
    orchestrator.wait_for_worker(worker.id());
    let id = orchestrator.submit("sleep", &json!({ "seconds": 100 }));
    let job = orchestrator.wait_for_status(&id, "quarantined");
    assert!(
        job["error_message"].as_str().is_some_and(|message| message.contains("after 4 attempts")),
        "{job}"
    );
    assert_timed_out(&orchestrator.results_of(&id), 4);
    assert_eq!(max_at_once(&worker), 1);
}

fn a_blocking_task_past_the_limit_is_reported_when_it_ends(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = WorkerOptions::new(&orchestrator).with("WORKER_TASK_TIMEOUT", "0.2").start();
    orchestrator.wait_for_worker(worker.id());
    let id = orchestrator.submit("block", &json!({ "seconds": 1 }));
    until("the task has been tried four times", LIMIT, || {
        (orchestrator.results_of(&id).len() == 4).then_some(())
    });
    orchestrator.wait_for_status(&id, "quarantined");
    assert_timed_out(&orchestrator.results_of(&id), 4);
    assert_eq!(max_at_once(&worker), 1, "the task was started again before it had ended");
}

fn assert_timed_out(results: &[serde_json::Value], count: usize) {
    assert_eq!(results.len(), count, "{results:?}");
    assert!(results.iter().all(|result| result["error"]["code"] == "TIMEOUT_ERROR"), "{results:?}");
}

/// Returns the largest number of tasks that ran at once, according to the worker's log. A task that arrives too late to
/// start has only a line for its end.
fn max_at_once(worker: &Worker) -> usize {
    let (mut running, mut most) = (BTreeSet::new(), 0);
    for line in worker.log().lines() {
        let id = || {
            line.split("task_id=").nth(1).and_then(|rest| rest.split([' ', '}']).next()).map(str::to_owned)
        };
        if line.contains("task started") {
            running.insert(id());
            most = most.max(running.len());
        } else if line.contains("task ended") {
            running.remove(&id());
        }
    }
    most
}
