//! The head of a request, read without allocating.

use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;

use super::endpoint::Endpoint;
use super::recorded::Recorded;

/// The maximum number of headers; more than any client sends.
const MAX_HEADERS: usize = 64;

/// The framing of the body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A body of this many bytes.
    Length(usize),
    /// Chunks with their own lengths.
    Chunked,
}

/// The parts of a head that are needed to read and answer a request. Positions are offsets in the buffer, which begins
/// with the request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestHead {
    pub(crate) endpoint: Endpoint,
    /// The position of the worker's id in the path, if there is one.
    pub(crate) worker: Option<Range<usize>>,
    /// The number of bytes before the body.
    pub(crate) length: usize,
    pub(crate) framing: Framing,
    /// True if the client will use the connection again.
    pub(crate) keep_alive: bool,
    /// True if the client waits for `100 Continue`.
    pub(crate) expects_continue: bool,
}

impl RequestHead {
    /// Parses the head at the start of `buffer`; `None` until it is complete.
    pub(crate) fn parse(buffer: &[u8]) -> Result<Option<Self>, httparse::Error> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = request.parse(buffer)? else {
            return Ok(None);
        };
        let target = request.path.unwrap_or_default();
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let (endpoint, worker) = Endpoint::of(request.method.unwrap_or_default(), path);
        let worker = worker.map(|worker| {
            let start = worker.as_ptr().addr() - buffer.as_ptr().addr();
            start..start + worker.len()
        });
        let mut head = Self {
            endpoint,
            worker,
            length,
            framing: Framing::Length(0),
            keep_alive: request.version == Some(1),
            expects_continue: false,
        };
        for header in request.headers.iter() {
            head.heed(header)?;
        }
        Ok(Some(head))
    }

    fn heed(&mut self, header: &httparse::Header<'_>) -> Result<(), httparse::Error> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let says = |value: &str| header.value.trim_ascii().eq_ignore_ascii_case(value.as_bytes());
        if is("content-length") {
            let length = std::str::from_utf8(header.value).ok().and_then(|text| text.trim().parse().ok());
            self.framing = Framing::Length(length.ok_or(httparse::Error::HeaderValue)?);
        } else if is("transfer-encoding") {
            self.framing = Framing::Chunked;
        } else if is("connection") && says("close") {
            self.keep_alive = false;
        } else if is("expect") {
            self.expects_continue = true;
        }
        Ok(())
    }
}

/// Builds the record of a request from its head, which has been parsed once already.
pub(crate) fn record(head: &[u8], endpoint: Endpoint, connection: u64, body: Bytes) -> Recorded {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(head);
    debug_assert!(parsed.is_ok_and(|status| status.is_complete()), "the head was complete before");
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |header: &httparse::Header<'_>| {
        (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())
    };
    Recorded {
        at: Instant::now(),
        endpoint,
        connection,
        method: request.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: request.headers.iter().map(header).collect(),
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_in_one_go() {
        let text = b"PATCH /p/_worker/workers/w-1?x=1 HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 12\r\n\r\n{}";
        let head = RequestHead::parse(text).unwrap().unwrap();
        assert_eq!(head.endpoint, Endpoint::Heartbeat);
        assert_eq!(&text[head.worker.clone().unwrap()], b"w-1");
        assert_eq!(&text[head.length..], b"{}");
        assert_eq!(head.framing, Framing::Length(12));
        assert!(head.keep_alive && !head.expects_continue);
    }

    #[test]
    fn half_a_head_is_not_a_head() {
        assert_eq!(RequestHead::parse(b"GET / HTTP/1.1\r\nHost:").unwrap(), None);
        assert!(RequestHead::parse(b"\x16\x03\x01 hello").is_err());
        assert!(RequestHead::parse(b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n").is_err());
    }

    #[test]
    fn the_client_may_ask_to_close() {
        assert!(!RequestHead::parse(b"GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().keep_alive);
        let text = b"POST / HTTP/1.1\r\nConnection: Close\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
        let head = RequestHead::parse(text).unwrap().unwrap();
        assert!(!head.keep_alive && head.expects_continue);
        assert_eq!(head.framing, Framing::Chunked);
    }
}
