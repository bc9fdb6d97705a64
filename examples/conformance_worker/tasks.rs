//! The tasks without files.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use avtomatika_worker::prelude::*;
use avtomatika_worker::{ErrorCode, WorkerBuilder};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Registers all tasks of this module.
pub(crate) fn add(builder: WorkerBuilder) -> WorkerBuilder {
    let video = || TaskOptions::new().limit_group("video_processing");
    let audio = || TaskOptions::new().limit_group("audio_processing");
    builder
        .task("echo", echo)
        .task("status", status)
        .task("none", none)
        .task("fail", fail)
        .task("fail_const", fail_const)
        .task("raise", raise)
        .task("sleep", sleep)
        .task("block", blocking(block))
        .task_with("video", video(), sleep)
        .task_with("audio", audio(), sleep)
        .task("typed", typed)
        .task("validated", validated)
        .task("whoami", whoami)
        .task("progress", progress)
        .task("hot", hot)
        .task("hot_sync", blocking(hot_sync))
}

async fn echo(RawParams(params): RawParams) -> Json<Box<RawValue>> {
    Json(params)
}

#[derive(Deserialize)]
struct Status {
    status: String,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

async fn status(Params(params): Params<Status>) -> Outcome {
    match params.data {
        Some(data) => Outcome::status(params.status, data),
        None => Outcome::status(params.status, json!({})),
    }
}

async fn none() {}

#[derive(Deserialize)]
struct Fail {
    code: String,
    message: String,
}

async fn fail(Params(params): Params<Fail>) -> TaskError {
    TaskError::new(params.code.as_str(), params.message)
}

#[derive(Deserialize)]
#[serde(tag = "which", rename_all = "lowercase")]
enum FailConst {
    Permanent,
    Transient,
}

async fn fail_const(Params(which): Params<FailConst>) -> Outcome {
    let code = match which {
        FailConst::Permanent => ErrorCode::Permanent,
        FailConst::Transient => ErrorCode::Transient,
    };
    Outcome::failure(code, "from the SDK's constant")
}

#[derive(Deserialize)]
struct Raise {
    #[serde(default)]
    message: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    panic: bool,
}

async fn raise(Params(params): Params<Raise>) -> Result<(), TaskError> {
    assert!(!params.panic, "{}", params.message);
    let kind = match params.kind.as_deref() {
        Some("value") => std::io::ErrorKind::InvalidData,
        _ => std::io::ErrorKind::Other,
    };
    Err(std::io::Error::new(kind, params.message))?
}

#[derive(Deserialize)]
struct Pause {
    seconds: f64,
}

#[derive(Serialize)]
struct Span {
    started: f64,
    finished: f64,
}

async fn sleep(Params(pause): Params<Pause>) -> Result<Json<Span>, TaskError> {
    let started = now();
    tokio::time::sleep(duration(&pause)?).await;
    Ok(Json(Span { started, finished: now() }))
}

fn block(Params(pause): Params<Pause>) -> Result<Json<Span>, TaskError> {
    let started = now();
    std::thread::sleep(duration(&pause)?);
    Ok(Json(Span { started, finished: now() }))
}

fn duration(pause: &Pause) -> Result<Duration, TaskError> {
    Duration::try_from_secs_f64(pause.seconds).map_err(TaskError::invalid_input)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A structure that is checked whenever it is deserialised.
#[derive(Deserialize, Serialize)]
#[serde(try_from = "UncheckedSize")]
struct Size {
    width: i64,
    height: i64,
}

#[derive(Deserialize)]
struct UncheckedSize {
    width: i64,
    height: i64,
}

impl TryFrom<UncheckedSize> for Size {
    type Error = &'static str;

    fn try_from(size: UncheckedSize) -> Result<Self, &'static str> {
        if size.width <= 0 || size.height <= 0 {
            return Err("Width and height must be positive.");
        }
        Ok(Self { width: size.width, height: size.height })
    }
}

async fn typed(Params(size): Params<Size>) -> Json<Size> {
    Json(size)
}

#[derive(Deserialize, Validate)]
struct Picture {
    #[garde(range(min = 1))]
    width: i64,
    #[garde(range(min = 1))]
    height: i64,
    #[serde(rename = "source_url")]
    #[garde(skip)]
    #[expect(dead_code, reason = "it is only checked for existence")]
    url: String,
}

async fn validated(Valid(Params(picture)): Valid<Params<Picture>>) -> Json<Value> {
    Json(json!({"width": picture.width, "height": picture.height}))
}

#[derive(Serialize)]
struct Identity {
    task_id: String,
    job_id: String,
    priority: f64,
    tracing_context: BTreeMap<String, String>,
}

async fn whoami(context: TaskContext) -> Json<Identity> {
    Json(Identity {
        task_id: context.task_id().to_string(),
        job_id: context.job_id().to_string(),
        priority: context.priority(),
        tracing_context: context.tracing_context().clone(),
    })
}

#[derive(Deserialize)]
struct Steps {
    steps: u32,
}

async fn progress(Params(params): Params<Steps>, context: TaskContext) -> Json<Value> {
    for step in 1..=params.steps {
        context.send_progress(f64::from(step) / f64::from(params.steps), format!("step {step}"));
        tokio::task::yield_now().await;
    }
    Json(json!({"steps": params.steps}))
}

#[derive(Deserialize)]
struct Models {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

async fn hot(Params(models): Params<Models>, context: TaskContext) -> Json<Value> {
    change_hot_cache(&models, &context)
}

#[expect(clippy::needless_pass_by_value, reason = "handlers own their arguments")]
fn hot_sync(Params(models): Params<Models>, context: TaskContext) -> Json<Value> {
    change_hot_cache(&models, &context)
}

fn change_hot_cache(models: &Models, context: &TaskContext) -> Json<Value> {
    for model in &models.add {
        context.add_to_hot_cache(model);
    }
    for model in &models.remove {
        context.remove_from_hot_cache(model);
    }
    Json(json!({}))
}
