//! Many jobs at once.

use std::thread;

use e2e::{Orchestrator, Version, WorkerOptions};
use serde_json::{Value, json};

with_both_orchestrators!(twenty_jobs_at_once_finish_within_four_slots);

/// `queue`, because to both orchestrators a busy worker is a reason to quarantine a job rather than to wait.
fn twenty_jobs_at_once_finish_within_four_slots(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let options = WorkerOptions::new(&orchestrator)
        .with("MAX_CONCURRENT_TASKS", "4")
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

    let most = runs.iter().map(|(start, _)| running_at(*start, &runs)).max();
    assert!((2..=4).contains(&most.unwrap_or(0)), "at most {most:?} tasks ran at once: {runs:?}");
}

fn run_of(job: &Value) -> (f64, f64) {
    let time = |name: &str| job["state_history"][name].as_f64().expect("`sleep` tells its times");
    (time("started"), time("finished"))
}

fn running_at(moment: f64, runs: &[(f64, f64)]) -> usize {
    runs.iter().filter(|(start, end)| *start <= moment && moment < *end).count()
}
