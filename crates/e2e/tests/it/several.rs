//! A worker with several orchestrators.

use std::time::Duration;

use e2e::{JobId, LIMIT, Orchestrator, OrchestratorOptions, Request, Version, Worker, WorkerOptions, within};
use serde_json::json;
use testkit::Stopwatch;

with_both_orchestrators!(
    a_killed_active_orchestrator_is_replaced_until_it_is_back,
    a_hanging_active_orchestrator_is_replaced,
    round_robin_runs_the_jobs_of_all,
    waterfall_runs_the_jobs_of_all,
    a_hanging_orchestrator_delays_neither_the_others_jobs_nor_the_end,
    a_killed_orchestrator_delays_neither_the_others_jobs_nor_the_end,
    each_orchestrator_has_a_token_of_its_own,
);

/// The time limit for jobs that should take a second or two: short enough to notice that a result has waited for
/// another orchestrator.
const SOON: Duration = Duration::from_secs(20);

/// The time limit for the end of a worker. With a configured id it waits for its open polls, and for those of an
/// orchestrator that hangs for up to 3 s.
const GRACE: Duration = Duration::from_secs(20);

fn a_killed_active_orchestrator_is_replaced_until_it_is_back(version: Version) {
    replaced_until_it_is_back([version, version]);
}

#[test]
fn generations_replace_each_other() {
    replaced_until_it_is_back([Version::V1_0b12, Version::V1_0b30]);
    replaced_until_it_is_back([Version::V1_0b30, Version::V1_0b12]);
}

fn replaced_until_it_is_back(versions: [Version; 2]) {
    let [mut first, second] = versions.map(Orchestrator::start);
    let mut worker = WorkerOptions::for_all(&[&first, &second]).start();
    first.wait_for_worker(worker.id());
    finish_jobs(&first, 3);
    assert_eq!(
        second.requests(),
        [],
        "a standby that knew the worker would give tasks to it, which it does not poll for"
    );

    first.stop();
    second.wait_for_worker(worker.id());
    finish_jobs(&second, 3);

    first.restart();
    first.wait_for_worker(worker.id());
    finish_jobs(&first, 3);
    second.wait_for_worker_status(worker.id(), "busy");
    assert_eq!(crate::terminate(&mut worker, GRACE), 0);
}

/// Takes more than 10 s, which is the time limit of a heartbeat.
fn a_hanging_active_orchestrator_is_replaced(version: Version) {
    let [first, second] = [version; 2].map(Orchestrator::start);
    let mut worker = WorkerOptions::for_all(&[&first, &second]).with("WORKER_SHUTDOWN_TIMEOUT", "3").start();
    first.wait_for_worker(worker.id());
    let slow = first.submit("sleep", &json!({ "seconds": 2 }));
    first.wait_for_dispatches(1);

    first.pause();
    second.wait_for_worker(worker.id());
    finish_jobs(&second, 3);

    first.resume();
    // The result of the earlier task is sent to the orchestrator that the task came from.
    first.wait_for_status(&slow, "finished");
    assert_eq!(first.results_of(&slow).len(), 1);
    assert_eq!(second.results_of(&slow).len(), 0);
    second.wait_for_worker_status(worker.id(), "busy");
    finish_jobs(&first, 3);
    assert_eq!(crate::terminate(&mut worker, GRACE), 0);
}

fn round_robin_runs_the_jobs_of_all(version: Version) {
    jobs_of_all_run("ROUND_ROBIN", [version; 2]);
}

fn waterfall_runs_the_jobs_of_all(version: Version) {
    jobs_of_all_run("WATERFALL", [version; 2]);
}

#[test]
fn generations_are_served_side_by_side() {
    for mode in ["ROUND_ROBIN", "WATERFALL"] {
        jobs_of_all_run(mode, [Version::V1_0b12, Version::V1_0b30]);
    }
}

fn jobs_of_all_run(mode: &str, versions: [Version; 2]) {
    let [first, second] = versions.map(Orchestrator::start);
    // Two slots for both orchestrators: neither may keep both. With `queue` the jobs of a full worker wait.
    let mut worker = WorkerOptions::weighted(&[(&first, 3), (&second, 1)])
        .with("MAX_CONCURRENT_TASKS", "2")
        .with("MULTI_ORCHESTRATOR_MODE", mode)
        .with("WORKER_CAPACITY_REPORTING", "queue")
        .start();
    for orchestrator in [&first, &second] {
        orchestrator.wait_for_worker(worker.id());
    }
    let submit = |orchestrator: &Orchestrator| -> Vec<JobId> {
        (0..10).map(|_| orchestrator.submit("sleep", &json!({ "seconds": 0.05 }))).collect()
    };
    let jobs = [(&first, submit(&first)), (&second, submit(&second))];
    for (orchestrator, ids) in &jobs {
        for id in ids {
            orchestrator.wait_for_status(id, "finished");
            // The result was sent once, to the orchestrator that the job came from.
            assert_eq!(orchestrator.results_of(id).len(), 1);
        }
        assert_eq!(orchestrator.results().len(), 10);
    }
    assert_eq!(crate::terminate(&mut worker, GRACE), 0);
}

fn a_hanging_orchestrator_delays_neither_the_others_jobs_nor_the_end(version: Version) {
    for mode in ["ROUND_ROBIN", "WATERFALL"] {
        let [first, second] = [version; 2].map(Orchestrator::start);
        let mut worker = both(mode, &first, &second);
        first.pause();
        // More jobs than slots, so that every slot is used again after it was lent to the other orchestrator.
        assert_finish_soon(&second, 12);
        assert_eq!(crate::terminate(&mut worker, GRACE), 0);
        first.resume();
    }
}

fn a_killed_orchestrator_delays_neither_the_others_jobs_nor_the_end(version: Version) {
    for mode in ["ROUND_ROBIN", "WATERFALL"] {
        let [mut first, second] = [version; 2].map(Orchestrator::start);
        let mut worker = both(mode, &first, &second);
        first.stop();
        assert_finish_soon(&second, 12);
        first.restart();
        first.wait_for_worker(worker.id());
        finish_jobs(&first, 3);
        first.stop();
        assert_eq!(crate::terminate(&mut worker, GRACE), 0);
    }
}

/// Starts a worker with three slots, and waits until both orchestrators know it.
fn both(mode: &str, first: &Orchestrator, second: &Orchestrator) -> Worker {
    let worker = WorkerOptions::for_all(&[first, second])
        .with("MAX_CONCURRENT_TASKS", "3")
        .with("MULTI_ORCHESTRATOR_MODE", mode)
        .with("WORKER_CAPACITY_REPORTING", "queue")
        .with("WORKER_SHUTDOWN_TIMEOUT", "3")
        .start();
    for orchestrator in [first, second] {
        orchestrator.wait_for_worker(worker.id());
        finish_jobs(orchestrator, 1);
    }
    worker
}

/// The same token signs messages: 1.0b30 checks signatures with the token that it knows the worker by.
fn each_orchestrator_has_a_token_of_its_own(version: Version) {
    let start = |token: &str| OrchestratorOptions::new(version).worker_token(token).start();
    let [first, second] = ["token-of-the-first", "token-of-the-second"].map(start);
    let mut worker = WorkerOptions::for_all(&[&first, &second])
        .with("MULTI_ORCHESTRATOR_MODE", "ROUND_ROBIN")
        .with("WORKER_TOKEN", "token-of-nobody")
        .start();
    for orchestrator in [&first, &second] {
        orchestrator.wait_for_worker(worker.id());
        finish_jobs(orchestrator, 3);
        let refused = orchestrator.count(|request| matches!(request.status, 401 | 403));
        assert_eq!(refused, 0, "{:?}", orchestrator.requests());
        assert_eq!(orchestrator.count(|request| request.is_result() && request.status == 200), 3);
    }
    assert_eq!(crate::terminate(&mut worker, GRACE), 0);
    let leaked = worker.log().lines().into_iter().find(|line| line.contains("token-of-"));
    assert_eq!(leaked, None);
}

/// Runs jobs one after another.
fn finish_jobs(orchestrator: &Orchestrator, count: usize) {
    for index in 0..count {
        let job = orchestrator.submit("echo", &json!({ "index": index }));
        let job = orchestrator.wait_for_status(&job, "finished");
        assert_eq!(job["state_history"], json!({ "index": index }));
    }
}

/// Runs jobs at once, and checks that they end before the time limit of another orchestrator's requests.
fn assert_finish_soon(orchestrator: &Orchestrator, count: usize) {
    let before = orchestrator.count(|request| request.is_result() && request.status == 200);
    let jobs: Vec<_> = (0..count).map(|index| orchestrator.submit("echo", &json!({ "n": index }))).collect();
    let stopwatch = Stopwatch::start();
    let finished = within(LIMIT, || {
        let results = orchestrator.count(|request| Request::is_result(request) && request.status == 200);
        (results >= before + count).then_some(())
    });
    assert!(finished.is_some(), "only {} results after {LIMIT:?}", orchestrator.results().len());
    let took = stopwatch.took();
    assert!(took.is_below(SOON), "{took:?}");
    for job in &jobs {
        orchestrator.wait_for_status(job, "finished");
    }
}
