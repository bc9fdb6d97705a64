//! The log lines of tasks and workers.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::Desk;
use crate::error::Error;
use crate::logs::{LogPage, MAX_LINES};
use crate::refusal::{self, Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    after: Option<u64>,
    limit: Option<usize>,
}

/// `GET /api/tasks/{id}/logs`
pub(super) async fn of_task(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
    selection: Result<Query<Selection>, QueryRejection>,
) -> Result<Response, Refusal> {
    let (id, after, limit) = read(path, selection)?;
    let lines = desk.hub.log_of_task(&id, after, limit);
    answer(lines.ok_or_else(|| Error::UnknownTask(crate::text::cut(&id, 200)))?).await
}

/// `GET /api/workers/{id}/logs`
pub(super) async fn of_worker(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
    selection: Result<Query<Selection>, QueryRejection>,
) -> Result<Response, Refusal> {
    let (id, after, limit) = read(path, selection)?;
    let lines = desk.hub.log_of_worker(&id, after, limit);
    let lines = lines.ok_or_else(|| {
        let id = crate::text::cut(&id, 200);
        Refusal::new(StatusCode::NOT_FOUND, format!("no worker `{id}` is registered, or has written a line"))
    });
    answer(lines?).await
}

fn read(
    path: Result<Path<String>, PathRejection>,
    selection: Result<Query<Selection>, QueryRejection>,
) -> Result<(String, u64, usize), Refusal> {
    let Path(id) = path?;
    let Query(Selection { after, limit }) = selection?;
    let limit = refusal::limited("limit", limit.unwrap_or(MAX_LINES), MAX_LINES)?;
    Ok((id, after.unwrap_or(0), limit))
}

/// Writes an answer, which can be large, on another thread.
async fn answer(lines: LogPage) -> Result<Response, Refusal> {
    let written = tokio::task::spawn_blocking(move || refusal::json(StatusCode::OK, &lines));
    written.await.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}
