//! The process with the storage and the orchestrator.

use std::io::BufRead;
use std::time::Instant;

use avtomatika_dev::{DevOrchestrator, LocalS3, NewTask, Settings, TaskStatus};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Address, Kind, LARGE_KEY, MANY_PREFIX, SMALL};

/// Fills the storage, and prints its address. Then, for each line `KIND` on standard input, runs a task as soon as a
/// worker is registered, and prints the seconds that it took. Ends when standard input is closed.
#[expect(clippy::print_stdout, reason = "its output is read by the benchmark")]
pub(super) fn serve(large: usize, many: usize) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let orchestrator = runtime.block_on(DevOrchestrator::start(Settings::new()));
    let orchestrator = orchestrator.map_err(|error| error.to_string())?;
    let storage = orchestrator.storage().ok_or("there is no storage")?;
    runtime.block_on(fill(storage, large, many)).map_err(|error| error.to_string())?;
    let address = Address {
        orchestrator: orchestrator.url(),
        endpoint: storage.endpoint(),
        access_key: storage.access_key().to_owned(),
        secret_key: storage.secret_key().to_owned(),
        bucket: storage.bucket().to_owned(),
    };
    println!("{}", address.line());
    for line in std::io::stdin().lock().lines() {
        let kind = Kind::parse(&line.map_err(|error| error.to_string())?)?;
        println!("{}", one(&runtime, &orchestrator, kind)?);
    }
    runtime.block_on(orchestrator.shutdown());
    Ok(())
}

async fn fill(storage: &LocalS3, large: usize, many: usize) -> std::io::Result<()> {
    storage.put(storage.bucket(), LARGE_KEY, pattern(large)).await?;
    for number in 0..many {
        let key = format!("{MANY_PREFIX}{:02}/{number:05}.bin", number % 20);
        storage.put(storage.bucket(), &key, pattern(SMALL)).await?;
    }
    Ok(())
}

fn one(runtime: &Runtime, orchestrator: &DevOrchestrator, kind: Kind) -> Result<f64, String> {
    runtime.block_on(async {
        let mut feed = orchestrator.subscribe();
        while orchestrator.workers().is_empty() {
            feed.next().await.ok_or("the orchestrator ended")?;
        }
        let bucket = orchestrator.storage().map(LocalS3::bucket).unwrap_or_default();
        let task = match kind {
            Kind::Down => {
                NewTask::new("take").with_params(json!({ "files": format!("s3://{bucket}/{LARGE_KEY}") }))
            }
            Kind::Many => {
                NewTask::new("take").with_params(json!({ "files": format!("s3://{bucket}/{MANY_PREFIX}") }))
            }
            Kind::Up => NewTask::new("give"),
        };
        let began = Instant::now();
        let job = orchestrator.submit(task).map_err(|error| error.to_string())?.job_id;
        let ended = orchestrator.wait(&job).await.map_err(|error| error.to_string())?;
        let seconds = began.elapsed().as_secs_f64();
        match ended.status {
            TaskStatus::Finished => Ok(seconds),
            status => Err(format!("the task `{}` is {status}: {:?}", kind.name(), ended.error)),
        }
    })
}

/// Returns bytes for which neither compression nor zeroed pages are of any use.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    let word = |number: usize| (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes = Vec::with_capacity(length + 8);
    for number in 0..length.div_ceil(8) {
        bytes.extend_from_slice(&word(number));
    }
    bytes.truncate(length);
    bytes
}
