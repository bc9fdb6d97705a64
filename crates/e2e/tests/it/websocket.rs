//! The websocket of the real orchestrators.

use e2e::{LIMIT, Orchestrator, Request, Version, WorkerOptions, until};
use serde_json::json;

with_both_orchestrators!(
    a_cancelled_job_is_stopped_over_the_websocket,
    a_job_that_is_cancelled_while_it_waits_is_not_run,
    progress_goes_over_the_websocket,
    two_live_workers_with_one_id_are_warned_of,
);

/// The options of a worker with a websocket. The interval of its heartbeats is long, so that commands and progress
/// cannot go by heartbeat.
fn options(orchestrator: &Orchestrator) -> WorkerOptions {
    WorkerOptions::new(orchestrator).with("WORKER_ENABLE_WEBSOCKETS", "true").with("HEARTBEAT_INTERVAL", "30")
}

/// Waits until commands can be sent: 1.0b30 ignores `websockets` in a registration, and sends no command over a
/// websocket before a heartbeat has announced it.
fn wait_until_open(orchestrator: &Orchestrator, worker: &e2e::Worker) {
    worker.log().wait_for("the websocket is open", LIMIT, |line| line.contains("the websocket is open"));
    until("the orchestrator knows of the websocket", LIMIT, || {
        orchestrator.worker(worker.id()).filter(|worker| worker["capabilities"]["websockets"] == true)
    });
}

fn a_cancelled_job_is_stopped_over_the_websocket(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = options(&orchestrator).start();
    wait_until_open(&orchestrator, &worker);
    let job = orchestrator.submit("sleep", &json!({ "seconds": 100 }));
    orchestrator.wait_for_dispatches(1);
    until("the task is reported as running", LIMIT, || {
        orchestrator.worker(worker.id()).filter(|worker| worker["current_tasks"] != json!([]))
    });
    orchestrator.cancel(&job);
    worker.log().wait_for("the command", LIMIT, |line| line.contains("told to cancel"));
    let result = until("the result arrives", LIMIT, || orchestrator.results_of(&job).pop());
    assert_eq!(result["status"], "cancelled", "{result}");
    orchestrator.wait_for_status(&job, "cancelled");
    assert_eq!(orchestrator.count(Request::is_dispatch), 1);
    let next = orchestrator.submit("echo", &json!({ "goes": "on" }));
    orchestrator.wait_for_status(&next, "finished");
}

/// The orchestrator sends the task to the worker in spite of the cancellation.
fn a_job_that_is_cancelled_while_it_waits_is_not_run(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = options(&orchestrator)
        .with("MAX_CONCURRENT_TASKS", "1")
        .with("WORKER_CAPACITY_REPORTING", "queue")
        .start();
    wait_until_open(&orchestrator, &worker);
    let first = orchestrator.submit("sleep", &json!({ "seconds": 3 }));
    orchestrator.wait_for_dispatches(1);
    let waits = orchestrator.submit("sleep", &json!({ "seconds": 100 }));
    orchestrator.wait_for_status(&waits, "waiting_for_worker");
    orchestrator.cancel(&waits);
    let result = until("the result arrives", LIMIT, || orchestrator.results_of(&waits).pop());
    assert_eq!(result["status"], "cancelled", "{result}");
    orchestrator.wait_for_status(&waits, "cancelled");
    orchestrator.wait_for_status(&first, "finished");
    let started = worker.log().lines().iter().filter(|line| line.contains("task started")).count();
    assert_eq!(started, 1);
}

fn two_live_workers_with_one_id_are_warned_of(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = options(&orchestrator).start();
    wait_until_open(&orchestrator, &worker);
    let _other = worker.start_successor();
    // 1.0b12 closes only the first replaced websocket, and from then on keeps both open; it sends no other warning.
    let expected = match version {
        Version::V1_0b12 => "the websocket was closed by the orchestrator (1008)",
        Version::V1_0b30 => "share one `WORKER_ID`",
    };
    worker.log().wait_for("that there is another worker", LIMIT, |line| line.contains(expected));
}

fn progress_goes_over_the_websocket(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = options(&orchestrator).start();
    wait_until_open(&orchestrator, &worker);
    // The first ten messages are sent at once, the last one a second later, and the result after it.
    let job = orchestrator.submit("progress", &json!({ "steps": 20 }));
    let half = until("progress is shown", LIMIT, || {
        Some(orchestrator.job(&job)["progress"].clone()).filter(|progress| *progress == json!(0.5))
    });
    assert_eq!(half, json!(0.5));
    orchestrator.wait_for_status(&job, "finished");
    let by_request =
        orchestrator.requests().iter().filter(|request| request.path.contains("/events")).count();
    assert_eq!(by_request, 0);
}
