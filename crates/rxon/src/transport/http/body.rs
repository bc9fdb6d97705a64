//! Bodies: requests in one piece, answers with a limit. The parts of an answer that a [`Response`] keeps.

use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use flate2::write::GzDecoder;
use http::StatusCode;
use http::header::{self, HeaderMap};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::address::redacted;
use super::stream::{BoxError, failure};
use crate::backoff;
use crate::error::{Error, ErrorKind};
use crate::text::excerpt;
use crate::transport::Response;

/// A body in one piece.
#[derive(Debug)]
pub(super) struct Outgoing {
    content: Option<Bytes>,
    /// Set once the connection has taken all of the body.
    pub(super) taken: Arc<AtomicBool>,
}

impl Outgoing {
    pub(super) fn new(content: Bytes) -> Self {
        let content = (!content.is_empty()).then_some(content);
        Self { taken: Arc::new(AtomicBool::new(content.is_none())), content }
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

/// Reads and decodes a whole body of at most `limit` bytes.
///
/// # Errors
/// [`ErrorKind::TooLarge`] for a larger body, [`ErrorKind::Protocol`] for one that cannot be decoded, and
/// [`ErrorKind::Closed`] for one that ends early.
pub(super) async fn collect<B>(headers: &HeaderMap, mut body: B, limit: usize) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    // An empty body needs no decoding, whatever its headers say.
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let encoding = headers.get(header::CONTENT_ENCODING).map_or(&b""[..], |value| value.as_bytes());
    let is_gzip = match encoding.trim_ascii().to_ascii_lowercase().as_slice() {
        b"identity" | b"" => false,
        b"gzip" | b"x-gzip" => true,
        other => {
            let problem = format!("content encoding `{}`, expected gzip or none", excerpt(other));
            return Err(Error::new(ErrorKind::Protocol, problem));
        }
    };
    if body.size_hint().exact().is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let broken = |error: BoxError| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => too_large(limit),
        None => failure(error, "in the body"),
    };
    if !is_gzip {
        return Ok(Limited::new(body, limit).collect().await.map_err(broken)?.to_bytes());
    }
    let mut gzip = Gzip::new(limit);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|error| broken(error.into()))?.into_data() {
            gzip.push(&data).map_err(not_decoded)?;
        }
    }
    gzip.finish().map_err(not_decoded)
}

fn too_large(limit: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("more than {limit} bytes"))
}

/// Returns the error of a [`Content`], or that the body is not valid.
fn not_decoded(error: io::Error) -> Error {
    error.downcast().unwrap_or_else(|error| {
        Error::new(ErrorKind::Protocol, "the body is not valid gzip").with_source(error)
    })
}

/// A compressed body of one or more members. Bytes after the last member are ignored, as by most programs.
struct Gzip {
    member: GzDecoder<Content>,
    /// At least one byte was received.
    begun: bool,
    /// All members are complete.
    ended: bool,
}

impl Gzip {
    /// The first byte of every member.
    const MAGIC: u8 = 0x1f;

    fn new(limit: usize) -> Self {
        Self { member: GzDecoder::new(Content { limit, ..Content::default() }), begun: false, ended: false }
    }

    fn push(&mut self, mut data: &[u8]) -> io::Result<()> {
        self.begun |= !data.is_empty();
        while !data.is_empty() && !self.ended {
            match self.member.write(data)? {
                // The member is complete, and these bytes are not part of it.
                0 => self.begin_member(data[0])?,
                taken => data = &data[taken..],
            }
        }
        Ok(())
    }

    fn begin_member(&mut self, first: u8) -> io::Result<()> {
        self.member.try_finish()?;
        if first == Self::MAGIC {
            let content = std::mem::take(self.member.get_mut());
            self.member = GzDecoder::new(content);
        } else {
            self.ended = true;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<Bytes> {
        if self.begun && !self.ended {
            self.member.try_finish()?;
        }
        Ok(std::mem::take(self.member.get_mut()).bytes.freeze())
    }
}

/// A buffer that refuses bytes beyond its limit before storing them: a small body can decompress to a huge one.
#[derive(Default)]
struct Content {
    bytes: BytesMut,
    limit: usize,
}

impl Write for Content {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + data.len() > self.limit {
            return Err(io::Error::other(too_large(self.limit)));
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Converts an HTTP answer, whose body was [collected](collect).
pub(super) fn response(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let retry_after = headers
        .get(header::RETRY_AFTER)
        .map(|value| backoff::retry_after(value.to_str().unwrap_or_default(), SystemTime::now()));
    let location = text(header::LOCATION).filter(|_| status.is_redirection()).map(redacted);
    let date = text(header::DATE).filter(|_| !status.is_success());
    let date = date.and_then(|value| httpdate::parse_http_date(value).ok());
    Response { status: status.as_u16(), body, retry_after, location, date }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::StreamBody;

    use super::*;

    const LIMIT: usize = 1000;

    fn read(encoding: &'static str, pieces: &[&[u8]]) -> Result<Bytes, ErrorKind> {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_ENCODING, header::HeaderValue::from_static(encoding))]);
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, BoxError>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let read = collect(&headers, body, LIMIT).now_or_never().expect("all pieces are there");
        read.map_err(|error| error.kind())
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).expect("a vector takes all");
        encoder.finish().expect("a vector takes all")
    }

    #[test]
    fn a_body_may_have_the_limit_and_not_a_byte_more() {
        let text = vec![b'x'; LIMIT];
        assert_eq!(read("identity", &[&text]), Ok(text.clone().into()));
        assert_eq!(read("identity", &[&text[..400], b"", &text[400..]]), Ok(text.clone().into()));
        assert_eq!(read("identity", &[&text, b"x"]), Err(ErrorKind::TooLarge));
        assert_eq!(read("gzip", &[&gzip(&text)]), Ok(text.clone().into()));
        assert_eq!(read("gzip", &[&gzip(&text), &gzip(b"")]), Ok(text.clone().into()));
        assert_eq!(read("gzip", &[&gzip(&text), &gzip(b"x")]), Err(ErrorKind::TooLarge));
        assert_eq!(read("gzip", &[&gzip(&[text, vec![b'x']].concat())]), Err(ErrorKind::TooLarge));
    }

    #[test]
    fn compressed_pieces_may_be_cut_anywhere() {
        let whole = [gzip(b"some "), gzip(b"text"), b"\0\0garbage".to_vec()].concat();
        for cut in 0..whole.len() {
            let (one, two) = whole.split_at(cut);
            assert_eq!(read("gzip", &[one, two]), Ok(Bytes::from_static(b"some text")), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(read("gzip", &bytes), Ok(Bytes::from_static(b"some text")));
    }

    #[test]
    fn no_more_than_the_limit_is_ever_stored() {
        let bomb = gzip(&vec![0; 10 << 20]);
        let mut gzip = Gzip::new(LIMIT);
        let error = gzip.push(&bomb).map_err(not_decoded).expect_err("it is too large");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let content = gzip.member.get_ref();
        assert!(content.bytes.capacity() <= 4 * LIMIT, "{}", content.bytes.capacity());
    }
}
