//! The JSON API for people.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Desk, body};
use crate::error::Error;
use crate::refusal::{self, Refusal};
use crate::task::NewTask;
use crate::view::{TaskStatus, TaskView, WorkerView};

/// The default number of tasks in a list.
const DEFAULT_LIMIT: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submission {
    #[serde(rename = "type")]
    name: String,
    params: Option<Box<RawValue>>,
    priority: Option<f64>,
    timeout: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    status: Option<String>,
    limit: Option<usize>,
}

/// Some of the tasks, and the total number.
#[derive(Serialize)]
struct TaskList {
    tasks: Vec<TaskView>,
    total: usize,
}

#[derive(Serialize)]
struct WorkerList {
    workers: Vec<WorkerView>,
}

/// `POST /api/tasks`
pub(super) async fn submit(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let body = body::read(request.into_body(), desk.hub.settings.body_limit).await?;
    let submission: Submission = body::parse(&body, "a task")?;
    let name = submission.name.clone();
    let submitted = desk.hub.submit(submission.task()?)?;
    let (view, known) = desk.hub.inspect(|jobs, _| {
        let known = jobs.store().workers.values().any(|worker| worker.tasks.contains(name.as_str()));
        (jobs.store().find(submitted.job_id.as_str()).map(|job| job.stage.status()), known)
    });
    let mut answer = json!({
        "job_id": submitted.job_id,
        "task_id": submitted.task_id,
        "status": view.unwrap_or(TaskStatus::Queued),
    });
    if !known {
        answer["hint"] =
            json!(format!("no worker has registered the task `{name}`: it waits until one does"));
    }
    Ok(refusal::json(StatusCode::ACCEPTED, &answer))
}

/// `GET /api/tasks`
pub(super) async fn tasks(
    State(desk): State<Arc<Desk>>,
    selection: Result<Query<Selection>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(selection) = selection.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let status = selection.status.as_deref().map(str::parse::<TaskStatus>).transpose();
    let status = status.map_err(|error| Refusal::bad_request(format!("`status`: {error}")))?;
    let limit = selection.limit.unwrap_or(DEFAULT_LIMIT);
    let list = desk.hub.inspect(|jobs, _| {
        let store = jobs.store();
        let wanted = || store.jobs().filter(|job| status.is_none_or(|status| job.stage.status() == status));
        let tasks: Vec<TaskView> =
            wanted().take(limit).map(|job| store.view(job).without_payloads()).collect();
        TaskList { tasks, total: wanted().count() }
    });
    Ok(refusal::json(StatusCode::OK, &list))
}

/// `GET /api/tasks/{id}`
pub(super) async fn task(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = id(path)?;
    let view = desk.hub.view(&id).ok_or_else(|| Error::UnknownTask(crate::text::cut(&id, 200)))?;
    Ok(refusal::json(StatusCode::OK, &view))
}

/// `POST /api/tasks/{id}/cancel`
pub(super) async fn cancel(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = id(path)?;
    let cancellation = desk.hub.update(|jobs, now| jobs.cancel(&id, now))?;
    Ok(refusal::json(StatusCode::OK, &json!({ "status": cancellation })))
}

/// `GET /api/workers`
pub(super) async fn workers(State(desk): State<Arc<Desk>>) -> Response {
    let workers = desk.hub.inspect(crate::jobs::Jobs::workers);
    refusal::json(StatusCode::OK, &WorkerList { workers })
}

/// `GET /api/health`
pub(super) async fn health() -> Response {
    refusal::json(StatusCode::OK, &json!({"status": "ok", "version": rxon::VERSION}))
}

impl Submission {
    fn task(self) -> Result<NewTask, Refusal> {
        let mut task = NewTask::new(self.name).with_priority(self.priority.unwrap_or(0.0));
        if let Some(params) = self.params {
            task = task.with_raw_params(params);
        }
        if let Some(seconds) = self.timeout {
            let timeout = Duration::try_from_secs_f64(seconds).map_err(|_| {
                Refusal::bad_request(format!(
                    "`timeout` is `{seconds}`, expected a number of seconds above 0"
                ))
            })?;
            task = task.with_timeout(timeout);
        }
        Ok(task)
    }
}

fn id(path: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    path.map(|Path(id)| id).map_err(|error| Refusal::bad_request(error.body_text()))
}
