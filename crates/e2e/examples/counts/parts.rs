//! Parts of the path that have a cost of their own.

use std::collections::BTreeMap;
use std::hint::black_box;

use avtomatika_worker::WorkerConfig;
use avtomatika_worker::files::StandaloneFiles;
use rxon::WorkerId;
use rxon::model::{Costs, Task, TaskResult};
use rxon::signing::Seal;
use serde_json::value::RawValue;

use crate::{Log, TOKEN, runtime, task};

/// Reads a task.
pub(crate) fn parse(times: usize) -> Result<(), String> {
    let body = task(1);
    for _ in 0..times {
        let task = Task::parse(black_box(body.as_bytes()));
        black_box(task.map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// Writes a result with a little data, makes it ready and signs it, as the delivery of results does for one try.
pub(crate) fn seal(times: usize) -> Result<(), String> {
    let worker_id = WorkerId::new("counted").map_err(|error| error.to_string())?;
    let seal = Seal::new(worker_id.clone(), TOKEN);
    let data = r#"{"output":"/tmp/scaled.png","width":640,"height":480,"ratio":0.1}"#;
    let Task { job_id, task_id, .. } = Task::parse(task(1).as_bytes()).map_err(|error| error.to_string())?;
    let result = TaskResult {
        job_id,
        task_id,
        origin_worker_id: worker_id.clone(),
        worker_id,
        status: "success".to_owned(),
        data: Some(raw(data)?),
        error: None,
        data_metadata: BTreeMap::new(),
        metadata: None,
        costs: Some(Costs::default()),
    };
    for _ in 0..times {
        let result = black_box(&result);
        let body = serde_json::to_vec(result).map_err(|error| error.to_string())?;
        let prepared = seal.prepare(result).ok_or("the result cannot be signed")?;
        let sealed = seal.result(&body, &prepared);
        black_box(sealed.map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// Logs what a task with one line of the user's own logs: its span, and three lines.
pub(crate) fn log(log: Log, times: usize) -> Result<(), String> {
    let (_, guard) = log.install(WorkerConfig::defaults().worker_token(TOKEN));
    let guard = guard.ok_or("there is nothing to count with the log off")?;
    for _ in 0..times {
        // The fields of the worker's own span and lines.
        let span = tracing::error_span!(
            "task",
            task_id = "task-00000001",
            job_id = "job-00000001",
            orchestrator = "http://127.0.0.1:8080",
            trace_id = tracing::field::Empty,
            parent_span_id = tracing::field::Empty
        );
        span.in_scope(|| {
            tracing::info!(task = "nothing", "task started");
            tracing::info!(rows = 1200, file = "/data/rows.csv", "the rows are counted");
            tracing::info!(task = "nothing", outcome = "success", seconds = 0.25, "task ended");
        });
    }
    drop(guard);
    Ok(())
}

/// Looks for addresses of files in parameters of 16 KiB, in which no string is one.
pub(crate) fn files(times: usize) -> Result<(), String> {
    const ROW: &str = r#"{"name":"scaled picture","path":"/data/pictures/0001.png","size":[640,480],"ratio":0.1,"tags":["a","b\n"]}"#;
    let rows = vec![ROW; 16 * 1024 / ROW.len()].join(",");
    // Only parameters in which the scheme of addresses stands are looked through.
    let params = raw(&format!(r#"{{"note":"addresses begin with s3:","rows":[{rows}]}}"#))?;
    let mut config = WorkerConfig::defaults();
    for (variable, value) in [
        // It is never connected to.
        ("S3_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("S3_ACCESS_KEY", "key"),
        ("S3_SECRET_KEY", "secret"),
        ("TASK_FILES_DIR", "/nonexistent"),
    ] {
        config.set(variable, value).map_err(|error| error.to_string())?;
    }
    runtime()?.block_on(async move {
        let files = StandaloneFiles::new(&config).map_err(|error| error.to_string())?;
        for _ in 0..times {
            let fetched = files.fetch_inputs("task-00000001", params.clone(), &BTreeMap::new()).await;
            black_box(fetched.map_err(|error| error.to_string())?);
        }
        Ok(())
    })
}

fn raw(json: &str) -> Result<Box<RawValue>, String> {
    RawValue::from_string(json.to_owned()).map_err(|error| error.to_string())
}
