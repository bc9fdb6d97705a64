//! The middleware of the task `injected`, chosen by `CONFORMANCE_MIDDLEWARE`.

use std::env;
use std::sync::{Arc, Mutex, PoisonError};

use avtomatika_worker::middleware::{Next, from_fn, from_fn_with_state};
use avtomatika_worker::prelude::*;
use avtomatika_worker::{ErrorCode, TaskRequest, WorkerBuilder};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Registers `injected` and its middleware, if `CONFORMANCE_MIDDLEWARE` is set.
pub(crate) fn add(builder: WorkerBuilder) -> WorkerBuilder {
    match env::var("CONFORMANCE_MIDDLEWARE").as_deref() {
        Ok("1") => builder.task("injected", blocking(injected)).layer(from_fn(inject)),
        Ok("2") => builder
            .task("injected", blocking(injected))
            .layer(from_fn_with_state("first", inject_by_name))
            .layer(from_fn_with_state("second", inject_by_name)),
        Ok("") | Err(_) => builder,
        Ok(other) => panic!("CONFORMANCE_MIDDLEWARE is `{other}`, expected `1` or `2`"),
    }
}

/// The value that the middleware passes to the handler.
#[derive(Clone, Serialize)]
struct ModelPath(String);

#[derive(Deserialize)]
struct Injected {
    #[serde(default)]
    raise: bool,
}

fn injected(
    Params(params): Params<Injected>,
    Extension(model_path): Extension<ModelPath>,
) -> Result<Json<Value>, TaskError> {
    if params.raise {
        Err(std::io::Error::other("the model cannot be loaded"))?;
    }
    Ok(Json(json!({"model_path": model_path})))
}

fn is_ours(context: &TaskContext) -> bool {
    context.name().as_str() == "injected"
}

/// The properties of the task that the middleware has seen.
#[derive(Serialize)]
struct Seen<'a> {
    task_id: &'a str,
    job_id: &'a str,
    task_name: &'a str,
    params: Box<RawValue>,
}

async fn inject(
    context: TaskContext,
    RawParams(params): RawParams,
    mut request: TaskRequest,
    next: Next,
) -> Outcome {
    if !is_ours(&context) {
        return next.run(request).await;
    }
    let mut marks = vec!["enter"];
    request.extensions_mut().insert(ModelPath("/models/m1".to_owned()));
    let outcome = next.run(request).await;
    marks.push("exit");
    if let Some(error) = outcome.error() {
        return Outcome::failure(ErrorCode::Permanent, format!("middleware caught: {}", error.message()));
    }
    let seen = Seen {
        task_id: context.task_id().as_str(),
        job_id: context.job_id().as_str(),
        task_name: context.name().as_str(),
        params,
    };
    outcome.with_field("mw", marks).with_field("ctx", seen)
}

/// The marks of one task, shared by all its middlewares.
#[derive(Clone, Default)]
struct Marks(Arc<Mutex<Vec<String>>>);

impl Marks {
    fn add(&self, mark: String) -> Vec<String> {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.push(mark);
        marks.clone()
    }
}

async fn inject_by_name(State(name): State<&'static str>, mut request: TaskRequest, next: Next) -> Outcome {
    if !is_ours(request.context()) {
        return next.run(request).await;
    }
    let extensions = request.extensions_mut();
    let marks = extensions.get_or_insert_default::<Marks>().clone();
    extensions.insert(ModelPath(format!("/models/{name}")));
    marks.add(format!("{name}-enter"));
    let outcome = next.run(request).await;
    outcome.with_field("mw", marks.add(format!("{name}-exit")))
}
