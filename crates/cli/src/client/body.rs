//! Bodies of requests.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

/// How much of a file is read at once.
const PIECE: usize = 64 * 1024;

/// The body of a request.
#[derive(Debug)]
pub(super) enum Body {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file, read as it is sent, and the number of bytes that are left.
    File(File, u64),
}

impl Body {
    /// The content of a file of this size.
    pub(super) fn of_file(file: File, size: u64) -> Self {
        Self::File(file, size)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Bytes(Bytes::from(text))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::File(_, 0) => Poll::Ready(None),
            Self::File(file, left) => {
                let mut piece = vec![0; PIECE.min(usize::try_from(*left).unwrap_or(PIECE))];
                let mut buffer = ReadBuf::new(&mut piece);
                if let Err(error) = ready!(Pin::new(file).poll_read(context, &mut buffer)) {
                    return Poll::Ready(Some(Err(error)));
                }
                let read = buffer.filled().len();
                if read == 0 {
                    let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter");
                    return Poll::Ready(Some(Err(error)));
                }
                *left -= read as u64;
                piece.truncate(read);
                Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::File(_, left) => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, left) => *left,
        })
    }
}
