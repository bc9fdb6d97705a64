//! A model that is loaded once, and is reported to orchestrators, so that they know which skills are hot.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use std::future::pending;

use avtomatika_dev::{DevOrchestrator, NewTask, Settings};
use avtomatika_worker::prelude::*;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Stands for a model that takes a long time to load.
type Model = Arc<OnceLock<Vec<u8>>>;

async fn upscale(State(model): State<Model>, context: TaskContext) -> Json<Value> {
    let loaded_before = model.get().is_some();
    let model = model.get_or_init(|| vec![7; 1024]);
    context.add_to_hot_cache("upscaler");
    Json(json!({"loaded_before": loaded_before, "model_bytes": model.len()}))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let orchestrator = DevOrchestrator::start(Settings::new()).await?;
    let config = WorkerConfig::defaults()
        .orchestrator_url(Some(orchestrator.url().parse()?))
        .heartbeat_interval(Duration::from_millis(200));
    let worker = Worker::builder()
        .config(config)
        .task("upscale", upscale)
        .with_state(Model::default())
        .skill_dependencies("upscale", ["upscaler"])
        .on_startup(async || {
            println!("start-up: nothing is loaded yet");
            Ok::<_, std::io::Error>(())
        })
        .on_shutdown(async || println!("shutdown: the model is unloaded"))
        .build()?;
    let handle = worker.handle();
    let client = async {
        let result = submit_twice(&orchestrator).await;
        handle.drain();
        result
    };
    let (stopped, result) = tokio::join!(worker.run_until(pending()), client);
    stopped?;
    result
}

async fn submit_twice(orchestrator: &DevOrchestrator) -> Result<()> {
    for time in ["first", "second"] {
        let task = orchestrator.submit(NewTask::new("upscale"))?;
        let ended = orchestrator.wait(&task.job_id).await?;
        println!("{time} time: {}", ended.data_as::<Value>()?.unwrap_or_default());
    }
    Ok(())
}
