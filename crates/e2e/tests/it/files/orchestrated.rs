//! Both real orchestrators, which have their own files in the same store.

use e2e::{OrchestratorOptions, Storage, StorageKind, Version, Worker, WorkerOptions};
use serde_json::json;

with_both_orchestrators!(a_file_goes_from_one_task_to_the_next);

fn started(version: Version, storage: &Storage) -> (e2e::Orchestrator, Worker) {
    let orchestrator = OrchestratorOptions::new(version).storage(storage).start();
    let options = storage
        .variables()
        .iter()
        .fold(WorkerOptions::new(&orchestrator), |options, (name, value)| options.with(name, value));
    let worker = options.start();
    orchestrator.wait_for_worker(worker.id());
    (orchestrator, worker)
}

fn a_file_goes_from_one_task_to_the_next(version: Version) {
    let storage = Storage::start(StorageKind::Local);
    let (orchestrator, _worker) = started(version, &storage);
    let params = json!({ "report": "text" });
    let job = orchestrator.submit_two_steps("echo", &params, "echo", &["echo"]);
    orchestrator.wait_for_status(&job, "finished");
    let results = orchestrator.results_of(&job);
    panic!("{results:#?}");
}
