//! OpenTelemetry over HTTP.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::{Desk, body, door};
use crate::hub::Hub;
use crate::otlp::{Encoding, MAX_BODY, Rubbish, Telemetry};
use crate::refusal::{self, Refusal};

/// `POST /v1/logs`
pub(super) async fn logs(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    take(desk, request, Telemetry::read_logs).await
}

/// `POST /v1/traces`
pub(super) async fn traces(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    take(desk, request, Telemetry::read_traces).await
}

async fn take(
    desk: Arc<Desk>,
    request: Request,
    read: fn(&Telemetry, &Hub, &[u8], Encoding) -> Result<(), Rubbish>,
) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let encoding = encoding(&head.headers)?;
    let body: Bytes = body::read_limited(body, MAX_BODY, &desk.hub).await?;
    let turn = desk.telemetry.turn().await;
    // Uncompressing and reading megabytes takes a while, and goes on when nobody waits for the answer any more.
    let reading = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        read(&desk.telemetry, &desk.hub, &body, encoding)
    });
    let message = reading.await;
    let message =
        message.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    message.map_err(|rubbish| match rubbish {
        Rubbish::Invalid(problem) => Refusal::bad_request(problem),
        Rubbish::TooLarge(problem) => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, problem),
    })?;
    Ok(refusal::json(StatusCode::OK, &json!({})))
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let is_json = door::has_type(headers, "application/json");
    let name = headers.get(header::CONTENT_ENCODING).map_or("identity", |name| name.to_str().unwrap_or("?"));
    match name.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Encoding { is_json, is_gzip: false }),
        "gzip" => Ok(Encoding { is_json, is_gzip: true }),
        _ => {
            let name = crate::text::cut(name, 100);
            let text = format!("`Content-Encoding` is `{name}`, expected `gzip` or none");
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
        }
    }
}
