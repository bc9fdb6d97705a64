//! OpenTelemetry over HTTP.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::{Desk, body, door};
use crate::otlp::{Encoding, LogRecords, MAX_BODY, Rubbish, TaskSpans};
use crate::refusal::{self, Refusal};

/// `POST /v1/logs`
pub(super) async fn logs(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let records = read(&desk, request, LogRecords::read).await?;
    desk.telemetry.take_logs(&desk.hub, records);
    Ok(taken())
}

/// `POST /v1/traces`
pub(super) async fn traces(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let spans = read(&desk, request, TaskSpans::read).await?;
    desk.telemetry.take_spans(&desk.hub, spans);
    Ok(taken())
}

fn taken() -> Response {
    refusal::json(StatusCode::OK, &json!({}))
}

async fn read<M: Send + 'static>(
    desk: &Desk,
    request: Request,
    read: fn(&[u8], Encoding) -> Result<M, Rubbish>,
) -> Result<M, Refusal> {
    let (head, body) = request.into_parts();
    let encoding = encoding(&head.headers)?;
    let body: Bytes = body::read_limited(body, MAX_BODY, &desk.hub).await?;
    // Uncompressing and reading megabytes takes a while.
    let message = tokio::task::spawn_blocking(move || read(&body, encoding)).await;
    let message =
        message.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    message.map_err(|rubbish| match rubbish {
        Rubbish::Invalid(problem) => Refusal::bad_request(problem),
        Rubbish::TooLarge => Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the uncompressed body is too large: send less at once",
        ),
    })
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
