//! Many jobs at once, and the state of a full worker at the orchestrator.

use std::thread;

use e2e::{LIMIT, Orchestrator, Request, Version, WorkerOptions, until};
use serde_json::{Value, json};

with_both_orchestrators!(
    twenty_jobs_at_once_finish_within_two_slots,
    a_full_worker_is_shown_busy_and_idle_again_afterwards,
    a_full_limit_group_is_not_accepted_while_other_tasks_are,
);

/// Uses `queue`, because both orchestrators quarantine a job instead of waiting for a busy worker.
fn twenty_jobs_at_once_finish_within_two_slots(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let options = WorkerOptions::new(&orchestrator)
        .with("MAX_CONCURRENT_TASKS", "2")
        .with("WORKER_CAPACITY_REPORTING", "queue");
    let worker = options.start();
    orchestrator.wait_for_worker(worker.id());

    let jobs: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| orchestrator.submit("sleep", &json!({ "seconds": 0.3 }))))
            .collect();
        clients.into_iter().map(|client| client.join().expect("the job is accepted")).collect()
    });
    let runs: Vec<(f64, f64)> =
        jobs.iter().map(|job| run_of(&orchestrator.wait_for_status(job, "finished"))).collect();

    let max = runs.iter().map(|(start, _)| running_at(*start, &runs)).max();
    assert_eq!(max, Some(2), "the number of tasks at once: {runs:?}");
    assert_eq!(orchestrator.count(Request::is_dispatch), 20);
}

fn a_full_worker_is_shown_busy_and_idle_again_afterwards(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = WorkerOptions::new(&orchestrator).with("MAX_CONCURRENT_TASKS", "2").start();
    let idle = orchestrator.wait_for_worker_status(worker.id(), "idle");
    let all = accepted(&idle);
    assert!(all.iter().all(|tasks| tasks.contains(&"sleep")), "{idle}");

    let jobs: Vec<_> = (0..2).map(|_| orchestrator.submit("sleep", &json!({ "seconds": 2 }))).collect();
    let busy = orchestrator.wait_for_worker_status(worker.id(), "busy");
    assert!(accepted(&busy).iter().all(Vec::is_empty), "{busy}");
    assert_eq!(busy["load"].as_f64(), Some(2.0), "{busy}");

    for job in &jobs {
        orchestrator.wait_for_status(job, "finished");
    }
    let idle = orchestrator.wait_for_worker_status(worker.id(), "idle");
    assert_eq!(accepted(&idle), all);
    until("nothing is reported as running", LIMIT, || {
        orchestrator.worker(worker.id()).filter(|worker| worker["current_tasks"] == json!([]))
    });
    let job = orchestrator.submit("echo", &json!({}));
    orchestrator.wait_for_status(&job, "finished");
}

fn a_full_limit_group_is_not_accepted_while_other_tasks_are(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let worker = WorkerOptions::new(&orchestrator)
        .with("CONFORMANCE_TYPE_LIMITS", r#"{"video_processing": 1}"#)
        .with("MAX_CONCURRENT_TASKS", "4")
        .start();
    orchestrator.wait_for_worker(worker.id());

    let first = orchestrator.submit("video", &json!({ "seconds": 4 }));
    let full = until("video is no longer accepted", LIMIT, || {
        let known = orchestrator.worker(worker.id())?;
        let without = accepted(&known).iter().all(|tasks| !tasks.contains(&"video"));
        without.then_some(known)
    });
    assert_eq!(full["status"], "idle", "{full}");
    assert!(
        accepted(&full).iter().all(|tasks| tasks.contains(&"audio") && tasks.contains(&"echo")),
        "{full}"
    );
    // 1.0b30 goes by the registered tasks: the worker gets this task, which waits for its group. 1.0b12 goes by the
    // accepted tasks: no worker could take it.
    let early =
        (version == Version::V1_0b30).then(|| orchestrator.submit("video", &json!({ "seconds": 0.1 })));
    for (task, params) in [("audio", json!({ "seconds": 0.1 })), ("echo", json!({ "now": true }))] {
        let job = orchestrator.submit(task, &params);
        orchestrator.wait_for_status(&job, "finished");
    }
    assert_ne!(orchestrator.job(&first)["status"], "finished", "the other tasks ran beside it");

    let first = run_of(&orchestrator.wait_for_status(&first, "finished"));
    until("video is accepted again", LIMIT, || {
        let known = orchestrator.worker(worker.id())?;
        accepted(&known).iter().all(|tasks| tasks.contains(&"video")).then_some(())
    });
    let second = early.unwrap_or_else(|| orchestrator.submit("video", &json!({ "seconds": 0.1 })));
    let second = run_of(&orchestrator.wait_for_status(&second, "finished"));
    assert!(second.0 >= first.1, "two tasks of the group at once, expected one: {first:?}, {second:?}");
}

/// Returns the tasks that a worker accepts now, from the fields of both generations.
fn accepted(worker: &Value) -> [Vec<&str>; 2] {
    ["supported_tasks", "available_skills"].map(|field| {
        let tasks = worker[field].as_array().unwrap_or_else(|| panic!("no list `{field}`: {worker}"));
        tasks.iter().filter_map(Value::as_str).collect()
    })
}

fn run_of(job: &Value) -> (f64, f64) {
    let time = |name: &str| job["state_history"][name].as_f64().expect("`sleep` returns its times");
    (time("started"), time("finished"))
}

fn running_at(moment: f64, runs: &[(f64, f64)]) -> usize {
    runs.iter().filter(|(start, end)| *start <= moment && moment < *end).count()
}
