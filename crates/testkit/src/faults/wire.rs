//! Messages of HTTP/1.1, passed from one connection to another.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The maximum length of a head; larger than any head in the tests.
const MAX_HEAD: usize = 64 * 1024;

/// The minimum size of a read.
const PIECE: usize = 64 * 1024;

/// A connection, with the bytes that were read and not used yet.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    buffer: Vec<u8>,
}

/// The first line and the headers of a message.
#[derive(Debug, Clone)]
pub(super) struct MessageHead {
    /// The first line, without its end.
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
}

/// The length of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Known(u64),
    Chunked,
    /// The body ends with the connection.
    Open,
}

/// The speed and extent at which a body passes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    Full,
    /// Only this many bytes pass.
    Limited(u64),
    Trickle(usize, Duration),
}

impl MessageHead {
    /// The value of the first header with this name, in any case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Sets a header to this value; `None` removes it.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// The word at this position of the first line.
    pub(super) fn word(&self, at: usize) -> &str {
        self.line.split(' ').nth(at).unwrap_or_default()
    }

    /// The length of the body of a request.
    pub(super) fn length_of_request(&self) -> Length {
        self.length(Length::Known(0))
    }

    /// The length of the body of the answer to a request with this method.
    pub(super) fn length_of_answer(&self, method: &str) -> Length {
        if method == "HEAD" || matches!(self.word(1), "204" | "304") {
            return Length::Known(0);
        }
        self.length(Length::Open)
    }

    /// Returns true if the connection ends with this message.
    pub(super) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.line);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    fn length(&self, otherwise: Length) -> Length {
        if self
            .header("transfer-encoding")
            .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
        {
            return Length::Chunked;
        }
        self.header("content-length").and_then(|value| value.parse().ok()).map_or(otherwise, Length::Known)
    }
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::new() }
    }

    /// Reads the next head; `None` if the connection ends before it.
    pub(super) async fn head(&mut self) -> io::Result<Option<MessageHead>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                let head = std::mem::replace(&mut self.buffer, rest);
                return Ok(Some(parse(&head)));
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Passes a body on unchanged, with its chunk framing. Returns the number of bytes that passed.
    pub(super) async fn pass(&mut self, to: &mut TcpStream, length: Length, pace: Pace) -> io::Result<u64> {
        let mut passage = Passage { pace, passed: 0 };
        match length {
            Length::Known(length) => self.pass_exactly(to, length, &mut passage).await?,
            Length::Open => self.pass_exactly(to, u64::MAX, &mut passage).await?,
            Length::Chunked => loop {
                let line = self.line().await?;
                let size = std::str::from_utf8(&line).ok().and_then(|line| line.split([';', '\r']).next());
                let size = size.and_then(|size| u64::from_str_radix(size.trim(), 16).ok());
                let size = size.ok_or(io::ErrorKind::InvalidData)?;
                to.write_all(&line).await?;
                if size == 0 {
                    // Trailers up to the empty line.
                    while self.line_to(to).await? != b"\r\n" {}
                    break;
                }
                self.pass_exactly(to, size, &mut passage).await?;
                self.line_to(to).await?;
            },
        }
        Ok(passage.passed)
    }

    /// Reads a whole body of known length, or one that ends with the connection.
    pub(super) async fn body(&mut self, length: Length) -> io::Result<Vec<u8>> {
        let wanted = match length {
            Length::Known(length) => length as usize,
            Length::Open => usize::MAX,
            Length::Chunked => return Err(io::ErrorKind::Unsupported.into()),
        };
        while self.buffer.len() < wanted {
            if self.fill().await? == 0 {
                break;
            }
        }
        let rest = self.buffer.split_off(wanted.min(self.buffer.len()));
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Reads and discards everything until the other end closes.
    pub(super) async fn drain(&mut self) {
        self.buffer.clear();
        while matches!(self.fill().await, Ok(1..)) {
            self.buffer.clear();
        }
    }

    /// Reads the available bytes in large pieces: a full buffer would grow by a few bytes only.
    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(PIECE);
        self.stream.read_buf(&mut self.buffer).await
    }

    async fn pass_exactly(
        &mut self,
        to: &mut TcpStream,
        length: u64,
        passage: &mut Passage,
    ) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() && self.fill().await? == 0 {
                return if length == u64::MAX { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let many = left.min(self.buffer.len() as u64);
            let many = passage.next(many).await?;
            to.write_all(&self.buffer[..many as usize]).await?;
            self.buffer.drain(..many as usize);
            left -= many;
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|bytes| bytes == b"\r\n") {
                let rest = self.buffer.split_off(end + 2);
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            if self.buffer.len() > MAX_HEAD || self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn line_to(&mut self, to: &mut TcpStream) -> io::Result<Vec<u8>> {
        let line = self.line().await?;
        to.write_all(&line).await?;
        Ok(line)
    }
}

/// The progress of a body.
struct Passage {
    pace: Pace,
    passed: u64,
}

impl Passage {
    /// The number of the next bytes that pass now. An error if none will pass any more.
    async fn next(&mut self, many: u64) -> io::Result<u64> {
        let many = match self.pace {
            Pace::Full => many,
            Pace::Limited(limit) if self.passed >= limit => {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Pace::Limited(limit) => many.min(limit - self.passed),
            Pace::Trickle(bytes, pause) => {
                tokio::time::sleep(pause).await;
                many.min(bytes as u64)
            }
        };
        self.passed += many;
        Ok(many)
    }
}

/// Accepts any head: the other end reports what is wrong with it.
fn parse(head: &[u8]) -> MessageHead {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
    let line = lines.next().unwrap_or_default().to_owned();
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    MessageHead { line, headers }
}
