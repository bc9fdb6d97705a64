//! Reading the body of a request.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::hub::Hub;
use crate::refusal::Refusal;

/// The time within which a body has to arrive.
const TIME: Duration = Duration::from_secs(30);

/// A body that is too large is read and discarded, up to this many bytes above the limit: a client that is still writing
/// when the answer arrives would see its connection reset instead of the answer.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;

/// The bytes of a body that is too large that are kept for those who look at what was refused.
const KEPT: usize = 64 * 1024;

/// A body that was read before its route was chosen, as an extension of the request.
#[derive(Debug, Clone)]
pub(super) struct Received(pub(super) Result<Bytes, Refusal>);

/// A body above this size is large: it waits for its turn.
const LARGE: usize = 1024 * 1024;

/// What has arrived of a body that was refused.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// Its beginning: all of it, unless it was too large.
    pub(super) beginning: BytesMut,
    /// The bytes that were read.
    pub(super) length: usize,
}

/// Reads the body of a worker's request.
pub(super) async fn read(body: Body, hub: &Hub) -> Result<Bytes, Refusal> {
    read_limited(body, hub.settings.body_limit, hub).await
}

/// Reads the body of a worker's request. If it is refused, what has arrived of it is in `arrived`.
pub(super) async fn read_watched(body: Body, hub: &Hub, arrived: &mut Arrived) -> Result<Bytes, Refusal> {
    in_time(collect(body, hub.settings.body_limit, &hub.large_bodies, arrived)).await
}

/// Reads the body of a request of people, which may have large parameters.
pub(super) async fn read_submission(body: Body, hub: &Hub) -> Result<Bytes, Refusal> {
    read_limited(body, hub.settings.submission_limit, hub).await
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read_limited(body: Body, limit: usize, hub: &Hub) -> Result<Bytes, Refusal> {
    in_time(collect(body, limit, &hub.large_bodies, &mut Arrived::default())).await
}

async fn in_time(body: impl Future<Output = Result<Bytes, Refusal>>) -> Result<Bytes, Refusal> {
    tokio::time::timeout(TIME, body).await.unwrap_or_else(|_| {
        let seconds = TIME.as_secs();
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, format!("the body did not arrive within {seconds} s")))
    })
}

/// Collects a body. Those that are large take turns, so that their memory is bounded.
async fn collect(
    mut body: Body,
    limit: usize,
    turns: &Semaphore,
    arrived: &mut Arrived,
) -> Result<Bytes, Refusal> {
    let mut turn = None;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Refusal::bad_request(format!("the body is incomplete: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let Arrived { beginning, length } = &mut *arrived;
        *length = length.saturating_add(data.len());
        if *length > limit {
            if beginning.len() > KEPT {
                *beginning = BytesMut::from(&beginning[..KEPT]);
            }
            turn = None;
            beginning.extend_from_slice(&data[..data.len().min(KEPT - beginning.len())]);
            if *length > limit.saturating_add(MAX_DISCARDED) {
                break;
            }
            continue;
        }
        if *length > LARGE && turn.is_none() {
            turn = turns.acquire().await.ok();
        }
        beginning.extend_from_slice(&data);
    }
    drop(turn);
    if arrived.length <= limit {
        return Ok(std::mem::take(&mut arrived.beginning).freeze());
    }
    Err(Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body has more than {limit} bytes, which is the limit: use files for large data"),
    ))
}

/// Reads JSON as a type; `what` names the expected message in errors.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Refusal> {
    // A list of the values of its fields would be read as a message, too.
    if body.trim_ascii_start().starts_with(b"[") {
        let text = format!("the body is not {what}: it is a list, expected an object");
        return Err(Refusal::bad_request(text));
    }
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

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::{StreamExt as _, stream};

    use super::*;

    /// A body that sends this many bytes, and then either ends or sends nothing more.
    fn body(bytes: usize, ends: bool) -> Body {
        let sent = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; bytes]))]);
        let rest = stream::poll_fn(move |_| if ends { Poll::Ready(None) } else { Poll::Pending });
        Body::from_stream(sent.chain(rest))
    }

    #[tokio::test]
    async fn large_bodies_take_turns_and_small_ones_do_not_wait() {
        let turns = Semaphore::new(1);
        let collect = async |body| collect(body, 4 * LARGE, &turns, &mut Arrived::default()).await;
        let mut first = Box::pin(collect(body(2 * LARGE, false)));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(collect(body(2 * LARGE, true)));
        assert!(futures_util::poll!(&mut second).is_pending(), "the first one still arrives");
        let small = collect(body(LARGE, true)).await.expect("whole");
        let refused = collect(body(5 * LARGE, true)).await.expect_err("too large");
        assert_eq!((small.len(), refused.status), (LARGE, StatusCode::PAYLOAD_TOO_LARGE));
        drop(first);
        assert_eq!(second.await.expect("its turn").len(), 2 * LARGE);
    }
}
