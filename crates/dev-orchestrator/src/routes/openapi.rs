//! The description of the interface.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};

/// The description. A test compares the routes and their answers with it.
const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /api/openapi.json`
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
