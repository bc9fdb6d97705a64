//! Errors of an exchange between a worker and an orchestrator, and how errors are printed with their sources.

use std::error::Error as StdError;
use std::fmt;

/// An exchange that ended without an answer. An answer of any status is a `Response`, never an error.
///
/// The text does not repeat the source, and holds no token, no payload and no credentials of an address.
#[derive(Debug, thiserror::Error)]
#[error("{kind}{}{detail}", if detail.is_empty() { "" } else { ": " })]
pub struct Error {
    kind: ErrorKind,
    detail: String,
    progress: ExchangeProgress,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kind of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection to the peer: refused, unreachable, unknown host, or not within the time limit. Can be retried.
    Connect,
    /// The peer's certificate or its version of TLS is not acceptable. Can be retried: certificates get renewed.
    Tls,
    /// The proxy refused the connection or the request. Can be retried.
    Proxy,
    /// The connection ended before the answer was complete. Can be retried, see [`Error::is_ambiguous`].
    Closed,
    /// No complete answer within the time limit. Can be retried, see [`Error::is_ambiguous`].
    Timeout,
    /// The answer is not HTTP, its body cannot be decoded, or a websocket frame is not valid. Can be retried.
    Protocol,
    /// The answer is larger than allowed, and was not read to its end. Can be retried.
    TooLarge,
    /// The message cannot be sent as it is. Cannot be retried.
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

/// The stages that an exchange completed before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExchangeProgress {
    /// The request was written to its end.
    pub written: bool,
    /// The connection had carried an exchange before.
    pub reused: bool,
    /// At least one byte of an answer was received.
    pub answered: bool,
    /// The status of the answer, if it arrived.
    pub status: Option<u16>,
}

impl Error {
    /// Creates an error of this kind; `detail` says in a few words what failed and where.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), progress: ExchangeProgress::default(), source: None }
    }

    /// Sets the error that caused this one.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Sets the progress of the exchange.
    pub fn with_progress(mut self, progress: ExchangeProgress) -> Self {
        self.progress = progress;
        self
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the progress of the exchange before it failed.
    pub fn progress(&self) -> ExchangeProgress {
        self.progress
    }

    /// Returns whether the same message may be sent again later.
    pub fn is_retryable(&self) -> bool {
        self.kind != ErrorKind::Message
    }

    /// Returns whether the peer closed an idle connection just as it was used again: the request was almost certainly
    /// not processed.
    pub fn is_stale_connection(&self) -> bool {
        self.kind == ErrorKind::Closed && self.progress.reused && !self.progress.answered
    }

    /// Returns the status of the answer, if that arrived before the exchange failed: a peer that has begun to answer with
    /// 2xx has accepted the request.
    pub fn status(&self) -> Option<u16> {
        self.progress.status
    }

    /// Returns whether the peer may have processed the request although its answer was lost. If the
    /// [`status`](Self::status) of the answer arrived, that decides: 2xx says that the peer did.
    ///
    /// The 1.0b2 orchestrator cannot tell a repeated result from a new one, so this decides whether a result is repeated.
    pub fn is_ambiguous(&self) -> bool {
        match self.progress.status {
            Some(status) => (200..300).contains(&status),
            None => self.progress.written && !self.is_stale_connection(),
        }
    }

    /// Displays the error with its sources.
    pub fn chain(&self) -> ErrorChain<'_> {
        ErrorChain(self)
    }
}

/// Displays any error followed by its sources, on one line and separated by colons.
///
/// A source is left out when the error before it has quoted it already, as errors of some libraries do.
///
/// ```
/// use rxon::{Error, ErrorChain, ErrorKind};
///
/// let error = Error::new(ErrorKind::Connect, "http://h:1").with_source("connection refused");
/// assert_eq!(ErrorChain(&error).to_string(), "could not connect: http://h:1: connection refused");
/// ```
#[derive(Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn StdError + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        formatter.write_str(&last)?;
        for source in std::iter::successors(self.0.source(), |&error| error.source()) {
            let text = source.to_string();
            if !last.contains(&text) {
                write!(formatter, ": {text}")?;
                last = text;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(progress: ExchangeProgress) -> Error {
        Error::new(ErrorKind::Closed, "").with_progress(progress)
    }

    #[test]
    fn only_a_request_written_whole_on_a_live_connection_is_ambiguous() {
        let written = ExchangeProgress { written: true, ..ExchangeProgress::default() };
        assert!(!closed(ExchangeProgress::default()).is_ambiguous());
        assert!(closed(written).is_ambiguous());
        assert!(!closed(ExchangeProgress { reused: true, ..written }).is_ambiguous());
        assert!(closed(ExchangeProgress { reused: true, answered: true, ..written }).is_ambiguous());
        let late =
            Error::new(ErrorKind::Timeout, "").with_progress(ExchangeProgress { reused: true, ..written });
        assert!(late.is_ambiguous(), "a silent peer may be working on it");
        let answered =
            |status| ExchangeProgress { answered: true, status: Some(status), ..ExchangeProgress::default() };
        assert!(closed(answered(200)).is_ambiguous(), "it accepted what it had not read to its end");
        assert!(
            !closed(ExchangeProgress { written: true, ..answered(500) }).is_ambiguous(),
            "a refusal is an answer"
        );
        assert!(!closed(answered(500)).is_ambiguous());
        assert_eq!(closed(answered(204)).status(), Some(204));
    }

    #[test]
    fn the_chain_prints_each_source_once() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let error = Error::new(ErrorKind::Connect, "127.0.0.1:1").with_source(refused);
        assert_eq!(error.to_string(), "could not connect: 127.0.0.1:1");
        assert_eq!(error.chain().to_string(), "could not connect: 127.0.0.1:1: connection refused");
    }
}
