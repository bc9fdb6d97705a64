//! Both real orchestrators, which have their own files in the same store.

use e2e::{Orchestrator, OrchestratorOptions, Storage, StorageKind, Version, Worker, WorkerOptions};
use serde_json::json;
use tempfile::TempDir;

with_both_orchestrators!(a_file_goes_from_one_task_to_the_next, inputs_of_any_depth_are_read);

fn started(version: Version, storage: &Storage) -> (Orchestrator, Worker, TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let orchestrator = OrchestratorOptions::new(version).storage(storage).start();
    let mut options =
        WorkerOptions::new(&orchestrator).with("TASK_FILES_DIR", &directory.path().display().to_string());
    for (name, value) in storage.variables() {
        options = options.with(name, &value);
    }
    let worker = options.start();
    orchestrator.wait_for_worker(worker.id());
    (orchestrator, worker, directory)
}

fn a_file_goes_from_one_task_to_the_next(version: Version) {
    for kind in [StorageKind::Local, StorageKind::Moto] {
        let storage = Storage::start(kind);
        let (orchestrator, _worker, _directory) = started(version, &storage);
        let params = json!({ "name": "report.txt", "content": "from the first to the second" });
        let job = orchestrator.submit_two_steps("write_file", &params, "read_input", &["report"]);
        orchestrator.wait_for_status(&job, "finished");
        let results = orchestrator.results_of(&job);
        assert_eq!(results.len(), 2, "{results:#?}");
        let told = &results[0]["data_metadata"]["report"];
        assert_eq!(told["uri"], results[0]["data"]["report"], "{results:#?}");
        assert_eq!(told["size"], 28, "{results:#?}");
        assert_eq!(results[1]["data"]["input"], json!(null), "{results:#?}");
    }
}

fn inputs_of_any_depth_are_read(version: Version) {
    let storage = Storage::start(StorageKind::Local);
    storage.put("in/a.txt", "a");
    let (orchestrator, _worker, _directory) = started(version, &storage);
    let params = json!({ "input": { "list": [storage.uri("in/a.txt"), "text"] } });
    let job = orchestrator.submit("read_input", &params);
    orchestrator.wait_for_status(&job, "finished");
    let seen = &orchestrator.results_of(&job)[0]["data"]["input"]["list"];
    assert_eq!(
        (&seen[0]["kind"], &seen[0]["size"], &seen[1]["kind"]),
        (&json!("file"), &json!(1), &json!("text"))
    );
    let missing = orchestrator.submit("read_input", &json!({ "input": storage.uri("in/none.txt") }));
    let job = orchestrator.wait_for_status(&missing, "quarantined");
    assert!(job.to_string().contains("in/none.txt"), "{job}");
}
