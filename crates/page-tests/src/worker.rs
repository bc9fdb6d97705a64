//! The worker of the tests: its tasks do what a test tells them to.

use std::future::pending;
use std::path::Path;
use std::sync::{Arc, Weak};

use avtomatika_dev::{DevOrchestrator, LogSource};
use avtomatika_worker::files::{InputFile, OutputFile};
use avtomatika_worker::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::pictures;

/// The id of the worker.
pub(crate) const ID: &str = "studio-1";

/// The steps of a task that reports its progress.
pub(crate) const STEPS: u32 = 10;

#[derive(Clone)]
struct Shared {
    /// Not a strong one: the server is to end before what is left of the worker.
    orchestrator: Weak<DevOrchestrator>,
    /// Each permit lets one task do one step.
    gate: Arc<Semaphore>,
}

#[derive(Deserialize)]
struct Resize {
    image: Option<InputFile>,
    width: u32,
    #[serde(default)]
    format: Option<String>,
}

#[derive(Serialize)]
struct Resized {
    width: u32,
    height: u32,
    format: String,
    preview: OutputFile,
}

fn resize_schema() -> Value {
    json!({
        "type": "object",
        "required": ["width"],
        "properties": {
            "image": { "type": "string", "title": "Image", "description": "The picture, as an s3:// address." },
            "width": {
                "type": "integer", "title": "Width", "minimum": 1, "maximum": 8192,
                "description": "The width of the result in pixels."
            },
            "format": { "enum": ["png", "webp"], "default": "png", "title": "Format" },
            "sharpen": { "type": "boolean", "title": "Sharpen", "description": "Sharpens the edges after scaling." },
            "seed": { "type": "integer", "title": "Seed" }
        }
    })
}

/// Runs a worker until it is dropped.
pub(crate) fn run(
    orchestrator: &Arc<DevOrchestrator>,
    directory: &Path,
    gate: Arc<Semaphore>,
) -> impl Future<Output = ()> + Send + 'static {
    let storage = orchestrator.storage().expect("it has one");
    let own = [
        ("ORCHESTRATOR_URL", orchestrator.url()),
        ("WORKER_TOKEN", "a-token".to_owned()),
        ("WORKER_ID", ID.to_owned()),
        ("WORKER_TYPE", "studio".to_owned()),
        ("MAX_CONCURRENT_TASKS", "4".to_owned()),
        ("HEARTBEAT_INTERVAL", "0.5".to_owned()),
        ("TASK_POLL_ERROR_DELAY", "0.1".to_owned()),
        ("RESULT_RETRY_INITIAL_DELAY", "0.1".to_owned()),
        ("WORKER_ENABLE_WEBSOCKETS", "true".to_owned()),
        ("TASK_FILES_DIR", directory.display().to_string()),
    ];
    let all = own.into_iter().chain(storage.variables());
    let config = WorkerConfig::from_variables(all.map(|(name, value)| (name.to_owned(), value)));
    let resizing = TaskOptions::new()
        .description("Scales a picture, and keeps its proportions")
        .input_schema(resize_schema());
    let builder = Worker::builder()
        .config(config)
        .task_with("resize_image", resizing, resize)
        .task("transcode_video", transcode)
        .task("summarize", summarize)
        .task("echo", echo)
        .with_state(Shared { orchestrator: Arc::downgrade(orchestrator), gate });
    let worker = builder.build().expect("valid");
    async move {
        worker.run_until(pending()).await.expect("it runs until it is dropped");
    }
}

/// Draws a picture, and logs two lines.
async fn resize(
    Params(params): Params<Resize>,
    State(shared): State<Shared>,
    context: TaskContext,
    files: TaskFiles,
) -> Result<Json<Resized>, TaskError> {
    let source = params.image.map_or("a picture of its own".to_owned(), |image| image.display().to_string());
    shared.log(&context, "INFO", &format!("scaling {source} to {} pixels", params.width));
    context.send_progress(0.5, "scaling");
    let height = params.width / 2;
    let (shown_width, shown_height) = (params.width.min(640), height.clamp(1, 320));
    let preview = files.write("preview.png", pictures::gradient(shown_width, shown_height)).await?;
    shared.log(&context, "WARNING", "the profile of colours is unknown, taking sRGB");
    let format = params.format.unwrap_or_else(|| "png".to_owned());
    Ok(Json(Resized { width: params.width, height, format, preview: preview.into() }))
}

/// Does a step with each permit of the test, and says so.
async fn transcode(State(shared): State<Shared>, context: TaskContext) -> Json<Value> {
    for step in 1..=STEPS {
        shared.gate.acquire().await.expect("it stays open").forget();
        context.send_progress(f64::from(step) / f64::from(STEPS), format!("part {step} of {STEPS}"));
        shared.log(&context, "INFO", &format!("part {step} of {STEPS} is done"));
    }
    Json(json!({ "parts": STEPS }))
}

async fn summarize(State(shared): State<Shared>, context: TaskContext) -> Result<(), TaskError> {
    shared.log(&context, "ERROR", "the document has no pages");
    Err(TaskError::invalid_input("the document has no pages: expected at least 1"))
}

/// Returns its parameters as they came.
async fn echo(RawParams(params): RawParams) -> Json<Box<RawValue>> {
    Json(params)
}

impl Shared {
    /// Logs a line, as a worker does that `avtomatika dev` has started.
    fn log(&self, context: &TaskContext, level: &str, message: &str) {
        let line = json!({ "level": level, "message": message, "task_id": context.task_id().to_string() });
        if let Some(orchestrator) = self.orchestrator.upgrade() {
            orchestrator.log_line(ID, LogSource::Stderr, line.to_string());
        }
    }
}
