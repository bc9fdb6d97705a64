//! The answers of a script, from ordinary to hostile.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// An answer of the scripted orchestrator to one request.
///
/// Unless a variant says otherwise, the request is first read whole and recorded, and the connection stays open for the
/// next one.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The answer of the orchestrator without a script.
    Normally,
    /// A status and a JSON body.
    Json(u16, Value),
    /// A status, headers and a body, sent unchanged. `Content-Length` is added unless the headers already frame the
    /// body; a `Connection: close` among them is obeyed.
    Raw {
        /// The status code.
        status: u16,
        /// Headers, in this order.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
    /// Waits, then answers. The wait ends when the client disconnects.
    Hold(Duration, Box<Answer>),
    /// Waits until the test cancels the token, then answers.
    HoldUntil(CancellationToken, Box<Answer>),
    /// Never answers, and keeps the connection open until the client disconnects.
    Hang,
    /// Closes in order (FIN) without an answer, once the head of the request has arrived. Recorded without a body.
    CloseBeforeReading,
    /// Reads the request, then closes in order (FIN) without an answer.
    CloseAfterReading,
    /// Reads the request, then resets the connection (RST).
    Reset,
    /// Resets the connection after this many bytes of the request's body, or after all of it if it is shorter.
    /// Recorded with the bytes read.
    ResetWhileReading {
        /// The number of bytes of the body to read.
        after: usize,
    },
    /// Declares a longer body than it sends, then closes in order.
    Truncated {
        /// The status code.
        status: u16,
        /// The value of `Content-Length`.
        declared_length: usize,
        /// The bytes to send.
        body: Bytes,
    },
    /// A valid answer whose body is sent slowly.
    Dribble {
        /// The status code.
        status: u16,
        /// The whole body.
        body: Bytes,
        /// The number of bytes in a chunk.
        chunk: usize,
        /// The pause after each chunk.
        every: Duration,
    },
    /// These bytes unchanged, sent slowly, the head included. The connection stays open.
    Trickle {
        /// The bytes to send.
        bytes: Bytes,
        /// The number of bytes in a chunk.
        chunk: usize,
        /// The pause after each chunk.
        every: Duration,
    },
    /// A chunked body of spaces that never ends, sent as fast as the client reads.
    Endless {
        /// The status code.
        status: u16,
    },
    /// Opens the requested websocket, then neither reads nor sends anything.
    DeafWebSocket,
    /// Opens the requested websocket, and closes it at once with this code.
    ClosedWebSocket(u16),
    /// Sends these bytes unchanged, then closes in order. They need not be HTTP.
    Bytes(Bytes),
}

impl Answer {
    /// A status with a JSON error body, like those of orchestrators.
    pub fn status(status: u16) -> Self {
        Self::Json(status, json!({ "error": reason(status) }))
    }

    /// 200 with a JSON body.
    pub fn ok(body: Value) -> Self {
        Self::Json(200, body)
    }

    /// 200 with these bytes as a JSON body, even if they are not JSON.
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
    /// For any other answer, which has no headers.
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

    /// Returns true if the answer comes before the body of the request is read.
    pub(crate) fn is_early(&self) -> bool {
        matches!(self, Self::CloseBeforeReading | Self::ResetWhileReading { .. })
    }
}

/// The reason phrase of a status code.
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
