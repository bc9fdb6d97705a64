//! What goes wrong, and when.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

type Rewriting = dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync;

/// What is done to a request, or to the answer to it.
#[derive(Clone)]
pub enum Fault {
    /// It is answered with this, and the server does not hear of it.
    Answer {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// The connection is reset when so many bytes of the answer's body have passed.
    CutAnswer(u64),
    /// The connection is reset when so many bytes of the request's body have passed; the server's, too.
    CutRequest(u64),
    /// The server answers, but the connection is reset before the client hears of it.
    LoseAnswer,
    /// The request waits before the server hears of it, until [`FaultProxy::release`](crate::FaultProxy::release).
    Hold,
    /// The request is read, and nothing else happens for as long as the client waits.
    Hang,
    /// The answer's head and so many bytes of its body pass, and then nothing happens any more.
    Stall(u64),
    /// The answer's body passes in pieces of so many bytes, with a pause before each.
    Trickle {
        /// How many bytes at once.
        bytes: usize,
        /// The pause.
        pause: Duration,
    },
    /// A header of the answer has this value, whatever it had before; it goes where there is none.
    Header(&'static str, Option<String>),
    /// The answer has another body, with the length it then has.
    Body(Body),
}

/// Makes a body of another one.
#[derive(Clone)]
pub struct Body(pub(super) Arc<Rewriting>);

impl Fault {
    /// S3 wants less of everything: 503.
    pub fn slow_down() -> Self {
        Self::s3_error(503, "SlowDown", "Please reduce your request rate.")
    }

    /// S3 refuses: 403.
    pub fn access_denied() -> Self {
        Self::s3_error(403, "AccessDenied", "Access Denied")
    }

    /// S3 has a trouble of its own: 500.
    pub fn internal_error() -> Self {
        Self::s3_error(500, "InternalError", "We encountered an internal error. Please try again.")
    }

    /// An error as S3 writes it.
    pub fn s3_error(status: u16, code: &str, message: &str) -> Self {
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
        let body = format!("{head}<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Self::Answer { status, body }
    }

    /// The answer has the body that is made of the one it had.
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

/// A fault, and the requests it happens to: all of them unless it is told otherwise.
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
    /// How many requests it still lets pass.
    spared: u64,
    /// To how many it still happens.
    left: u64,
}

impl Rule {
    /// One that happens to every request.
    pub fn new(fault: Fault) -> Self {
        Self { fault, method: None, texts: Vec::new(), spared: 0, left: u64::MAX }
    }

    /// Only to requests of this method.
    pub fn method(mut self, method: &'static str) -> Self {
        self.method = Some(method);
        self
    }

    /// Only to requests whose target, or `Range`, contains this, as it is on the wire. May be said several times.
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.texts.push(text.into());
        self
    }

    /// Not to the first so many of them.
    pub fn after(mut self, requests: u64) -> Self {
        self.spared = requests;
        self
    }

    /// To no more than so many of them.
    pub fn times(mut self, requests: u64) -> Self {
        self.left = requests;
        self
    }

    /// Only to one of them.
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// What happens to this request, which counts.
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
