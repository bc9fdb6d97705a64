//! The answers of faults, in place of those of the routes.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::refusal;

/// A page as a proxy in between sends it.
const PAGE: &str = "<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>\n";

/// 500, 502 or 503 in turn.
pub(super) fn server_error(turn: u64) -> Response {
    let text = |status, text: &str| refusal::json(status, &json!({ "error": text }));
    match turn % 3 {
        0 => text(StatusCode::INTERNAL_SERVER_ERROR, "the fault `error_5xx` is on"),
        1 => html(StatusCode::BAD_GATEWAY),
        _ => text(StatusCode::SERVICE_UNAVAILABLE, "the fault `error_5xx` is on"),
    }
}

/// 401 or 403 in turn.
pub(super) fn unauthorized(turn: u64) -> Response {
    let status = if turn.is_multiple_of(2) { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
    refusal::json(status, &json!({ "error": "the token is not accepted: the fault `unauthorized` is on" }))
}

/// 429, with or without the time to wait.
pub(super) fn too_many(says_when: bool) -> Response {
    let text = "too many requests: the fault `too_many` is on";
    let mut response = refusal::json(StatusCode::TOO_MANY_REQUESTS, &json!({ "error": text }));
    if says_when {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

/// HTML where JSON is expected.
pub(super) fn garbage() -> Response {
    html(StatusCode::OK)
}

fn html(status: StatusCode) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html")], PAGE).into_response()
}
