//! One exchange with a worker, as it is kept: raw bytes, which are read and masked only when somebody asks.

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;

use super::operation::Operation;
use crate::faults::Fault;

/// The number of bytes of a body that are kept.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// The number of bytes of all headers of a message that are kept.
const MAX_HEADERS: usize = 8 * 1024;

/// The number of characters of a path that are kept.
const MAX_PATH: usize = 2000;

/// A kept exchange. Cloning it is cheap.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) number: u64,
    pub(super) head: std::sync::Arc<Head>,
    /// The body of the request; `None` when it was dropped.
    pub(super) request: Option<Bytes>,
    /// The body of the answer; `None` when it was dropped.
    pub(super) response: Option<Bytes>,
}

/// All of an exchange but its bodies.
#[derive(Debug)]
pub(super) struct Head {
    /// The time of the request, in seconds since 1970.
    pub(super) at: f64,
    pub(super) seconds: f64,
    pub(super) worker: Option<Box<str>>,
    pub(super) operation: Operation,
    pub(super) method: Method,
    pub(super) path: Box<str>,
    /// `None` if no answer was begun.
    pub(super) status: Option<StatusCode>,
    pub(super) request_headers: Headers,
    pub(super) response_headers: Headers,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) fault: Option<Fault>,
    /// The number of the websocket, for its handshake and its frames.
    pub(super) socket: Option<u64>,
    /// Whether this is a frame with bytes instead of text.
    pub(super) is_binary: bool,
}

impl Exchange {
    /// The bytes of the bodies.
    pub(super) fn body_bytes(&self) -> usize {
        [&self.request, &self.response].into_iter().flatten().map(Bytes::len).sum()
    }
}

impl Head {
    /// The bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.path.len() + self.worker.as_ref().map_or(0, |worker| worker.len());
        let headers = self.request_headers.0.len() + self.response_headers.0.len();
        // With its place in the log.
        size_of::<Self>() + size_of::<Exchange>() + texts + headers
    }
}

impl Default for Head {
    fn default() -> Self {
        Self {
            at: 0.0,
            seconds: 0.0,
            worker: None,
            operation: Operation::Other,
            method: Method::GET,
            path: Box::default(),
            status: None,
            request_headers: Headers::default(),
            response_headers: Headers::default(),
            request_bytes: 0,
            response_bytes: 0,
            fault: None,
            socket: None,
            is_binary: false,
        }
    }
}

/// The headers of a message in one block: a clone of the map would keep the buffer of the connection.
#[derive(Debug, Default)]
pub(super) struct Headers(Box<[u8]>);

impl Headers {
    pub(super) fn copy(headers: &HeaderMap) -> Self {
        let length = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
            name.as_str().len() + value.len() + 2
        };
        let mut block = Vec::with_capacity(headers.iter().map(length).sum::<usize>().min(MAX_HEADERS));
        for (name, value) in headers {
            if block.len() + length((name, value)) > MAX_HEADERS {
                continue;
            }
            // Neither a name nor a value can contain a line end, nor a name a colon.
            block.extend_from_slice(name.as_str().as_bytes());
            block.push(b':');
            block.extend_from_slice(value.as_bytes());
            block.push(b'\n');
        }
        Self(block.into())
    }

    /// Returns the names and values in the order of the map.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, String)> {
        let lines = self.0.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            Some((name, String::from_utf8_lossy(&line[colon + 1..]).into_owned()))
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.iter().find_map(|(own, value)| (own == name).then_some(value))
    }
}

/// Returns the beginning of a path with its query.
pub(super) fn kept_path(uri: &axum::http::Uri) -> Box<str> {
    let path = uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
    if path.len() <= MAX_PATH { path.into() } else { crate::text::cut(path, MAX_PATH).into() }
}

/// Copies the beginning of a body: a slice would keep the whole buffer of the connection.
pub(super) fn kept_body(body: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&body[..body.len().min(MAX_BODY)])
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn headers_are_kept_as_they_came_within_a_limit() {
        let mut map = HeaderMap::new();
        map.append("x-a", HeaderValue::from_static("1: 2"));
        map.append("x-large", HeaderValue::from_str(&"y".repeat(MAX_HEADERS)).expect("valid"));
        map.append("x-a", HeaderValue::from_bytes(b"\xff").expect("valid"));
        map.append("x-empty", HeaderValue::from_static(""));
        let headers = Headers::copy(&map);
        let kept: Vec<_> = headers.iter().collect();
        let expected = [("x-a", "1: 2"), ("x-a", "\u{fffd}"), ("x-empty", "")];
        assert_eq!(kept, expected.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(headers.get("x-a").as_deref(), Some("1: 2"));
        assert_eq!(headers.get("x-b"), None);
    }
}
