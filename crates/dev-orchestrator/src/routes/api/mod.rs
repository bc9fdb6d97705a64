//! The JSON API for people: one file per resource.

mod blueprints;
mod bulk;
mod health;
mod listing;
mod stats;
mod submission;
mod tasks;
mod workers;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::routing::{get, post};

use super::Desk;
use crate::refusal::Refusal;

/// Returns the routes for tasks, workers and figures.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/tasks", get(listing::tasks).post(submission::submit))
        .route("/api/tasks/cancel", post(bulk::cancel))
        .route("/api/tasks/retry", post(bulk::retry))
        .route("/api/tasks/{id}", get(tasks::task))
        .route("/api/tasks/{id}/cancel", post(tasks::cancel))
        .route("/api/tasks/{id}/retry", post(tasks::retry))
        .route("/api/tasks/{id}/story", get(tasks::story))
        .route("/api/tasks/{id}/test", get(tasks::test))
        .route("/api/blueprints", get(blueprints::blueprints))
        .route("/api/skills", get(workers::skills))
        .route("/api/workers", get(workers::workers))
        .route("/api/workers/{id}", get(workers::worker))
        .route("/api/stats", get(stats::stats))
        .route("/api/health", get(health::health))
}

/// Returns the id in a path.
fn id(path: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    let Path(id) = path?;
    Ok(id)
}
