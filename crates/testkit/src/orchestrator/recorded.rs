//! A request as it arrived.

use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;

use super::endpoint::Endpoint;

/// One request that the orchestrator has received.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The time of arrival.
    pub at: Instant,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The number of its TCP connection, counted from 1.
    pub connection: u64,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query after the `?`; empty if there is none.
    pub query: String,
    /// The headers in order of arrival, with names as written.
    pub headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Bytes,
}

impl Recorded {
    /// The value of the first header with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If the body is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{} is not JSON: {error}", self.summary()),
        }
    }

    /// The method, the path and the beginning of the body on one line.
    pub(crate) fn summary(&self) -> String {
        let shown = &self.body[..self.body.len().min(200)];
        format!("{} {} {}", self.method, self.path, String::from_utf8_lossy(shown))
    }
}
