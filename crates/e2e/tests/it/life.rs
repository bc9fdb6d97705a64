//! How a worker ends.

use std::time::Duration;

use e2e::{LIMIT, Orchestrator, Request, Version, Worker, WorkerOptions, until};
use serde_json::json;

with_both_orchestrators!(an_idle_worker_ends_on_sigterm, a_running_task_finishes_before_the_worker_ends);

/// The orchestrators of these tests hold a poll for a second, which a worker with a given id waits for.
const GRACE: Duration = Duration::from_secs(10);

fn an_idle_worker_ends_on_sigterm(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let mut worker = Worker::start(&orchestrator);
    assert_eq!(worker.terminate(GRACE), 0);
}

fn a_running_task_finishes_before_the_worker_ends(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let mut worker = WorkerOptions::new(&orchestrator).with("WORKER_SHUTDOWN_TIMEOUT", "8").start();
    orchestrator.wait_for_worker(worker.id());

    let job = orchestrator.submit("sleep", &json!({ "seconds": 2.5 }));
    until("the task is with the worker", LIMIT, || {
        (orchestrator.count(Request::is_dispatch) == 1).then_some(())
    });
    assert_eq!(worker.terminate(GRACE), 0);
    // The result was acknowledged before the end, so there is nothing left to wait for.
    let job = orchestrator.job(&job);
    assert_eq!(job["status"], "finished", "{job}");
}
