//! Live changes, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;

use super::Desk;
use crate::live::Reader;
use crate::refusal::Refusal;

/// `GET /api/events`
pub(super) async fn open(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Result<Response, Refusal> {
    desk.names.check_site(&headers).map_err(Refusal::forbidden)?;
    // An id that is no text is none of ours, like any other one that we have not given out.
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default().to_owned());
    let Some(reader) = Reader::open(&desk.hub, last) else {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many readers of events: close some pages, and try again",
        ));
    };
    let pieces = stream::unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
