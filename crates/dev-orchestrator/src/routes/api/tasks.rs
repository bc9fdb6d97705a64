//! One task.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rxon::{JobId, TaskId};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::super::{Desk, body};
use super::id;
use crate::connections;
use crate::error::Error;
use crate::refusal::{self, Refusal};
use crate::snippet::{Language, Snippet};

/// The body of a retry.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    /// Other parameters. `null` is not absent: it is no object, and refused.
    #[serde(default, deserialize_with = "some")]
    params: Option<Box<RawValue>>,
}

/// The ids of a task that retries another one.
#[derive(Serialize)]
pub(super) struct Retried {
    pub(super) task_id: TaskId,
    pub(super) job_id: JobId,
    /// The first of the tasks that were retried.
    pub(super) of: JobId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestOptions {
    lang: Option<String>,
}

/// `GET /api/tasks/{id}`
pub(super) async fn task(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = id(path)?;
    let view = desk.hub.view(&id).ok_or_else(|| unknown(&id))?;
    Ok(refusal::json(StatusCode::OK, &view))
}

/// A body without anything to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// `POST /api/tasks/{id}/cancel`
pub(super) async fn cancel(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let id = id(path)?;
    let body = body::read(request.into_body(), &desk.hub).await?;
    if !body.is_empty() {
        body::parse::<Nothing>(&body, "a cancellation, which has no members")?;
    }
    let cancellation = desk.hub.update(|jobs, now| jobs.cancel(&id, now))?;
    Ok(refusal::json(StatusCode::OK, &json!({ "status": cancellation })))
}

/// `POST /api/tasks/{id}/retry`
pub(super) async fn retry(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let id = id(path)?;
    let body = body::read_submission(request.into_body(), &desk.hub).await?;
    let changes: Changes = if body.is_empty() { Changes::default() } else { body::parse(&body, "a retry")? };
    Ok(refusal::json(StatusCode::ACCEPTED, &retried(&desk, &id, changes.params)?))
}

/// Retries a task.
pub(super) fn retried(desk: &Desk, id: &str, params: Option<Box<RawValue>>) -> Result<Retried, Error> {
    let (submitted, of) = desk.hub.retry(id, params)?;
    Ok(Retried { task_id: submitted.task_id, job_id: submitted.job_id, of })
}

/// `GET /api/tasks/{id}/story`
pub(super) async fn story(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = id(path)?;
    let story = desk.hub.inspect(|jobs, _| jobs.story(&id)).ok_or_else(|| unknown(&id))?;
    Ok(refusal::json(StatusCode::OK, &story))
}

/// `GET /api/tasks/{id}/test`
pub(super) async fn test(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
    options: Result<Query<TestOptions>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let id = id(path)?;
    let Query(options) = options?;
    let language: Language =
        options.lang.as_deref().unwrap_or_default().parse().map_err(Refusal::bad_request)?;
    let view = desk.hub.view(&id).ok_or_else(|| unknown(&id))?;
    // The name under which this client has reached us; the address that we listen on may be one inside a container.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let url = host.map_or_else(|| connections::url(desk.address), |host| format!("http://{host}"));
    let text = Snippet::of(&view).write(language, &url);
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

fn unknown(id: &str) -> Error {
    Error::UnknownTask(crate::text::cut(id, 200))
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}
