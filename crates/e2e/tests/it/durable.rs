//! Results and running tasks survive the death of a worker (`WORKER_OUTBOX_DIR`).

use std::thread;

use e2e::{LIMIT, Orchestrator, Request, Version, Worker, WorkerOptions, until};
use serde_json::json;
use tempfile::TempDir;
use testkit::Relay;
use tokio::sync::oneshot;

with_both_orchestrators!(
    an_unsent_result_survives_the_death_of_its_worker,
    a_task_that_died_with_its_worker_is_dispatched_again_at_once,
    the_third_death_with_the_same_task_ends_its_job,
);

/// A connection between a worker and its orchestrator that a test can interrupt.
struct Cable {
    relay: Relay,
    runtime: tokio::runtime::Handle,
    /// Ends the thread of the relay when it is dropped.
    _alive: oneshot::Sender<()>,
}

impl Cable {
    fn to(orchestrator: &Orchestrator) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let target = orchestrator.url().trim_start_matches("http://").parse().expect("an address");
        let relay = runtime.block_on(Relay::start(target));
        let (alive, ended) = oneshot::channel::<()>();
        thread::spawn(move || {
            let _ = runtime.block_on(ended);
        });
        Self { relay, runtime: handle, _alive: alive }
    }

    fn unplug(&self) {
        self.runtime.block_on(self.relay.refuse());
        self.relay.cut();
    }

    fn plug_in(&self) {
        self.runtime.block_on(self.relay.accept());
    }
}

/// The options of a worker that runs one task at a time, so that it leaves no open poll that could swallow a task.
fn worker(orchestrator: &Orchestrator, outbox: &TempDir) -> WorkerOptions {
    WorkerOptions::new(orchestrator)
        .with("MAX_CONCURRENT_TASKS", "1")
        .with("WORKER_OUTBOX_DIR", outbox.path().to_str().expect("UTF-8"))
        .with("RESULT_RETRY_INITIAL_DELAY", "0.2")
}

fn wait_for_start(worker: &Worker) {
    worker.log().wait_for("the task's start", LIMIT, |line| line.contains("task started"));
}

fn an_unsent_result_survives_the_death_of_its_worker(version: Version) {
    let (orchestrator, outbox) = (Orchestrator::start(version), tempfile::tempdir().expect("a folder"));
    let cable = Cable::to(&orchestrator);
    let mut worker = worker(&orchestrator, &outbox).with("ORCHESTRATOR_URL", &cable.relay.url()).start();
    orchestrator.wait_for_worker(worker.id());
    let job = orchestrator.submit("sleep", &json!({ "seconds": 1 }));
    wait_for_start(&worker);
    cable.unplug();
    worker.log().wait_for("the task's end", LIMIT, |line| line.contains("task ended"));
    // The result is written to disk before the first try to send it, which fails.
    worker.log().wait_for("that the result cannot be sent", LIMIT, |line| {
        line.contains("does not answer") && line.contains("result")
    });

    worker.kill_and_start_again();
    cable.plug_in();
    let job_state = orchestrator.wait_for_status(&job, "finished");
    assert!(job_state["state_history"]["finished"].is_number(), "{job_state}");
    assert_eq!(orchestrator.results_of(&job).len(), 1);
    assert_eq!(orchestrator.count(Request::is_dispatch), 1, "the task was not run again");
    assert_eq!(worker.terminate(LIMIT), 0);
    assert_eq!(std::fs::read_dir(outbox.path()).expect("a folder").count(), 0);
}

fn a_task_that_died_with_its_worker_is_dispatched_again_at_once(version: Version) {
    let (orchestrator, outbox) = (Orchestrator::start(version), tempfile::tempdir().expect("a folder"));
    let mut worker = worker(&orchestrator, &outbox).start();
    orchestrator.wait_for_worker(worker.id());
    let job = orchestrator.submit_limited("sleep", &json!({ "seconds": 2 }), 120.0);
    wait_for_start(&worker);
    worker.kill_and_start_again();
    wait_for_start(&worker);
    orchestrator.wait_for_status(&job, "finished");
    let codes: Vec<_> =
        orchestrator.results_of(&job).iter().map(|result| result["error"]["code"].clone()).collect();
    assert_eq!(codes, [json!("TRANSIENT_ERROR"), json!(null)]);
}

fn the_third_death_with_the_same_task_ends_its_job(version: Version) {
    let (orchestrator, outbox) = (Orchestrator::start(version), tempfile::tempdir().expect("a folder"));
    let mut worker = worker(&orchestrator, &outbox).start();
    orchestrator.wait_for_worker(worker.id());
    let job = orchestrator.submit_limited("sleep", &json!({ "seconds": 60 }), 120.0);
    for death in 1..=3 {
        wait_for_start(&worker);
        worker.kill_and_start_again();
        until("the death is reported", LIMIT, || {
            (orchestrator.results_of(&job).len() == death).then_some(())
        });
    }
    orchestrator.wait_for_status(&job, "quarantined");
    assert_eq!(orchestrator.count(Request::is_dispatch), 3);
}
