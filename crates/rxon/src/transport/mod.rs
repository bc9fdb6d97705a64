//! How messages travel: the contract, and its implementations.
//!
//! A [`Connector`] stands for one orchestrator; each [`Transport`] it makes carries one exchange at a time, so whoever
//! wants two at once holds two. [`memory`] is for tests, [`http`] for the real thing.

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

use crate::model::{MalformedTask, Task};
use crate::secrets::masked_head;
use crate::{Error, TaskName};

/// What an exchange gives in the end.
pub type ExchangeFuture<'a> = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send + 'a>>;

/// Carries exchanges with one orchestrator, one at a time.
///
/// # Contract
/// - Every answer of the peer's is a [`Response`], whatever its status; an [`Error`] means there was none.
/// - `time_limit` bounds the whole exchange; making a connection has a limit of its own on top.
/// - A message is written at most once: an implementation repeats nothing unless no byte of it was written.
/// - [`Error::progress`] tells how far the exchange came.
///
/// # Cancel safety
/// Dropping the future abandons the exchange; the peer may have seen it. The transport stays usable.
pub trait Transport: Send + fmt::Debug {
    /// Sends one message and waits for its answer.
    fn exchange(&mut self, request: Request) -> ExchangeFuture<'_>;
}

/// What opening a channel gives in the end.
pub type OpenFuture<'a> = Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send + 'a>>;

/// What a step of a channel gives in the end.
pub type ChannelFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A connection over which both sides speak when they like: a websocket.
///
/// After an error, or [`Heard::Closed`], it is of no use any more. Messages have a limit of 1 MiB.
pub trait Channel: Send + fmt::Debug {
    /// Waits for what the orchestrator says next, without a time limit. Pings are answered in here.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    fn hear(&mut self) -> ChannelFuture<'_, Heard>;

    /// Sends a text, within 5 s. Dropped half-way, the channel is of no use any more.
    fn say(&mut self, text: Bytes) -> ChannelFuture<'_, ()>;

    /// Asks for a sign of life, which comes as [`Heard::Life`].
    fn ping(&mut self) -> ChannelFuture<'_, ()>;
}

/// What came over a [`Channel`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// A message.
    Text(Bytes),
    /// A message of this many bytes that is not text: no part of the protocol.
    Binary(usize),
    /// A ping, or the answer to one.
    Life,
    /// The orchestrator has closed it.
    Closed {
        /// Why, as a number; 1008 when another connection took its place.
        code: Option<u16>,
        /// Why, in words; at most 200 bytes, on one line.
        reason: String,
    },
}

/// The answer to the wish for a [`Channel`].
#[derive(Debug)]
pub enum Opened {
    /// It stands.
    Channel(Box<dyn Channel>),
    /// Any answer but 101.
    Refused(Response),
}

/// Makes transports to one orchestrator. Nothing is connected before the first exchange.
pub trait Connector: Send + Sync + fmt::Debug {
    /// A transport with a connection of its own.
    fn transport(&self) -> Box<dyn Transport>;

    /// Opens a channel: connects, within 10 s.
    fn channel(&self) -> OpenFuture<'_>;
}

/// One message to an orchestrator. Its body is not printed.
#[derive(Clone)]
pub struct Request {
    /// What is asked.
    pub operation: Operation,
    /// Its JSON, sealed already; empty for none.
    pub body: Bytes,
    /// The whole exchange must end within this time.
    pub time_limit: Duration,
}

impl Request {
    /// A request without a body.
    pub fn new(operation: Operation, time_limit: Duration) -> Self {
        Self { operation, body: Bytes::new(), time_limit }
    }

    /// Gives it a body.
    pub fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, body, time_limit } = self;
        write!(formatter, "Request({}, {} bytes, {time_limit:?})", operation.name(), body.len())
    }
}

/// What can be asked of an orchestrator.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Operation {
    /// Introduce the worker.
    Register,
    /// Say that it lives; without a body, ask whether it is known.
    Heartbeat,
    /// Wait for a task.
    Poll(Arc<PollQuery>),
    /// Hand in a result.
    Result,
    /// Tell of an event.
    Event,
    /// Get a short-lived token.
    Token,
}

impl Operation {
    /// A word for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register => "registration",
            Self::Heartbeat => "heartbeat",
            Self::Poll(_) => "poll",
            Self::Result => "result",
            Self::Event => "event",
            Self::Token => "token",
        }
    }
}

/// What a poll says of the worker, ready to be put behind the question mark of its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollQuery(String);

impl PollQuery {
    /// The most that names of skills may take: servers refuse long lines (aiohttp beyond 8190 bytes).
    const LONGEST: usize = 4096;

    /// How long the orchestrator may hold the poll (the known ones hold as they like), what can be accepted, and
    /// whose models are loaded (both 1.0b17; left out when there are too many, the known ones do not look at them).
    pub fn new(timeout: Duration, available_skills: &[TaskName], hot_skills: &[TaskName]) -> Self {
        let names = |names: &[TaskName]| {
            names.iter().map(|name| encoded(name.as_str())).collect::<Vec<_>>().join(",")
        };
        let mut query = format!("timeout={}", timeout.as_secs_f64());
        let skills =
            format!("&available_skills={}&hot_skills={}", names(available_skills), names(hot_skills));
        if skills.len() <= Self::LONGEST {
            query.push_str(&skills);
        }
        Self(query)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name as it stands in an address.
fn encoded(name: &str) -> String {
    const SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    utf8_percent_encode(name, SET).to_string()
}

/// What a peer answered. Its body may hold a token: it is not printed.
#[derive(Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Its body, decoded.
    pub body: Bytes,
    /// How long not to ask again, from `Retry-After`.
    pub retry_after: Option<Duration>,
    /// Where a redirect leads, from `Location`, without credentials and query. It is never followed: its target would
    /// be shown the worker's token.
    pub location: Option<String>,
    /// What time it was there, from `Date`; only for answers that are no success.
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
    /// An answer with this status and body.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, body: body.into(), retry_after: None, location: None, date: None }
    }

    /// 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// 401 or 403: the generations differ in which they use, and mean the same.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    /// The beginning of the body, for a log line: about 200 bytes, without control characters and
    /// [secrets](crate::secrets).
    pub fn excerpt(&self) -> String {
        excerpt(&self.body)
    }

    /// What the orchestrator says went wrong: where a redirect leads, the member `error` of a JSON object, else the
    /// body's beginning.
    pub fn error_text(&self) -> String {
        // A body that is much larger than any message is not worth reading whole for one.
        const LONGEST: usize = 64 << 10;
        if let Some(location) = &self.location {
            let location = excerpt(location.as_bytes());
            return format!(
                "it leads to `{location}`, but redirects are not followed: set the address itself"
            );
        }
        if self.body.len() > LONGEST {
            return self.excerpt();
        }
        serde_json::from_slice::<serde_json::Value>(&self.body)
            .ok()
            .and_then(|body| body.get("error")?.as_str().map(|text| excerpt(text.as_bytes())))
            .unwrap_or_else(|| self.excerpt())
    }
}

/// The first 200 bytes of a body as one line of text, without [secrets](crate::secrets).
pub fn excerpt(body: &[u8]) -> String {
    const LONGEST: usize = 200;
    let head = masked_head(body, LONGEST);
    let text = String::from_utf8_lossy(&head);
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// What a poll brought.
#[derive(Debug)]
pub enum Polled {
    /// A task.
    Task(Box<Task>, Bytes),
    /// Nothing to do.
    Nothing,
    /// A 200 whose body is not a task.
    Malformed {
        /// What is wrong with it.
        problem: MalformedTask,
        /// The beginning of the body.
        excerpt: String,
    },
    /// Any other status.
    Refused(Response),
}

/// Sugar over [`Transport`].
pub trait TransportExt: Transport {
    /// Waits for a task.
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
                    Err(problem) => Polled::Malformed { problem, excerpt: response.excerpt() },
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
    fn a_query_names_what_can_be_accepted() {
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
        assert_eq!(Response::new(500, "`excerpt-token-1`, no token").excerpt(), "`***`, no token");
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
        assert!(response.excerpt().len() <= 200);
        assert_eq!(Response::new(500, r#"{"error":"Job not found"}"#).error_text(), "Job not found");
        assert_eq!(Response::new(502, "<html>").error_text(), "<html>");
    }
}
