//! What can go wrong between two peers.

use std::fmt;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A message could not be exchanged. No answer of the peer's is an error: see
/// [`Response`](crate::transport::Response).
///
/// The text never repeats the source, and never holds a token, a payload or the credentials of an address.
#[derive(Debug, thiserror::Error)]
#[error("{kind}{}{detail}", if detail.is_empty() { "" } else { ": " })]
pub struct Error {
    kind: ErrorKind,
    detail: String,
    progress: Progress,
    #[source]
    source: Option<BoxError>,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection to the peer: refused, unreachable, unknown host, or not within the limit. May be tried again.
    Connect,
    /// The peer's certificate or its TLS is not acceptable. May be tried again: certificates get renewed.
    Tls,
    /// The proxy did not let us through. May be tried again.
    Proxy,
    /// The connection ended before the answer was whole. May be tried again, see [`Error::is_ambiguous`].
    Closed,
    /// No whole answer within the time limit. May be tried again, see [`Error::is_ambiguous`].
    Timeout,
    /// What came back is not HTTP, or over a websocket no frame of one, or its body cannot be decoded. May be tried
    /// again.
    Protocol,
    /// The answer is larger than allowed; it was not read whole. May be tried again.
    TooLarge,
    /// The message cannot be sent as it is. Never tried again.
    Message,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "could not connect",
            Self::Tls => "could not agree on TLS",
            Self::Proxy => "the proxy refused",
            Self::Closed => "the connection was closed",
            Self::Timeout => "no answer within the time limit",
            Self::Protocol => "the answer is not valid",
            Self::TooLarge => "the answer is too large",
            Self::Message => "the message cannot be sent",
        })
    }
}

/// How far an exchange came before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// The request was written whole.
    pub written: bool,
    /// The connection had carried an exchange before.
    pub reused: bool,
    /// At least one byte of an answer came.
    pub answered: bool,
}

impl Error {
    /// An error of this kind, with a few words on what and where.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), progress: Progress::default(), source: None }
    }

    /// Keeps what caused it.
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Keeps how far the exchange came.
    pub fn with_progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// How far the exchange came.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether the same message may be sent once more later.
    pub fn is_retryable(&self) -> bool {
        self.kind != ErrorKind::Message
    }

    /// Whether the peer closed an idle connection just as it was to be used again: the request was almost certainly
    /// not processed.
    pub fn is_stale_connection(&self) -> bool {
        self.kind == ErrorKind::Closed && self.progress.reused && !self.progress.answered
    }

    /// Whether the peer may have processed the request although its answer was lost.
    ///
    /// The 1.0b2 orchestrator cannot tell a repeated result from a new one, so this decides whether one is repeated.
    pub fn is_ambiguous(&self) -> bool {
        self.progress.written && !self.is_stale_connection()
    }

    /// The error and everything that caused it, in one line.
    pub fn chain(&self) -> Chain<'_> {
        Chain(self)
    }
}

/// Prints an error with its sources, separated by colons.
#[derive(Debug)]
pub struct Chain<'a>(&'a Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        formatter.write_str(&last)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(error) = source {
            let text = error.to_string();
            // Some libraries print their source in their own text.
            if !last.contains(&text) {
                write!(formatter, ": {text}")?;
                last = text;
            }
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(progress: Progress) -> Error {
        Error::new(ErrorKind::Closed, "").with_progress(progress)
    }

    #[test]
    fn only_a_request_written_whole_on_a_live_connection_is_ambiguous() {
        let written = Progress { written: true, ..Progress::default() };
        assert!(!closed(Progress::default()).is_ambiguous());
        assert!(closed(written).is_ambiguous());
        assert!(!closed(Progress { reused: true, ..written }).is_ambiguous());
        assert!(closed(Progress { reused: true, answered: true, ..written }).is_ambiguous());
        let late = Error::new(ErrorKind::Timeout, "").with_progress(Progress { reused: true, ..written });
        assert!(late.is_ambiguous(), "a silent peer may be working on it");
    }

    #[test]
    fn the_chain_prints_each_source_once() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let error = Error::new(ErrorKind::Connect, "127.0.0.1:1").with_source(refused);
        assert_eq!(error.to_string(), "could not connect: 127.0.0.1:1");
        assert_eq!(error.chain().to_string(), "could not connect: 127.0.0.1:1: connection refused");
    }
}
