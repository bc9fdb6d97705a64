//! The end of a worker.

use std::time::Duration;

use e2e::{LIMIT, Orchestrator, OrchestratorOptions, Request, Version, Worker, WorkerOptions, until, within};
use serde_json::json;

with_both_orchestrators!(
    an_idle_worker_ends_on_sigterm,
    a_running_task_finishes_before_the_worker_ends,
    a_worker_that_drains_stays_known,
    a_successor_with_the_same_id_loses_no_job,
    a_worker_with_a_random_id_abandons_its_open_poll,
    a_second_sigterm_gives_the_task_to_another_worker,
    sigterm_while_the_orchestrator_is_down_ends_at_once,
    a_result_that_cannot_be_delivered_is_named_at_the_end,
);

/// The time limit for the end of a worker. A worker with a configured id waits for its polls, which the orchestrators
/// of these tests hold for a second.
const GRACE: Duration = Duration::from_secs(10);

fn an_idle_worker_ends_on_sigterm(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let mut worker = Worker::start(&orchestrator);
    assert_eq!(crate::terminate(&mut worker, GRACE), 0);
}

fn a_running_task_finishes_before_the_worker_ends(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let mut worker = WorkerOptions::new(&orchestrator).with("WORKER_SHUTDOWN_TIMEOUT", "8").start();
    orchestrator.wait_for_worker(worker.id());

    let job = orchestrator.submit("sleep", &json!({ "seconds": 2.5 }));
    orchestrator.wait_for_dispatches(1);
    assert_eq!(crate::terminate(&mut worker, GRACE), 0);
    // The result was acknowledged before the end, so there is nothing left to wait for.
    let job = orchestrator.job(&job);
    assert_eq!(job["status"], "finished", "{job}");
}

fn a_worker_that_drains_stays_known(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let mut worker = WorkerOptions::new(&orchestrator).with("HEARTBEAT_INTERVAL", "0.5").start();
    orchestrator.wait_for_worker(worker.id());
    let job = orchestrator.submit("sleep", &json!({ "seconds": 5 }));
    orchestrator.wait_for_dispatches(1);

    worker.signal();
    let drains = orchestrator.wait_for_worker_status(worker.id(), "busy");
    assert_eq!(drains["supported_tasks"], json!([]), "{drains}");
    let before = orchestrator.count(Request::is_heartbeat);
    until("heartbeats go on", LIMIT, || {
        (orchestrator.count(Request::is_heartbeat) >= before + 4).then_some(())
    });
    assert_eq!(orchestrator.results_of(&job).len(), 0, "the heartbeats arrived while the task ran");
    assert!(
        !orchestrator.worker(worker.id()).expect("it is known")["current_tasks"]
            .as_array()
            .expect("a list")
            .is_empty()
    );

    assert_eq!(crate::wait_for_exit(&mut worker, GRACE), 0);
    assert_eq!(orchestrator.job(&job)["status"], "finished");
    let requests = orchestrator.requests();
    let registrations = requests.iter().filter(|request| request.is_registration()).count();
    assert_eq!(registrations, 1, "the orchestrator never forgot it: {requests:?}");
}

/// The orchestrator would keep an abandoned poll, and answer it with the first task for the successor.
fn a_successor_with_the_same_id_loses_no_job(version: Version) {
    let orchestrator = OrchestratorOptions::new(version).hold(4).start();
    let mut worker = Worker::start(&orchestrator);
    let job = orchestrator.submit("echo", &json!({}));
    orchestrator.wait_for_status(&job, "finished");

    assert_eq!(crate::terminate(&mut worker, GRACE), 0);
    let successor = worker.start_successor();
    orchestrator.wait_for_worker(successor.id());
    let jobs: Vec<_> = (0..4).map(|index| orchestrator.submit("echo", &json!({ "n": index }))).collect();
    for job in &jobs {
        orchestrator.wait_for_status(job, "finished");
        assert_eq!(orchestrator.results_of(job).len(), 1);
    }
    assert_eq!(orchestrator.count(Request::is_dispatch), 5, "{:?}", orchestrator.requests());
}

fn a_worker_with_a_random_id_abandons_its_open_poll(version: Version) {
    const HOLD: u32 = 60;
    let orchestrator = OrchestratorOptions::new(version).hold(HOLD).start();
    let mut worker = WorkerOptions::new(&orchestrator).with_random_id().start();
    let known = until("a worker is known and idle", LIMIT, || {
        orchestrator.workers().into_iter().find(|worker| worker["status"] == "idle")
    });
    assert!(known["worker_id"].as_str().is_some_and(|id| id.starts_with("worker-")), "{known}");
    // A held poll leaves no trace, but a task shows that the worker polls.
    let job = orchestrator.submit("echo", &json!({}));
    orchestrator.wait_for_status(&job, "finished");

    assert_eq!(crate::terminate(&mut worker, Duration::from_secs(u64::from(HOLD) / 3)), 0);
    let gone = orchestrator.workers();
    assert!(
        gone.iter().all(|worker| worker["status"] == "busy"),
        "no task is given to it any more: {gone:?}"
    );
}

fn a_second_sigterm_gives_the_task_to_another_worker(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let mut worker = Worker::start(&orchestrator);
    let job = orchestrator.submit("sleep", &json!({ "seconds": 5 }));
    orchestrator.wait_for_dispatches(1);
    // If no worker is idle, both orchestrators answer 500 to a failure that they want to retry.
    let other = Worker::start(&orchestrator);

    worker.signal();
    orchestrator.wait_for_worker_status(worker.id(), "busy");
    worker.signal();
    assert_eq!(crate::wait_for_exit(&mut worker, GRACE), 1);
    let results = orchestrator.results_of(&job);
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!(results[0]["worker_id"], worker.id());
    assert_eq!(results[0]["error"]["code"], "TRANSIENT_ERROR", "{results:?}");
    assert_eq!(results[0]["error"]["message"], "worker shut down", "{results:?}");

    orchestrator.wait_for_status(&job, "finished");
    let results = orchestrator.results_of(&job);
    assert_eq!((results.len(), &results[1]["worker_id"]), (2, &json!(other.id())));
}

fn sigterm_while_the_orchestrator_is_down_ends_at_once(version: Version) {
    let mut orchestrator = Orchestrator::start(version);
    let mut worker = Worker::start(&orchestrator);
    let job = orchestrator.submit("echo", &json!({}));
    orchestrator.wait_for_status(&job, "finished");
    orchestrator.stop();
    worker.log().wait_for("that it does not answer", LIMIT, |line| line.contains("does not answer"));
    assert_eq!(crate::terminate(&mut worker, GRACE), 0);
}

fn a_result_that_cannot_be_delivered_is_named_at_the_end(version: Version) {
    let mut orchestrator = Orchestrator::start(version);
    let mut worker = WorkerOptions::new(&orchestrator).with("WORKER_SHUTDOWN_TIMEOUT", "3").start();
    orchestrator.wait_for_worker(worker.id());
    orchestrator.submit("sleep", &json!({ "seconds": 1 }));
    orchestrator.wait_for_dispatches(1);
    orchestrator.stop();
    let ended = worker.log().wait_for("the task's end", LIMIT, |line| line.contains("task ended"));
    let task = ended.split("task_id=").nth(1).and_then(|rest| rest.split(' ').next()).expect("an id");

    assert_eq!(crate::terminate(&mut worker, GRACE), 1);
    let named = within(LIMIT, || {
        let lines = worker.log().lines();
        lines.into_iter().find(|line| line.contains("ERROR") && line.contains("not acknowledged"))
    });
    assert!(named.as_ref().is_some_and(|line| line.contains(task)), "{task} is not in {named:?}");
}
