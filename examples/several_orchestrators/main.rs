//! One worker with two orchestrators: when the first one ends, the second takes over.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::future::pending;

use avtomatika_dev::{DevOrchestrator, NewTask, Settings};
use avtomatika_worker::config::{MultiOrchestratorMode, OrchestratorEntry};
use avtomatika_worker::prelude::*;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

async fn greet(RawParams(params): RawParams) -> Json<Value> {
    Json(json!({"greeted": params}))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let first = DevOrchestrator::start(Settings::new()).await?;
    let second = DevOrchestrator::start(Settings::new()).await?;
    let entries = vec![
        OrchestratorEntry::new(first.url().parse()?).with_priority(1),
        OrchestratorEntry::new(second.url().parse()?).with_priority(2),
    ];
    let config = WorkerConfig::defaults()
        .orchestrators_config(entries)
        .multi_orchestrator_mode(MultiOrchestratorMode::Failover);
    let worker = Worker::builder().config(config).task("greet", greet).build()?;
    let handle = worker.handle();
    let client = async {
        let result = lead(first, &second).await;
        handle.drain();
        result
    };
    let (stopped, result) = tokio::join!(worker.run_until(pending()), client);
    stopped?;
    result
}

async fn lead(first: DevOrchestrator, second: &DevOrchestrator) -> Result<()> {
    println!("the first orchestrator: {}", greeted(&first, "Ada").await?);
    println!("workers of the second orchestrator meanwhile: {}", second.workers().len());
    first.shutdown().await;
    println!("the first orchestrator has ended");
    println!("the second orchestrator: {}", greeted(second, "Grace").await?);
    Ok(())
}

async fn greeted(orchestrator: &DevOrchestrator, name: &str) -> Result<Value> {
    let task = orchestrator.submit(NewTask::new("greet").with_params(json!({"name": name})))?;
    Ok(orchestrator.wait(&task.job_id).await?.data_as()?.unwrap_or_default())
}
