//! What a script can answer, from ordinary to hostile.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// How the scripted orchestrator answers one request.
///
/// Unless said otherwise the request is read whole and recorded first, and the connection stays open for the next.
#[derive(Debug, Clone)]
pub enum Answer {
    /// What the orchestrator would have done without a script.
    Normally,
    /// A status and a JSON body.
    Json(u16, Value),
    /// A status, headers and a body as they are. `Content-Length` is added unless the headers frame the body
    /// themselves; a `Connection: close` among them is kept.
    Raw {
        /// The status code.
        status: u16,
        /// Headers, in this order.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
    /// Wait, then answer. The wait ends when the client goes away.
    Hold(Duration, Box<Answer>),
    /// Wait until the test cancels the token, then answer.
    HoldUntil(CancellationToken, Box<Answer>),
    /// Never answer, and keep the connection open until the client goes away.
    Hang,
    /// Close in order (FIN), without an answer, as soon as the head of the request is there. Recorded without a body.
    CloseBeforeReading,
    /// Read the request, then close in order (FIN) without an answer.
    CloseAfterReading,
    /// Read the request, then reset the connection (RST).
    Reset,
    /// Reset the connection after this many bytes of the request's body, or after all of it if it is shorter.
    /// Recorded with the bytes read.
    ResetWhileReading {
        /// How many bytes of the body are read.
        after: usize,
    },
    /// Announce more than is sent, then close in order.
    Truncated {
        /// The status code.
        status: u16,
        /// What `Content-Length` says.
        declared_length: usize,
        /// What is sent.
        body: Bytes,
    },
    /// An honest answer whose body comes slowly.
    Dribble {
        /// The status code.
        status: u16,
        /// The whole body.
        body: Bytes,
        /// How many bytes are sent at a time.
        chunk: usize,
        /// The pause after each chunk.
        every: Duration,
    },
    /// These bytes as they are, slowly: the head too. The connection stays open.
    Trickle {
        /// All that is sent.
        bytes: Bytes,
        /// How many bytes are sent at a time.
        chunk: usize,
        /// The pause after each chunk.
        every: Duration,
    },
    /// A chunked body (spaces) that never ends, sent as fast as the client reads.
    Endless {
        /// The status code.
        status: u16,
    },
    /// Open the websocket that was asked for, then neither hear nor say anything.
    DeafWebSocket,
    /// Open the websocket that was asked for, and close it at once with this code.
    ClosedWebSocket(u16),
    /// These bytes as they are, then close in order. Need not be HTTP.
    Bytes(Bytes),
}

impl Answer {
    /// A status with a JSON error body, as orchestrators send it.
    pub fn status(status: u16) -> Self {
        Self::Json(status, json!({ "error": reason(status) }))
    }

    /// 200 with a JSON body.
    pub fn ok(body: Value) -> Self {
        Self::Json(200, body)
    }

    /// 200 with these bytes as a JSON body, whether they are JSON or not.
    pub fn body(body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self::Raw { status: 200, headers, body: body.into() }
    }

    /// The same answer after a wait.
    pub fn after(self, wait: Duration) -> Self {
        Self::Hold(wait, Box::new(self))
    }

    /// The same answer once the test cancels `gate`.
    pub fn once_cancelled(self, gate: &CancellationToken) -> Self {
        Self::HoldUntil(gate.clone(), Box::new(self))
    }

    /// Adds a header to a [`Answer::Json`] or [`Answer::Raw`].
    ///
    /// # Panics
    /// With any other answer: those have no headers to add to.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        let (status, mut headers, body) = match self {
            Self::Json(status, body) => {
                let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
                (status, headers, Bytes::from(body.to_string()))
            }
            Self::Raw { status, headers, body } => (status, headers, body),
            other => panic!("{other:?} has no headers"),
        };
        headers.push((name.to_owned(), value.to_owned()));
        Self::Raw { status, headers, body }
    }

    /// Whether the answer is given before the body of the request is read.
    pub(crate) fn is_early(&self) -> bool {
        matches!(self, Self::CloseBeforeReading | Self::ResetWhileReading { .. })
    }
}

/// The words that go with a status code.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Payload Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Other",
    }
}
