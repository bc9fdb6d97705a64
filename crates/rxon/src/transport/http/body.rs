//! The bodies of answers, with a limit, and the parts of an answer that a [`Response`] keeps.

use std::io::{self, Write};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use flate2::write::GzDecoder;
use http::StatusCode;
use http::header::{self, HeaderMap};
use http_body::Body;
use http_body_util::BodyExt;

use super::address::redacted;
use super::stream::{BoxError, failure};
use crate::backoff;
use crate::error::{Error, ErrorKind};
use crate::text::excerpt;
use crate::transport::Response;

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
    if body.size_hint().exact().is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let mut content = match headers.get(header::CONTENT_ENCODING) {
        None => Decoded::Plain(Pieces::default()),
        Some(encoding) => Decoded::of(encoding.as_bytes(), limit)?,
    };
    while let Some(frame) = body.frame().await {
        // What is no data is of no use.
        if let Ok(data) = frame.map_err(|error| failure(error.into(), "in the body"))?.into_data() {
            match &mut content {
                Decoded::Plain(pieces) if pieces.length + data.len() > limit => return Err(too_large(limit)),
                Decoded::Plain(pieces) => pieces.push(data),
                Decoded::Gzip(gzip) => gzip.push(&data).map_err(not_decoded)?,
            }
        }
        if body.is_end_stream() {
            break;
        }
    }
    match content {
        Decoded::Plain(pieces) => Ok(pieces.joined()),
        Decoded::Gzip(mut gzip) => gzip.finish().map_err(not_decoded),
    }
}

/// What was read of a body.
enum Decoded {
    Plain(Pieces),
    // Boxed because it is large, in the future of every exchange.
    Gzip(Box<Gzip>),
}

impl Decoded {
    fn of(encoding: &[u8], limit: usize) -> Result<Self, Error> {
        match encoding.trim_ascii().to_ascii_lowercase().as_slice() {
            b"identity" | b"" => Ok(Self::Plain(Pieces::default())),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip(Box::new(Gzip::new(limit)))),
            other => {
                let problem = format!("content encoding `{}`, expected gzip or none", excerpt(other));
                Err(Error::new(ErrorKind::Protocol, problem))
            }
        }
    }
}

/// The pieces of a body. Nearly always there is one, which is passed on without a copy.
#[derive(Default)]
struct Pieces {
    first: Bytes,
    others: Vec<Bytes>,
    length: usize,
}

impl Pieces {
    fn push(&mut self, data: Bytes) {
        self.length += data.len();
        if self.first.is_empty() {
            self.first = data;
        } else {
            self.others.push(data);
        }
    }

    fn joined(self) -> Bytes {
        if self.others.is_empty() {
            return self.first;
        }
        let mut whole = BytesMut::with_capacity(self.length);
        whole.extend_from_slice(&self.first);
        self.others.iter().for_each(|piece| whole.extend_from_slice(piece));
        whole.freeze()
    }
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
    let location = status.is_redirection().then(|| text(header::LOCATION)).flatten().map(redacted);
    let date = if status.is_success() { None } else { text(header::DATE) };
    let date = date.and_then(|value| httpdate::parse_http_date(value).ok());
    Response { status: status.as_u16(), body, retry_after, location, date }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body::Frame;
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
