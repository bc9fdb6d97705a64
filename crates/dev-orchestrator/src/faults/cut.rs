//! Bodies that end in the middle.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The first half of a body. It announces the whole length, and then fails, which ends the connection.
#[derive(Debug)]
pub(crate) struct CutBody<B> {
    /// The whole body. It is dropped unread, so that a task in it counts as not delivered.
    whole: B,
    length: u64,
    /// The rest of the half.
    left: u64,
    flushed: bool,
}

impl<B> CutBody<B> {
    pub(crate) fn new(whole: B, length: u64) -> Self {
        Self { whole, length, left: length / 2, flushed: false }
    }
}

impl<B> Body for CutBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        while self.left > 0 {
            let Poll::Ready(frame) = Pin::new(&mut self.whole).poll_frame(context) else {
                return Poll::Pending;
            };
            match frame {
                Some(Ok(frame)) => {
                    let Ok(mut data) = frame.into_data() else { continue };
                    data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= data.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => self.left = 0,
            }
        }
        if !self.flushed {
            // While this waits, hyper writes the half that it has.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::ConnectionReset).into())))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    #[tokio::test]
    async fn half_of_the_bytes_come_and_then_an_error() {
        for (text, half) in [("", ""), ("a", ""), ("ab", "a"), ("abcde", "ab")] {
            let mut body = CutBody::new(Full::new(Bytes::from(text)), text.len() as u64);
            assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
            let mut got = Vec::new();
            let ended = loop {
                match body.frame().await {
                    Some(Ok(frame)) => got.extend(frame.into_data().expect("data")),
                    other => break other,
                }
            };
            assert_eq!(got, half.as_bytes());
            assert!(matches!(ended, Some(Err(_))), "{text}: {ended:?}");
        }
    }
}
