//! Reading the body of a request.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

/// The time within which a body has to arrive.
const TIME: Duration = Duration::from_secs(30);

/// A body that is too large is read and discarded, up to this many times the limit: a client that is still writing when
/// the answer arrives would see its connection reset instead of the answer.
const DISCARD_FACTOR: usize = 64;

/// A body that was read before its route was chosen, as an extension of the request.
#[derive(Debug, Clone)]
pub(super) struct Received(pub(super) Result<Bytes, Refusal>);

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    tokio::time::timeout(TIME, collect(body, limit)).await.unwrap_or_else(|_| {
        let seconds = TIME.as_secs();
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, format!("the body did not arrive within {seconds} s")))
    })
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let (mut collected, mut length) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Refusal::bad_request(format!("the body is incomplete: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= limit {
            collected.extend_from_slice(&data);
        } else if length > limit.saturating_mul(DISCARD_FACTOR) {
            break;
        }
    }
    if length <= limit {
        return Ok(collected.freeze());
    }
    Err(Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body has more than {limit} bytes, which is the limit: use files for large data"),
    ))
}

/// Reads JSON as a type; `what` names the expected message in errors.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let problem = crate::text::cut(&error.into_inner().to_string(), 300);
        match path.as_str() {
            "." => Refusal::bad_request(format!("the body is not {what}: {problem}")),
            path => Refusal::bad_request(format!(
                "the body is not {what}: `{}`: {problem}",
                crate::text::cut(path, 200)
            )),
        }
    })?;
    reader.end().map_err(|error| Refusal::bad_request(format!("the body is not {what}: {error}")))?;
    Ok(value)
}
