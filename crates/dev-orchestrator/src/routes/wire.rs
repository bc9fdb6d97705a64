//! The wire log for people.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::task::spawn_blocking;

use super::Desk;
use crate::refusal::{self, Refusal};
use crate::wire::{self, Format, Wire};

/// The name under which a browser saves an archive.
const ATTACHMENT: &str = "attachment; filename=\"avtomatika.har\"";

/// `GET /api/wire`
pub(super) async fn exchanges(
    State(desk): State<Arc<Desk>>,
    query: Result<Query<wire::Query>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(query) = query?;
    query.limit.map(|limit| refusal::limited("limit", limit, Wire::MAX_LIMIT)).transpose()?;
    let (page, is_archive) = (desk.hub.wire.page(&query), query.format == Some(Format::Har));
    // Masking and writing many large bodies would hold up a thread of the runtime.
    let writing = spawn_blocking(move || if is_archive { page.to_har() } else { page.to_json() });
    let failed = |error: String| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error);
    let written = writing.await.map_err(|error| failed(error.to_string()))?;
    let written = written.map_err(|error| failed(error.to_string()))?;
    let mut response = ([(header::CONTENT_TYPE, "application/json")], written).into_response();
    if is_archive {
        let attachment = header::HeaderValue::from_static(ATTACHMENT);
        response.headers_mut().insert(header::CONTENT_DISPOSITION, attachment);
    }
    Ok(response)
}
