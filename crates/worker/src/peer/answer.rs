//! The meaning of an answer, which is decided here only, and its effects.
//!
//! [`Answer::of`] reads a response; [`Peer::record`](super::Peer::record) carries out the effects that are decided in the
//! same way for every kind of exchange. This table is the specification, and the tests run through it row by row:
//!
//! | answer | exchange | log | counted as | contact | rate gate | conversation |
//! |---|---|---|---|---|---|---|
//! | good | registration, result, websocket | again | answered | – | accepted | – |
//! | good | heartbeat, poll | again | answered | well | accepted | – |
//! | good | event, token | – | answered | – | accepted | – |
//! | unknown | registration | problem | failed | failed | accepted | – |
//! | unknown | heartbeat | again | answered | well | accepted | – |
//! | unknown | poll | problem | failed | – | accepted | forgotten |
//! | unknown | result | again | answered | – | accepted | – |
//! | unknown | websocket | problem | failed | – | accepted | – |
//! | unknown | event, token | – | failed | – | accepted | – |
//! | invalid | registration, heartbeat, poll | problem | failed | failed | accepted | – |
//! | invalid | result | again | answered | – | accepted | – |
//! | invalid | websocket | problem | failed | – | accepted | – |
//! | invalid | event, token | – | failed | – | accepted | – |
//! | unauthorized | registration, heartbeat, poll, result, websocket | credentials | refused | – | accepted | – |
//! | unauthorized | event, token | – | refused | – | accepted | – |
//! | too many | registration, websocket | problem | `rate_limited` | – | silence | – |
//! | too many | heartbeat, poll, result, event | limit | `rate_limited` | – | silence | – |
//! | too many | token | – | `rate_limited` | – | silence | – |
//! | bad | registration, heartbeat, poll | problem | failed | failed | accepted | – |
//! | bad | result, websocket | problem | failed | – | accepted | – |
//! | bad | event, token | – | failed | – | accepted | – |
//! | foreign | registration, heartbeat, poll | problem | failed | failed | accepted | – |
//! | foreign | result, websocket | problem | failed | – | accepted | – |
//! | foreign | event, token | – | failed | – | accepted | – |
//! | no connection | registration, heartbeat, poll | problem | failed | gone | – | doubt |
//! | no connection | result | problem | failed | – | – | doubt |
//! | no connection | websocket | problem | failed | – | – | – |
//! | no connection | event, token | – | failed | – | – | – |
//! | timeout | registration, heartbeat | problem | failed | gone | – | doubt |
//! | timeout | poll | problem | failed | failed | – | doubt |
//! | timeout | result | problem | failed | – | – | doubt |
//! | timeout | websocket | problem | failed | – | – | – |
//! | timeout | event, token | – | failed | – | – | – |
//! | hung up | registration, heartbeat, poll | problem | failed | failed | – | doubt |
//! | hung up | result | problem | failed | – | – | doubt |
//! | hung up | websocket | problem | failed | – | – | – |
//! | hung up | event, token | – | failed | – | – | – |
//!
//! - **answer**: *good* is a 2xx whose body is as expected, at least JSON or empty; *unknown* a 404 with JSON, or JSON
//!   `null` to a heartbeat; *invalid* a 400 or 422 with JSON, or a 413; *unauthorized* a 401 or 403; *too many* a 429;
//!   *foreign* a 2xx, 400, 404 or 422 with another body: the orchestrators answer in JSON, so a proxy, a captive portal or
//!   another server answers in their place, and its word decides nothing; *bad* any other status, a body that cannot be
//!   read, a 2xx that names an error, or the end of a websocket. Without an answer the error decides: *no connection*
//!   (connecting, TLS, proxy), *timeout*, or *hung up* (any other).
//! - **log**: *again* is an info line if exchanges of this kind failed before; *problem* a warning and *credentials* an
//!   error at the first failure, the tenth, the hundredth …; *limit* an info line at the first 429. Events and tokens are
//!   logged where they are sent.
//! - **contact**: the sign for the fleet (see [`Contact`]), which the caller passes on. An accepted registration is
//!   reported to the fleet by its caller.
//! - **rate gate**: whether the answer counts as accepted, or silence begins (see [`rate`](super::rate)).
//! - **conversation**: *doubt* makes the next heartbeat ask first whether the worker is still known; *forgotten* makes the
//!   worker register again.

use rxon::transport::Response;
use rxon::{Error, ErrorKind};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::advice::explained;

/// A kind of exchange with an orchestrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    Registration,
    Heartbeat,
    Poll,
    Result,
    Event,
    Token,
    Websocket,
}

impl Exchange {
    /// All kinds, in their order, with their names in logs and metrics.
    pub(super) const ALL: [(Self, &'static str); 7] = [
        (Self::Registration, "registration"),
        (Self::Heartbeat, "heartbeat"),
        (Self::Poll, "poll"),
        (Self::Result, "result"),
        (Self::Event, "event"),
        (Self::Token, "token"),
        (Self::Websocket, "websocket"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// An answer of an orchestrator, or the lack of one.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    /// The answer is as expected.
    Good,
    /// The orchestrator does not know the worker, or the subject of the message.
    Unknown(&'a Response),
    /// The orchestrator will never accept this message.
    Invalid(&'a Response),
    /// The orchestrator refuses the worker's credentials.
    Unauthorized(&'a Response),
    /// The orchestrator limits the rate of such messages.
    TooMany(&'a Response),
    /// The answer is not the orchestrator's: another server answers in its place.
    Foreign(&'a Response),
    /// Any other status.
    Bad(&'a Response),
    /// The exchange failed for a reason other than the status.
    Failed(String),
    /// No answer came.
    Nothing(&'a Error),
}

impl<'a> Answer<'a> {
    /// Reads the status of a response, and whose answer it is.
    pub(crate) fn of(response: &'a Response) -> Self {
        match response.status {
            // Every server on the way may say these, and they mean the same.
            401 | 403 => Self::Unauthorized(response),
            413 => Self::Invalid(response),
            429 => Self::TooMany(response),
            200..=299 if response.body.trim_ascii().is_empty() || is_json(&response.body) => Self::Good,
            400 | 422 if is_json(&response.body) => Self::Invalid(response),
            404 if is_json(&response.body) => Self::Unknown(response),
            200..=299 | 400 | 404 | 422 => Self::Foreign(response),
            _ => Self::Bad(response),
        }
    }

    /// Reads a response whose 2xx is a consent only if its body does not name an error.
    pub(crate) fn of_consent(response: &'a Response) -> Self {
        match Self::of(response) {
            Self::Good if names_error(&response.body) => Self::Bad(response),
            answer => answer,
        }
    }

    /// Reads a response that counts as refused even if its status is 2xx.
    pub(crate) fn of_refusal(response: &'a Response) -> Self {
        match Self::of(response) {
            Self::Good => Self::Bad(response),
            refusal => refusal,
        }
    }

    /// A response whose body is not the expected JSON object.
    pub(crate) fn unreadable(response: &Response) -> Self {
        Self::Failed(format!("{}, not a JSON object: `{}`", response.status, response.excerpt()))
    }

    /// The reason for the log.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Good => String::new(),
            Self::Foreign(response) => format!(
                "{} without JSON, as of a proxy or of another server: `{}`",
                response.status,
                response.excerpt()
            ),
            Self::TooMany(_) => "429, too many requests".to_owned(),
            Self::Unknown(response)
            | Self::Invalid(response)
            | Self::Unauthorized(response)
            | Self::Bad(response) => format!("{}: {}", response.status, response.error_text()),
            Self::Failed(reason) => reason.clone(),
            Self::Nothing(error) => explained(error),
        }
    }

    /// The column *counted as* of the table of this module.
    pub(super) fn counted(&self, exchange: Exchange) -> Counted {
        match (self, exchange) {
            (Self::Good, _)
            | (Self::Unknown(_), Exchange::Heartbeat | Exchange::Result)
            | (Self::Invalid(_), Exchange::Result) => Counted::Answered,
            (Self::Unauthorized(_), _) => Counted::Refused,
            (Self::TooMany(_), _) => Counted::RateLimited,
            _ => Counted::Failed,
        }
    }

    /// The column *contact* of the table.
    pub(super) fn contact(&self, exchange: Exchange) -> Option<Contact> {
        use Exchange::{Event, Heartbeat, Poll, Registration, Result, Token, Websocket};
        match (self, exchange) {
            (_, Result | Event | Token | Websocket)
            | (Self::Good, Registration)
            | (Self::Unknown(_), Poll)
            | (Self::Unauthorized(_) | Self::TooMany(_), _) => None,
            (Self::Good, _) | (Self::Unknown(_), Heartbeat) => Some(Contact::Well),
            (Self::Nothing(error), _) => Some(Contact::of_error(error, exchange)),
            _ => Some(Contact::Failed),
        }
    }
}

/// Whether a body is JSON, however deeply nested.
fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Whether a body is `{"status": "error"}` or has a member `error`, whatever else it has.
fn names_error(body: &[u8]) -> bool {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return false };
    let has_error = fields.get("error").is_some_and(|error| !error.is_null());
    has_error || fields.get("status").is_some_and(|status| status == "error")
}

/// The label under which an exchange is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Answered,
    Failed,
    Refused,
    RateLimited,
}

impl Counted {
    /// All labels, in their order, with their names in metrics.
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::Answered, "answered"),
        (Self::Failed, "failed"),
        (Self::Refused, "refused"),
        (Self::RateLimited, "rate_limited"),
    ];
}

/// The sign of an orchestrator's health that an exchange gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contact {
    /// The orchestrator answered as expected.
    Well,
    /// It answered otherwise, or hung up.
    Failed,
    /// It could not be reached, or did not answer a request that orchestrators answer at once.
    Gone,
}

impl Contact {
    /// The sign that an exchange without an answer gives. A poll that times out is a single failure: an orchestrator may
    /// hold it for longer than the worker waits.
    pub(crate) fn of_error(error: &Error, exchange: Exchange) -> Self {
        match error.kind() {
            ErrorKind::Timeout if exchange == Exchange::Poll => Self::Failed,
            ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Proxy | ErrorKind::Timeout => Self::Gone,
            _ => Self::Failed,
        }
    }
}
