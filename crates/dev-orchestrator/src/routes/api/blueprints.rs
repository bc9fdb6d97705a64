//! The blueprints of which jobs can be submitted.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::super::Desk;
use crate::blueprint::Blueprint;
use crate::refusal;

#[derive(Serialize)]
struct BlueprintList<'a> {
    blueprints: Vec<&'a Blueprint>,
}

/// `GET /api/blueprints`
pub(super) async fn blueprints(State(desk): State<Arc<Desk>>) -> Response {
    let blueprints = desk.hub.settings.blueprints.values().collect();
    refusal::json(StatusCode::OK, &BlueprintList { blueprints })
}
