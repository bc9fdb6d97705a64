//! Typed parameters and data: parameters that do not fit are refused before the handler runs.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::future::pending;

use avtomatika_dev::{DevOrchestrator, NewTask, Settings};
use avtomatika_worker::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resize {
    width: u32,
    #[serde(default = "one")]
    scale: f64,
}

fn one() -> f64 {
    1.0
}

#[derive(Serialize)]
struct Resized {
    width: f64,
}

async fn resize(Params(size): Params<Resize>) -> std::result::Result<Json<Resized>, TaskError> {
    if size.scale <= 0.0 {
        return Err(TaskError::invalid_input(format!("`scale` is {}, expected more than 0", size.scale)));
    }
    Ok(Json(Resized { width: f64::from(size.width) * size.scale }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let orchestrator = DevOrchestrator::start(Settings::new()).await?;
    let config = WorkerConfig::defaults().orchestrator_url(Some(orchestrator.url().parse()?));
    let worker = Worker::builder().config(config).task("resize", resize).build()?;
    let handle = worker.handle();
    let client = async {
        let result = submit_all(&orchestrator).await;
        handle.drain();
        result
    };
    let (stopped, result) = tokio::join!(worker.run_until(pending()), client);
    stopped?;
    result
}

async fn submit_all(orchestrator: &DevOrchestrator) -> Result<()> {
    for params in [
        json!({"width": 640, "scale": 0.5}),
        json!({"width": 640}),
        json!({"width": "wide"}),
        json!({"width": 640, "scale": -1}),
        json!({"width": 640, "hight": 480}),
    ] {
        let task = orchestrator.submit(NewTask::new("resize").with_params(&params))?;
        let ended = orchestrator.wait(&task.job_id).await?;
        match &ended.error {
            None => println!("{params} -> {}", ended.data_as::<Value>()?.unwrap_or_default()),
            Some(error) => println!("{params} -> {}: {}", error.code.as_str(), error.message),
        }
    }
    Ok(())
}
