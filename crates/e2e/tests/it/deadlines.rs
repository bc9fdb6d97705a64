//! A task that takes too long.

use std::collections::BTreeSet;

use e2e::{LIMIT, Orchestrator, Request, Version, Worker, WorkerOptions, until};
use serde_json::json;

with_both_orchestrators!(
    a_task_past_its_deadline_never_runs_beside_itself,
    the_workers_own_limit_stops_a_task,
    a_blocking_task_past_the_limit_is_reported_when_it_ends,
);

fn a_task_past_its_deadline_never_runs_beside_itself(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = Worker::start(&orchestrator);
    let id = orchestrator.submit_limited("sleep", &json!({ "seconds": 8 }), 1.5);
    match version {
        // It tells nobody: the job is failed, and the worker goes on, once.
        Version::V1_0b12 => {
            let job = orchestrator.wait_for_status(&id, "failed");
            assert_eq!(job["error_message"], "Worker task timed out.", "{job}");
            assert_eq!(orchestrator.count(Request::is_dispatch), 1);
        }
        // Its deadline is the job's: the first attempt is stopped at it, and the others are too late to begin.
        Version::V1_0b30 => {
            let job = orchestrator.wait_for_status(&id, "quarantined");
            let message = job["error_message"].as_str().unwrap_or_default();
            assert!(message.ends_with("the task's deadline has passed"), "{job}");
            assert_timed_out(&orchestrator.results_of(&id), 4);
        }
    }
    assert_eq!(most_at_once(&worker), 1);
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
    assert_eq!(most_at_once(&worker), 1);
}

fn a_blocking_task_past_the_limit_is_reported_when_it_ends(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = WorkerOptions::new(&orchestrator).with("WORKER_TASK_TIMEOUT", "0.2").start();
    orchestrator.wait_for_worker(worker.id());
    let id = orchestrator.submit("block", &json!({ "seconds": 1 }));
    until("it runs again and again", LIMIT, || (orchestrator.results_of(&id).len() == 4).then_some(()));
    orchestrator.wait_for_status(&id, "quarantined");
    assert_timed_out(&orchestrator.results_of(&id), 4);
    assert_eq!(most_at_once(&worker), 1, "it began again before it had ended");
}

fn assert_timed_out(results: &[serde_json::Value], count: usize) {
    assert_eq!(results.len(), count, "{results:?}");
    assert!(results.iter().all(|result| result["error"]["code"] == "TIMEOUT_ERROR"), "{results:?}");
}

/// How many tasks ran at once at most, by the worker's log. One that comes too late to begin only ends there.
fn most_at_once(worker: &Worker) -> usize {
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
