//! The worker: the task `take` downloads files, `give` uploads one.

use std::io::Read;
use std::path::{Path, PathBuf};

use avtomatika_worker::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Address, SENT};
use crate::measure::Stretch;
use crate::roles::{TOKEN, WORKER_ID};

#[derive(Deserialize)]
struct Taken {
    /// An `s3://` address, which the worker has replaced by a path.
    files: PathBuf,
}

/// Runs until standard input is closed, then prints the figures.
pub(super) fn run(directory: &Path, address: &Address) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let sent = directory.join(SENT);
    let take = |Params(taken): Params<Taken>| async move {
        if taken.files.is_absolute() { Ok(()) } else { Err(TaskError::permanent("no file was downloaded")) }
    };
    let give = move |files: TaskFiles| give(files, sent.clone());
    let worker = Worker::builder()
        .config(config(directory, address)?)
        .task("take", take)
        .task("give", give)
        .build()
        .map_err(|error| error.to_string())?;
    let stretch = Stretch::begin();
    let stopped = runtime.block_on(worker.run_until(async {
        let closed = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0; 1]));
        let _ = closed.await;
        stretch.end(1);
    }));
    stopped.map(|_| ()).map_err(|error| error.to_string())
}

/// Uploads a file that exists already, since creating it is not part of the measurement.
async fn give(files: TaskFiles, sent: PathBuf) -> Result<Json<Value>, TaskError> {
    let path = files.path_to("sent.bin").await?;
    std::fs::rename(sent, &path)?;
    Ok(Json(json!({ "file": path })))
}

fn config(directory: &Path, address: &Address) -> Result<WorkerConfig, String> {
    let mut config = WorkerConfig::defaults().worker_token(TOKEN);
    let directory = directory.display().to_string();
    for (variable, value) in [
        ("ORCHESTRATOR_URL", &address.orchestrator),
        ("WORKER_ID", &WORKER_ID.to_owned()),
        ("WORKER_HOST", &"127.0.0.1".to_owned()),
        ("WORKER_PORT", &"0".to_owned()),
        ("TASK_FILES_DIR", &directory),
        ("S3_ENDPOINT_URL", &address.endpoint),
        ("S3_ACCESS_KEY", &address.access_key),
        ("S3_SECRET_KEY", &address.secret_key),
        ("S3_DEFAULT_BUCKET", &address.bucket),
    ] {
        config.set(variable, value).map_err(|error| error.to_string())?;
    }
    Ok(config)
}
