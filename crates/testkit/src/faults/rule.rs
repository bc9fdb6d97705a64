//! Faults, and the rules that choose requests for them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

type Rewriting = dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync;

/// A fault of a request or of its answer.
#[derive(Clone)]
pub enum Fault {
    /// The proxy answers the request, and the server does not receive it.
    Answer {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// The connection is reset after this many bytes of the answer's body.
    CutAnswer(u64),
    /// The connection is reset after this many bytes of the request's body, on the server's side too.
    CutRequest(u64),
    /// The server answers, but the connection is reset before the client receives the answer.
    LoseAnswer,
    /// The request is held back from the server until [`FaultProxy::release`](crate::FaultProxy::release).
    Hold,
    /// The request is read and never answered, for as long as the client waits.
    Hang,
    /// The head of the answer and this many bytes of its body pass, then nothing more.
    Stall(u64),
    /// The body of the answer passes in pieces of this many bytes, with a pause before each.
    Trickle {
        /// The number of bytes in a piece.
        bytes: usize,
        /// The pause before each piece.
        pause: Duration,
    },
    /// A header of the answer is set to this value; `None` removes it.
    Header(&'static str, Option<String>),
    /// The body of the answer is replaced, and its length adjusted.
    Body(Body),
}

/// A function that makes the new body from the original one.
#[derive(Clone)]
pub struct Body(pub(super) Arc<Rewriting>);

impl Fault {
    /// S3 asks to slow down: 503.
    pub fn slow_down() -> Self {
        Self::s3_error(503, "SlowDown", "Please reduce your request rate.")
    }

    /// S3 denies access: 403.
    pub fn access_denied() -> Self {
        Self::s3_error(403, "AccessDenied", "Access Denied")
    }

    /// S3 has an internal error: 500.
    pub fn internal_error() -> Self {
        Self::s3_error(500, "InternalError", "We encountered an internal error. Please try again.")
    }

    /// An error in the format of S3.
    pub fn s3_error(status: u16, code: &str, message: &str) -> Self {
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
        let body = format!("{head}<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Self::Answer { status, body }
    }

    /// Replaces the body of the answer by the result of `rewriting`.
    pub fn body(rewriting: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::Body(Body(Arc::new(rewriting)))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Body").finish_non_exhaustive()
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { status, .. } => write!(formatter, "Answer({status})"),
            Self::CutAnswer(bytes) => write!(formatter, "CutAnswer({bytes})"),
            Self::CutRequest(bytes) => write!(formatter, "CutRequest({bytes})"),
            Self::LoseAnswer => formatter.write_str("LoseAnswer"),
            Self::Hold => formatter.write_str("Hold"),
            Self::Hang => formatter.write_str("Hang"),
            Self::Stall(bytes) => write!(formatter, "Stall({bytes})"),
            Self::Trickle { bytes, pause } => write!(formatter, "Trickle({bytes}, {pause:?})"),
            Self::Header(name, value) => write!(formatter, "Header({name}, {value:?})"),
            Self::Body(_) => formatter.write_str("Body"),
        }
    }
}

/// A fault and the requests that it applies to: all of them, unless a method below restricts it.
///
/// ```
/// use testkit::{Fault, Rule};
///
/// // The second and third read of that object.
/// let rule = Rule::new(Fault::slow_down()).method("GET").containing("/a.bin").after(1).times(2);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Rule {
    fault: Fault,
    method: Option<&'static str>,
    texts: Vec<String>,
    /// The number of matching requests that still pass.
    spared: u64,
    /// The number of requests that the fault still applies to.
    left: u64,
}

impl Rule {
    /// A rule that applies to every request.
    pub fn new(fault: Fault) -> Self {
        Self { fault, method: None, texts: Vec::new(), spared: 0, left: u64::MAX }
    }

    /// Applies only to requests with this method.
    pub fn method(mut self, method: &'static str) -> Self {
        self.method = Some(method);
        self
    }

    /// Applies only to requests whose target or `Range` contains this text, as on the wire. Several calls add up.
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.texts.push(text.into());
        self
    }

    /// Skips this many matching requests first.
    pub fn after(mut self, requests: u64) -> Self {
        self.spared = requests;
        self
    }

    /// Applies to at most this many requests.
    pub fn times(mut self, requests: u64) -> Self {
        self.left = requests;
        self
    }

    /// Applies to one request only.
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// The fault for this request, which is counted.
    pub(super) fn takes(&mut self, method: &str, target: &str, range: Option<&str>) -> Option<&Fault> {
        let is_meant = self.method.is_none_or(|wanted| wanted == method)
            && self.texts.iter().all(|text| {
                target.contains(text.as_str()) || range.is_some_and(|range| range.contains(text.as_str()))
            });
        if !is_meant || self.left == 0 {
            return None;
        }
        if self.spared > 0 {
            self.spared -= 1;
            return None;
        }
        self.left -= 1;
        Some(&self.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_happens_to_what_it_is_meant_for() {
        let mut rule =
            Rule::new(Fault::Hang).method("GET").containing("/a").containing("bytes=5").after(1).times(2);
        let requests = [
            ("PUT", "/a", Some("bytes=5-9")),
            ("GET", "/b", Some("bytes=5-9")),
            ("GET", "/a", None),
            ("GET", "/a", Some("bytes=5-9")),
            ("GET", "/a", Some("bytes=5-9")),
            ("GET", "/a/b", Some("bytes=50-")),
            ("GET", "/a", Some("bytes=5-9")),
        ];
        let taken = requests.map(|(method, target, range)| rule.takes(method, target, range).is_some());
        assert_eq!(taken, [false, false, false, false, true, true, false]);
    }
}
