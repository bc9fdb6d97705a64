//! The real orchestrators, which use the same S3 storage as their workers.

use std::sync::Arc;
use std::time::Duration;

use avtomatika_worker::WorkerConfig;
use avtomatika_worker::prelude::*;
use e2e::{
    LIMIT, Orchestrator, OrchestratorOptions, Storage, StorageKind, Version, Worker, WorkerOptions, until,
};
use serde_json::{Value, json};
use testkit::{Fault, FaultProxy, Rule};

use crate::reports::{Given, Made};

with_both_orchestrators!(
    a_file_goes_from_one_task_to_the_next_and_is_checked,
    files_of_any_depth_go_in_and_out,
    a_worker_with_the_orchestrators_storage_is_accepted,
);

async fn make(files: TaskFiles) -> Result<Json<Made>, TaskError> {
    let report = files.write("report.txt", "from the first to the second").await?;
    Ok(Json(Made { report: report.into() }))
}

async fn read(Params(given): Params<Given>) -> Result<Json<Value>, TaskError> {
    Ok(Json(json!({ "text": std::fs::read_to_string(&given.report)? })))
}

/// Runs a worker with `make` and `read`, and with the storage behind a proxy, until `judge`, which inspects the
/// orchestrator, has returned.
fn beside_worker(
    orchestrator: &Orchestrator,
    storage: &Storage,
    judge: impl FnOnce(FaultProxy) + Send + 'static,
) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let proxy = FaultProxy::start(storage.address()).await;
        let own = [
            ("ORCHESTRATOR_URL", orchestrator.url()),
            ("WORKER_TOKEN", orchestrator.worker_token().to_owned()),
            ("WORKER_ID", "reporter".to_owned()),
            ("HEARTBEAT_INTERVAL", "1".to_owned()),
            ("TASK_FILES_DIR", directory.path().display().to_string()),
        ];
        let all = own.into_iter().chain(storage.variables_at(&proxy.url()));
        let config = WorkerConfig::from_variables(all.map(|(name, value)| (name.to_owned(), value)));
        let builder = avtomatika_worker::Worker::builder().config(config);
        let worker = builder.task("make", make).task("read", read).build().expect("a worker");
        let judged = tokio::task::spawn_blocking(move || judge(proxy));
        let stop = async { judged.await.expect("the assertions hold") };
        let stopped = tokio::time::timeout(Duration::from_secs(90), worker.run_until(stop));
        stopped.await.expect("it ends").expect("it could run");
    });
}

fn a_file_goes_from_one_task_to_the_next_and_is_checked(version: Version) {
    for kind in [StorageKind::Local, StorageKind::Moto] {
        let storage = Storage::start(kind);
        let orchestrator = Arc::new(OrchestratorOptions::new(version).storage(&storage).start());
        let watched = orchestrator.clone();
        beside_worker(&orchestrator, &storage, move |proxy| {
            watched.wait_for_worker("reporter");
            let job = watched.submit_two_steps("make", &json!({}), "read", &["report"]);
            watched.wait_for_status(&job, "finished");
            let results = watched.results_of(&job);
            let metadata = &results[0]["data_metadata"]["report"];
            assert_eq!(
                (&metadata["uri"], &metadata["size"]),
                (&results[0]["data"]["report"], &json!(28)),
                "{results:#?}"
            );
            assert_eq!(results[1]["data"]["text"], "from the first to the second", "{results:#?}");

            // The second task has the metadata that the first one sent, so a changed file is noticed.
            proxy.add(
                Rule::new(Fault::Header("etag", Some("\"another\"".to_owned())))
                    .method("HEAD")
                    .containing("report.txt"),
            );
            let job = watched.submit_two_steps("make", &json!({}), "read", &["report"]);
            let results = until("the second task has ended", LIMIT, || {
                Some(watched.results_of(&job)).filter(|results| results.len() >= 2)
            });
            let (metadata, error) = (&results[0]["data_metadata"]["report"], &results[1]["error"]);
            assert_eq!(error["code"], "INTEGRITY_MISMATCH_ERROR", "{results:#?}");
            let message = error["message"].as_str().unwrap_or_default();
            let etag = metadata["etag"].as_str().expect("an ETag");
            assert!(message.contains("`another`") && message.contains(etag), "{results:#?}");
        });
    }
}

fn started(version: Version, storage: &Storage) -> (Orchestrator, Worker, tempfile::TempDir) {
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

fn files_of_any_depth_go_in_and_out(version: Version) {
    let storage = Storage::start(StorageKind::Local);
    storage.put("in/a.txt", "a");
    let (orchestrator, _worker, _directory) = started(version, &storage);
    let params = json!({ "input": { "list": [storage.uri("in/a.txt"), "text"] } });
    let job = orchestrator.submit("read_input", &params);
    orchestrator.wait_for_status(&job, "finished");
    let seen = orchestrator.results_of(&job)[0]["data"]["input"]["list"].clone();
    assert_eq!(
        (&seen[0]["kind"], &seen[0]["size"], &seen[1]["kind"]),
        (&json!("file"), &json!(1), &json!("text"))
    );

    let job =
        orchestrator.submit("write_file", &json!({ "name": "x/y.txt", "content": "out", "nested": true }));
    orchestrator.wait_for_status(&job, "finished");
    let result = &orchestrator.results_of(&job)[0];
    let uri = result["data"]["outer"]["list"][0].as_str().expect("an address");
    let key = uri.strip_prefix(&storage.uri("")).expect("it is in the bucket");
    assert_eq!(storage.get(key).as_deref(), Some(&b"out"[..]), "{result}");
    assert_eq!(result["data_metadata"]["outer.list[0]"]["uri"], uri, "{result}");

    let missing = orchestrator.submit("read_input", &json!({ "input": storage.uri("in/none.txt") }));
    until("its failure has arrived", LIMIT, || {
        let result = orchestrator.results_of(&missing).pop()?;
        assert_eq!(result["error"]["code"], "PERMANENT_ERROR", "{result}");
        Some(())
    });
}

fn a_worker_with_the_orchestrators_storage_is_accepted(version: Version) {
    let storage = Storage::start(StorageKind::Local);
    let (orchestrator, worker, _directory) = started(version, &storage);
    let known = orchestrator.worker(worker.id()).expect("it is known");
    let hash = &known["capabilities"]["s3_config_hash"];
    assert!(hash.as_str().is_some_and(|hash| hash.len() == 16), "{known}");
}
