//! A worker with a client certificate, which trusts only one certificate authority.
//!
//! The example makes the keys and certificates itself. The development orchestrator speaks plain HTTP, so a TLS proxy
//! in front of it refuses connections without a certificate; in production, a reverse proxy does this.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

mod door;

use std::future::pending;

use avtomatika_dev::{DevOrchestrator, NewTask, Settings};
use avtomatika_worker::prelude::*;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let orchestrator = DevOrchestrator::start(Settings::new()).await?;
    let door = door::Door::open(folder.path(), orchestrator.address()).await?;
    let config = |certificate: bool| {
        let url = format!("https://localhost:{}", door.port()).parse()?;
        let config = WorkerConfig::defaults()
            .orchestrator_url(Some(url))
            .worker_id(Some(avtomatika_worker::WorkerId::new("worker-1")?))
            .tls_ca_path(Some(folder.path().join("ca.pem")));
        Result::Ok(if certificate {
            config
                .tls_cert_path(Some(folder.path().join("worker.pem")))
                .tls_key_path(Some(folder.path().join("worker.key")))
        } else {
            config
        })
    };
    let run = async |config: WorkerConfig| -> Result<Value> {
        let worker = Worker::builder().config(config).task("greet", async || Json(json!({"text": "Hello!"})));
        let worker = worker.build()?;
        let handle = worker.handle();
        let client = async {
            let task = orchestrator.submit(NewTask::new("greet"))?;
            let time = std::time::Duration::from_secs(2);
            let ended = tokio::time::timeout(time, orchestrator.wait(&task.job_id)).await;
            handle.drain();
            Result::Ok(match ended {
                Ok(ended) => ended?.data_as()?.unwrap_or_default(),
                Err(_) => json!("no worker took the task"),
            })
        };
        let (stopped, result) = tokio::join!(worker.run_until(pending()), client);
        stopped?;
        result
    };
    println!("without a certificate: {}", run(config(false)?).await?);
    println!("with a certificate: {}", run(config(true)?).await?);
    Ok(())
}
