//! Two layers around every task: one measures its time, the other opens a connection and passes it to the handler.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::time::{Duration, Instant};

use std::future::pending;

use avtomatika_dev::{DevOrchestrator, NewTask, Settings};
use avtomatika_worker::middleware::{Next, from_fn};
use avtomatika_worker::prelude::*;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Stands for a resource that a handler needs but should not create itself.
#[derive(Clone)]
struct Connection(String);

/// The layer added first is the outermost: its time includes the other layers.
async fn measured(request: TaskRequest, next: Next) -> Outcome {
    let (name, began) = (request.context().name().clone(), Instant::now());
    let outcome = next.run(request).await;
    let quick = if began.elapsed() < Duration::from_secs(1) { "quickly" } else { "slowly" };
    println!("measured: `{name}` ended {quick} with `{}`", outcome.label());
    outcome
}

async fn connected(mut request: TaskRequest, next: Next) -> Outcome {
    let connection = Connection(format!("connection for {}", request.context().name()));
    println!("connected: opened the {}", connection.0);
    request.extensions_mut().insert(connection);
    next.run(request).await
}

async fn ask(Extension(connection): Extension<Connection>) -> Json<Value> {
    println!("handler: uses the {}", connection.0);
    Json(json!({"answer": 42}))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let orchestrator = DevOrchestrator::start(Settings::new()).await?;
    let config = WorkerConfig::defaults().orchestrator_url(Some(orchestrator.url().parse()?));
    let worker = Worker::builder()
        .config(config)
        .task("ask", ask)
        .layer(from_fn(measured))
        .layer(from_fn(connected))
        .build()?;
    let handle = worker.handle();
    let client = async {
        let result = submit(&orchestrator).await;
        handle.drain();
        result
    };
    let (stopped, result) = tokio::join!(worker.run_until(pending()), client);
    stopped?;
    result
}

async fn submit(orchestrator: &DevOrchestrator) -> Result<()> {
    let task = orchestrator.submit(NewTask::new("ask"))?;
    let ended = orchestrator.wait(&task.job_id).await?;
    println!("result: {}", ended.data_as::<Value>()?.unwrap_or_default());
    Ok(())
}
