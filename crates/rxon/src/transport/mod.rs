//! Transports of messages: the contract, and its implementations.
//!
//! A [`Connector`] stands for one orchestrator. Each [`Transport`] that it creates carries one exchange at a time, so
//! two exchanges at once need two transports. [`memory`] is for tests, [`http`] for production.

#[cfg(feature = "http")]
pub mod http;
pub mod memory;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::Error;
use crate::id::TaskName;
use crate::limit::Limits;
use crate::model::{MalformedTask, Task};
use crate::text::excerpt;

/// The future of an exchange.
pub type ExchangeFuture<'a> = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send + 'a>>;

/// A carrier of exchanges with one orchestrator, one at a time.
///
/// # Contract
/// - Every answer of the peer is a [`Response`], whatever its status; an [`Error`] means that there was none.
/// - `time_limit` bounds the whole exchange, and `idle_limit` the time without a byte moving; connecting has a limit of
///   its own on top.
/// - A message is written at most once: a transport repeats it only if no byte of it was written.
/// - [`Error::progress`] tells how far the exchange came.
///
/// # Cancel safety
/// Dropping the future abandons the exchange; the peer may have received the message. The transport stays usable.
pub trait Transport: Send + fmt::Debug {
    /// Sends one message and waits for its answer.
    fn exchange(&mut self, request: Request) -> ExchangeFuture<'_>;
}

/// The future of opening a channel.
pub type OpenFuture<'a> = Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send + 'a>>;

/// The future of one operation on a channel.
pub type ChannelFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A connection over which both sides may send at any time: a websocket.
///
/// A channel is unusable after an error or [`Received::Closed`]. A message has at most 1 MiB.
pub trait Channel: Send + fmt::Debug {
    /// Waits for the next message of the orchestrator, without a time limit. Answers pings meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    fn receive(&mut self) -> ChannelFuture<'_, Received>;

    /// Sends a text, within 5 s.
    ///
    /// # Cancel safety
    /// Dropping the future before it ends makes the channel unusable.
    fn send(&mut self, text: Bytes) -> ChannelFuture<'_, ()>;

    /// Sends a ping, whose answer arrives as [`Received::SignOfLife`].
    fn ping(&mut self) -> ChannelFuture<'_, ()>;
}

/// A message or an event received over a [`Channel`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// A text message.
    Text(Bytes),
    /// A binary message of this many bytes, which is not part of the protocol.
    Binary(usize),
    /// A ping, or the answer to one.
    SignOfLife,
    /// The orchestrator closed the channel.
    Closed {
        /// The numeric reason; 1008 when another connection has replaced this one.
        code: Option<u16>,
        /// An [`excerpt`] of the reason.
        reason: String,
    },
}

/// The answer to the request for a [`Channel`].
#[derive(Debug)]
pub enum Opened {
    /// The channel is open.
    Channel(Box<dyn Channel>),
    /// The orchestrator answered with a status other than 101.
    Refused(Response),
}

/// A factory of transports to one orchestrator. Connects only when the first exchange begins.
pub trait Connector: Send + Sync + fmt::Debug {
    /// Creates a transport with a connection of its own.
    fn transport(&self) -> Box<dyn Transport>;

    /// Connects and opens a channel, within 10 s.
    fn channel(&self) -> OpenFuture<'_>;
}

/// One message to an orchestrator. Its body is never printed.
#[derive(Clone)]
pub struct Request {
    /// The operation.
    pub operation: Operation,
    /// The body, sealed JSON; may be empty.
    pub body: Bytes,
    /// Whether the body has no seal, or one that was made elsewhere. It is never sealed again.
    pub is_ready_made: bool,
    /// The time limit of the whole exchange.
    pub time_limit: Duration,
    /// The limit of the time without a byte moving in either direction.
    pub idle_limit: Option<Duration>,
}

impl Request {
    /// Creates a request without a body.
    pub fn new(operation: Operation, time_limit: Duration) -> Self {
        Self { operation, body: Bytes::new(), is_ready_made: false, time_limit, idle_limit: None }
    }

    /// Limits the time without a byte moving, beside the time in all.
    pub fn with_idle_limit(mut self, limit: Duration) -> Self {
        self.idle_limit = Some(limit);
        self
    }

    /// Returns both limits.
    pub fn limits(&self) -> Limits {
        let limits = Limits::new(self.time_limit);
        self.idle_limit.map_or(limits, |idle| limits.idle(idle))
    }

    /// Sets the body.
    pub fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// Sets a body that has no seal, or one that was made elsewhere.
    pub fn with_ready_made(mut self, body: Bytes) -> Self {
        self.is_ready_made = true;
        self.with_body(body)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, body, time_limit, .. } = self;
        write!(formatter, "Request({}, {} bytes, {time_limit:?})", operation.name(), body.len())
    }
}

/// An operation of an orchestrator.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Operation {
    /// Registers the worker.
    Register,
    /// Reports that the worker is alive; without a body, asks whether it is registered.
    Heartbeat,
    /// Waits for a task.
    Poll(Arc<PollQuery>),
    /// Delivers a result.
    Result,
    /// Sends an event.
    Event,
    /// Requests a short-lived token.
    Token,
    /// Runs a skill on another worker, and waits for its result. Its body is not sealed.
    CallSkill,
}

impl Operation {
    /// Returns a word for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register => "registration",
            Self::Heartbeat => "heartbeat",
            Self::Poll(_) => "poll",
            Self::Result => "result",
            Self::Event => "event",
            Self::Token => "token",
            Self::CallSkill => "skill call",
        }
    }
}

/// The query in the address of a poll: a time limit, and the skills of the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollQuery(String);

impl PollQuery {
    /// The maximal length of the skills in bytes: servers refuse long lines (aiohttp those beyond 8190 bytes).
    const MAX_SKILLS: usize = 4096;

    /// Creates a query.
    ///
    /// `timeout` is the longest time for which the orchestrator may hold the poll; the known orchestrators ignore it.
    /// `available_skills` can be accepted now, and the models of `hot_skills` are loaded. Both are fields of 1.0b17 that
    /// the known orchestrators ignore; they are left out when they exceed 4096 bytes.
    pub fn new(timeout: Duration, available_skills: &[TaskName], hot_skills: &[TaskName]) -> Self {
        let names = |names: &[TaskName]| {
            names.iter().map(|name| encoded(name.as_str())).collect::<Vec<_>>().join(",")
        };
        let mut query = format!("timeout={}", timeout.as_secs_f64());
        let skills =
            format!("&available_skills={}&hot_skills={}", names(available_skills), names(hot_skills));
        if skills.len() <= Self::MAX_SKILLS {
            query.push_str(&skills);
        }
        Self(query)
    }

    /// Returns the text after the `?` of the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Percent-encodes a name for an address.
fn encoded(name: &str) -> String {
    const SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    utf8_percent_encode(name, SET).to_string()
}

/// An answer of the peer. Its body, which may contain a token, is never printed.
#[derive(Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The decoded body.
    pub body: Bytes,
    /// The time to wait before the next request, from `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The target of a redirect, from `Location`, without credentials and query. Redirects are never followed, as their
    /// target would receive the worker's token.
    pub location: Option<String>,
    /// The time at the peer, from `Date`; only of answers that are not 2xx.
    pub date: Option<SystemTime>,
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, body, retry_after, .. } = self;
        write!(formatter, "Response({status}, {} bytes", body.len())?;
        retry_after.map_or(Ok(()), |after| write!(formatter, ", retry after {after:?}"))?;
        formatter.write_str(")")
    }
}

impl Response {
    /// Creates an answer with this status and body.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, body: body.into(), retry_after: None, location: None, date: None }
    }

    /// Returns whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns whether the status is 401 or 403: the generations use different ones with the same meaning.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    /// Returns an [`excerpt`] of the body.
    pub fn excerpt(&self) -> String {
        excerpt(&self.body)
    }

    /// Returns the orchestrator's explanation of an error: the target of a redirect, the member `error` of a JSON
    /// object, or else an [`excerpt`] of the body.
    pub fn error_text(&self) -> String {
        // A much larger body than any error message is not parsed.
        const MAX_PARSED: usize = 64 << 10;
        if let Some(location) = &self.location {
            return format!(
                "redirect to `{}`: redirects are not followed, set this address instead",
                excerpt(location)
            );
        }
        if self.body.len() > MAX_PARSED {
            return self.excerpt();
        }
        serde_json::from_slice::<serde_json::Value>(&self.body)
            .ok()
            .and_then(|body| body.get("error")?.as_str().map(excerpt))
            .unwrap_or_else(|| self.excerpt())
    }
}

/// The outcome of a poll.
#[derive(Debug)]
pub enum Polled {
    /// A task, and the body in which it was received.
    Task(Box<Task>, Bytes),
    /// No task.
    Nothing,
    /// A 200 whose body is not a task.
    Malformed {
        /// The problem with the body.
        problem: MalformedTask,
        /// An [`excerpt`] of the body.
        excerpt: String,
        /// Whether the body begins like a JSON object.
        is_object: bool,
    },
    /// Any other status.
    Refused(Response),
}

/// Convenience methods of every [`Transport`].
pub trait TransportExt: Transport {
    /// Polls for a task.
    ///
    /// # Errors
    /// The same as of [`Transport::exchange`].
    fn poll(
        &mut self,
        query: Arc<PollQuery>,
        time_limit: Duration,
    ) -> impl Future<Output = Result<Polled, Error>> + Send {
        async move {
            let response = self.exchange(Request::new(Operation::Poll(query), time_limit)).await?;
            Ok(match response.status {
                200 => match Task::parse(&response.body) {
                    Ok(task) => Polled::Task(Box::new(task), response.body),
                    Err(problem) => Polled::Malformed {
                        problem,
                        excerpt: response.excerpt(),
                        is_object: response.body.trim_ascii_start().starts_with(b"{"),
                    },
                },
                204 => Polled::Nothing,
                _ => Polled::Refused(response),
            })
        }
    }
}

impl<T: Transport + ?Sized> TransportExt for T {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Secrets;

    #[test]
    fn a_query_names_the_skills() {
        let name = |name| TaskName::new(name).expect("an identifier");
        let query = PollQuery::new(Duration::from_secs(30), &[name("a"), name("b-2")], &[]);
        assert_eq!(query.as_str(), "timeout=30&available_skills=a,b-2&hot_skills=");
        assert!(PollQuery::new(Duration::from_millis(500), &[], &[]).as_str().starts_with("timeout=0.5&"));
    }

    #[test]
    fn a_query_fits_into_an_address_whatever_the_names() {
        let many: Vec<_> = (0..100)
            .map(|number| TaskName::new(&format!("{number:0>100}")).expect("an identifier"))
            .collect();
        assert_eq!(PollQuery::new(Duration::from_secs(1), &many, &[]).as_str(), "timeout=1");
        let odd = [TaskName::received("a b&c#ü").expect("not empty")];
        let query = PollQuery::new(Duration::from_secs(1), &odd, &odd[..0]);
        assert_eq!(query.as_str(), "timeout=1&available_skills=a%20b%26c%23%C3%BC&hot_skills=");
    }

    #[test]
    fn bodies_are_not_printed() {
        let request = Request::new(Operation::Token, Duration::from_secs(1)).with_body("secret".into());
        let response = Response::new(200, r#"{"access_token":"secret"}"#);
        let text = format!("{request:?} {response:?}");
        assert_eq!(text, "Request(token, 6 bytes, 1s) Response(200, 25 bytes)");
    }

    #[test]
    fn an_excerpt_has_no_secrets() {
        let _held = Secrets::new(["excerpt-token-1".to_owned()]);
        assert_eq!(Response::new(500, "`excerpt-token-1`, not a token").excerpt(), "`***`, not a token");
        assert_eq!(Response::new(500, r#"{"error":"excerpt-token-1"}"#).error_text(), "***");
        let cut = Response::new(500, format!("{}excerpt-token-1", "x".repeat(190)));
        assert!(!cut.excerpt().contains("excerpt"), "{}", cut.excerpt());
        let escaped = Response::new(500, r#"{"error":"\u0065xcerpt-token-1"}"#);
        assert_eq!(escaped.error_text(), "***");
    }

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        let response = Response::new(500, "a\nb\u{1b}[31m".repeat(100));
        assert!(response.excerpt().chars().all(|char| !char.is_control()));
        assert!(response.excerpt().chars().count() <= 201, "200 characters and an ellipsis");
        assert_eq!(Response::new(500, r#"{"error":"Job not found"}"#).error_text(), "Job not found");
        assert_eq!(Response::new(502, "<html>").error_text(), "<html>");
    }
}
