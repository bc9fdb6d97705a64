//! A worker or an orchestrator is killed and started again.

use std::net::TcpListener;
use std::time::Duration;

use e2e::{LIMIT, Orchestrator, Request, Version, Worker, WorkerOptions, until};
use serde_json::json;

with_both_orchestrators!(
    a_killed_worker_started_again_gets_work,
    a_worker_registers_again_with_a_restarted_orchestrator,
    a_worker_registers_with_an_orchestrator_that_starts_later,
    a_result_from_before_the_restart_does_no_harm,
    an_orchestrator_that_hangs_gets_the_result_once,
);

fn a_killed_worker_started_again_gets_work(version: Version) {
    let orchestrator = Orchestrator::start(version);
    // One poll at a time, so that the killed worker leaves exactly one open poll.
    let mut worker = WorkerOptions::new(&orchestrator).with("WORKER_MAX_POLLERS", "1").start();
    orchestrator.wait_for_worker(worker.id());
    finish_a_job(&orchestrator);

    worker.kill_and_start_again();
    let registered = until("the worker registers a second time", LIMIT, || {
        let requests = orchestrator.requests();
        let mut registrations = requests.iter().enumerate().filter(|(_, request)| is_registered(request));
        registrations.nth(1).map(|(index, _)| index)
    });
    // The open poll of the killed worker would swallow a task. It is older than all polls of the successor, so it has
    // ended once one of these was answered without a task. The second such answer counts, since the first may belong to
    // the killed worker's poll.
    until("the dead worker's poll is over", LIMIT, || {
        let since = orchestrator.requests().split_off(registered);
        (since.iter().filter(|request| request.is_poll() && request.status == 204).count() >= 2).then_some(())
    });
    orchestrator.wait_for_worker(worker.id());
    finish_a_job(&orchestrator);
}

fn a_worker_registers_again_with_a_restarted_orchestrator(version: Version) {
    let mut orchestrator = Orchestrator::start(version);
    let mut worker = Worker::start(&orchestrator);
    finish_a_job(&orchestrator);

    orchestrator.restart();
    orchestrator.wait_for_worker(worker.id());
    // Two heartbeats at the interval, and one caused by a change.
    let requests = orchestrator.requests();
    let before: Vec<_> = requests.iter().take_while(|request| !request.is_registration()).collect();
    let heartbeats = before.iter().filter(|request| request.is_heartbeat()).count();
    assert!(heartbeats <= 3, "registered again only after {before:?}");
    finish_a_job(&orchestrator);
    assert!(worker.is_running());
    assert_eq!(crate::terminate(&mut worker, Duration::from_secs(10)), 0);
}

fn a_worker_registers_with_an_orchestrator_that_starts_later(version: Version) {
    let mut orchestrator = Orchestrator::reserve(version);
    let address = orchestrator.url();
    let address = address.trim_start_matches("http://");
    // First a listener that closes the connection, which shows that the worker has tried to connect.
    let closed = TcpListener::bind(address).expect("the port is free");
    let worker = WorkerOptions::new(&orchestrator).start();
    drop(closed.accept().expect("the worker connects"));
    drop(closed);

    orchestrator.restart();
    orchestrator.wait_for_worker(worker.id());
    finish_a_job(&orchestrator);
}

fn a_result_from_before_the_restart_does_no_harm(version: Version) {
    let mut orchestrator = Orchestrator::start(version);
    let mut worker = WorkerOptions::new(&orchestrator)
        .with("RESULT_MAX_RETRIES", "3")
        .with("RESULT_RETRY_INITIAL_DELAY", "0.1")
        .start();
    orchestrator.wait_for_worker(worker.id());
    orchestrator.submit("sleep", &json!({ "seconds": 1 }));
    orchestrator.wait_for_dispatches(1);
    orchestrator.stop();
    worker.log().wait_for("the task's end", LIMIT, |line| line.contains("task ended"));

    orchestrator.restart();
    orchestrator.wait_for_worker(worker.id());
    finish_a_job(&orchestrator);
    // The new orchestrator does not know the job, and answers accordingly.
    until("the old result is sent", LIMIT, || (orchestrator.results().len() >= 2).then_some(()));
    assert_eq!(crate::terminate(&mut worker, Duration::from_secs(30)), 0);
}

fn an_orchestrator_that_hangs_gets_the_result_once(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = Worker::start(&orchestrator);
    let job = orchestrator.submit("sleep", &json!({ "seconds": 1 }));
    orchestrator.wait_for_dispatches(1);

    orchestrator.pause();
    worker.log().wait_for("the task's end", LIMIT, |line| line.contains("task ended"));
    worker.log().wait_for("that heartbeats time out", LIMIT, |line| {
        line.contains("does not answer") && line.contains("heartbeat")
    });
    orchestrator.resume();

    orchestrator.wait_for_status(&job, "finished");
    orchestrator.wait_for_worker(worker.id());
    finish_a_job(&orchestrator);
    assert_eq!(orchestrator.results_of(&job).len(), 1);
    assert_eq!(orchestrator.count(Request::is_dispatch), 2);
}

fn finish_a_job(orchestrator: &Orchestrator) {
    let job = orchestrator.submit("echo", &json!({ "alive": true }));
    let job = orchestrator.wait_for_status(&job, "finished");
    assert_eq!(job["state_history"], json!({ "alive": true }));
}

fn is_registered(request: &Request) -> bool {
    request.is_registration() && request.status == 200
}
