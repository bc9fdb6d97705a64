//! Bodies: out in one piece, in with a limit.

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http::header::{self, HeaderMap};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{Error, ErrorKind};

/// A body in one piece that tells when the connection has taken it.
#[derive(Debug)]
pub(super) struct Outgoing {
    content: Option<Bytes>,
    taken: Arc<AtomicBool>,
}

impl Outgoing {
    pub(super) fn new(content: Bytes) -> Self {
        let content = (!content.is_empty()).then_some(content);
        Self { taken: Arc::new(AtomicBool::new(content.is_none())), content }
    }

    /// Set once nothing of the body is left to take.
    pub(super) fn taken(&self) -> Arc<AtomicBool> {
        self.taken.clone()
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let content = self.content.take();
        self.taken.store(true, Ordering::Relaxed);
        Poll::Ready(content.map(|content| Ok(Frame::data(content))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.as_ref().map_or(0, |content| content.len() as u64))
    }
}

/// Reads a body whole, decoded, up to `limit` bytes.
///
/// # Errors
/// [`ErrorKind::TooLarge`], [`ErrorKind::Protocol`] for an encoding that cannot be decoded, and
/// [`ErrorKind::Closed`] when it ends early.
pub(super) async fn collect(headers: &HeaderMap, mut body: Incoming, limit: usize) -> Result<Bytes, Error> {
    let mut decoder = Decoder::new(headers, limit)?;
    if let Some(length) = body.size_hint().exact()
        && length > limit as u64
    {
        return Err(too_large(limit));
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::new(ErrorKind::Closed, "within the body").with_source(error))?;
        if let Ok(data) = frame.into_data() {
            decoder.push(data)?;
        }
    }
    decoder.finish()
}

fn too_large(limit: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("more than {limit} bytes"))
}

enum Decoder {
    Identity { first: Option<Bytes>, rest: BytesMut, limit: usize },
    Gzip { decoder: Box<MultiGzDecoder<Limited>>, limit: usize },
}

impl Decoder {
    fn new(headers: &HeaderMap, limit: usize) -> Result<Self, Error> {
        let encoding = headers.get(header::CONTENT_ENCODING).map_or(&b"identity"[..], |value| value.as_bytes());
        match encoding.trim_ascii().to_ascii_lowercase().as_slice() {
            b"identity" | b"" => Ok(Self::Identity { first: None, rest: BytesMut::new(), limit }),
            b"gzip" | b"x-gzip" => {
                let decoder = Box::new(MultiGzDecoder::new(Limited { content: BytesMut::new(), limit, full: false }));
                Ok(Self::Gzip { decoder, limit })
            }
            other => {
                let other = String::from_utf8_lossy(other).into_owned();
                Err(Error::new(ErrorKind::Protocol, format!("content encoding `{other}`, expected gzip or none")))
            }
        }
    }

    fn push(&mut self, data: Bytes) -> Result<(), Error> {
        match self {
            Self::Identity { first, rest, limit } => {
                let length = first.as_ref().map_or(0, Bytes::len) + rest.len() + data.len();
                if length > *limit {
                    return Err(too_large(*limit));
                }
                match first {
                    // Nearly every answer comes in one piece, which is then passed on as it is.
                    None => *first = Some(data),
                    Some(_) => rest.extend_from_slice(&data),
                }
                Ok(())
            }
            Self::Gzip { decoder, limit } => decoder.write_all(&data).map_err(|error| {
                if decoder.get_ref().full { too_large(*limit) } else { not_gzip(error) }
            }),
        }
    }

    fn finish(self) -> Result<Bytes, Error> {
        match self {
            Self::Identity { first, rest, .. } if rest.is_empty() => Ok(first.unwrap_or_default()),
            Self::Identity { first, rest, .. } => {
                let mut whole = BytesMut::from(first.unwrap_or_default());
                whole.extend_from_slice(&rest);
                Ok(whole.freeze())
            }
            Self::Gzip { decoder, .. } => Ok(decoder.finish().map_err(not_gzip)?.content.freeze()),
        }
    }
}

fn not_gzip(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Protocol, "the body is not valid gzip").with_source(error)
}

/// Refuses what would go beyond the limit before it is stored: a small body can decompress to a huge one.
struct Limited {
    content: BytesMut,
    limit: usize,
    full: bool,
}

impl Write for Limited {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        if self.content.len() + data.len() > self.limit {
            self.full = true;
            return Err(std::io::Error::other("too large"));
        }
        self.content.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
