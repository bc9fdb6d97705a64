//! Workers, and the tasks that they have registered.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use rxon::WorkerId;
use serde::Serialize;

use super::super::Desk;
use super::id;
use crate::jobs::Jobs;
use crate::refusal::{self, Refusal};
use crate::view::{SkillView, WorkerView};

#[derive(Serialize)]
struct WorkerList {
    workers: Vec<WorkerView>,
}

#[derive(Serialize)]
struct SkillList {
    skills: Vec<SkillView>,
}

/// `GET /api/workers`
pub(super) async fn workers(State(desk): State<Arc<Desk>>) -> Response {
    let workers = desk.hub.inspect(Jobs::workers);
    refusal::json(StatusCode::OK, &WorkerList { workers })
}

/// `GET /api/workers/{id}`
pub(super) async fn worker(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = id(path)?;
    let known = WorkerId::received(id.as_str());
    let view = known.and_then(|worker| desk.hub.inspect(|jobs, now| jobs.worker(&worker, now)));
    let view = view.ok_or_else(|| {
        let shown = crate::text::cut(&id, 200);
        let text =
            format!("no worker has the id `{shown}`: it never registered, or was given up an hour ago");
        Refusal::new(StatusCode::NOT_FOUND, text)
    })?;
    Ok(refusal::json(StatusCode::OK, &view))
}

/// `GET /api/skills`
pub(super) async fn skills(State(desk): State<Arc<Desk>>) -> Response {
    let skills = desk.hub.inspect(|jobs, _| jobs.store().skills());
    refusal::json(StatusCode::OK, &SkillList { skills })
}
