//! Protection against web pages of other sites.
//!
//! A page in a browser on this machine can send requests to the orchestrator. But it cannot send JSON to another site
//! without that site's permission, which is never given: no answer has a header of CORS. If it makes its own host name
//! point to this machine, it cannot send any other name in `Host`. And it cannot hide its own site in `Origin`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Desk;
use crate::refusal::Refusal;

/// Refuses requests whose `Host` is not a name of ours, and changes that a page of another site asks for. Workers that
/// know the token may use any name.
pub(super) async fn only_own_names(
    State(desk): State<Arc<Desk>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let knows_token = request.uri().path().starts_with("/_worker/") && desk.hub.settings.token.is_some();
    if !knows_token {
        desk.names.check(request.uri(), request.headers()).map_err(Refusal::forbidden)?;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        desk.names.check_origin(request.headers()).map_err(Refusal::forbidden)?;
    }
    Ok(next.run(request).await)
}

/// Refuses changes that a form or a script of another site could send: those must be JSON. A file may be of any type,
/// since a browser asks before it puts something at another site.
pub(super) async fn only_json(request: Request, next: Next) -> Result<Response, Refusal> {
    let is_file = request.uri().path().starts_with("/api/files/");
    match *request.method() {
        Method::POST => expect_type(request.headers(), &["application/json"])?,
        Method::PUT if !is_file => expect_type(request.headers(), &["application/json"])?,
        _ => {}
    }
    Ok(next.run(request).await)
}

/// Refuses telemetry that is neither JSON nor protobuf.
pub(super) async fn only_telemetry(request: Request, next: Next) -> Result<Response, Refusal> {
    if *request.method() == Method::POST {
        expect_type(request.headers(), &["application/json", "application/x-protobuf"])?;
    }
    Ok(next.run(request).await)
}

/// Whether the body of a request has this type, with any parameters.
pub(super) fn has_type(headers: &HeaderMap, expected: &str) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(expected)
}

fn expect_type(headers: &HeaderMap, expected: &[&str]) -> Result<(), Refusal> {
    if expected.iter().any(|expected| has_type(headers, expected)) {
        return Ok(());
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!(
            "`Content-Type` is `{}`, expected `{}`",
            crate::text::cut(content_type.unwrap_or_default(), 100),
            expected.join("` or `")
        ),
    ))
}
