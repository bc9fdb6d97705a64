//! The bytes below HTTP, watched.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::Progress;

/// A connection's bytes, with or without TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What has become of the current request, as seen from below.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// hyper has taken the whole body; replaced for every request.
    body_taken: Mutex<Arc<AtomicBool>>,
    written: AtomicBool,
    answered: AtomicBool,
}

impl Watch {
    /// A request begins.
    pub(super) fn begin(&self, body_taken: Arc<AtomicBool>) {
        *self.body_taken.lock().unwrap_or_else(PoisonError::into_inner) = body_taken;
        self.written.store(false, Ordering::Relaxed);
        self.answered.store(false, Ordering::Relaxed);
    }

    pub(super) fn progress(&self, reused: bool) -> Progress {
        Progress {
            written: self.written.load(Ordering::Relaxed),
            reused,
            answered: self.answered.load(Ordering::Relaxed),
        }
    }

    /// hyper flushes below only once its own buffer is empty: if the body was taken by then, all of it is out.
    fn flushed(&self) {
        let taken = self.body_taken.lock().unwrap_or_else(PoisonError::into_inner).load(Ordering::Relaxed);
        if taken {
            self.written.store(true, Ordering::Relaxed);
        }
    }
}

/// A stream that tells its [`Watch`] what passes.
pub(super) struct Watched {
    stream: Stream,
    watch: Arc<Watch>,
    /// Something was written since the last flush.
    dirty: bool,
}

impl Watched {
    pub(super) fn new(stream: Stream, watch: Arc<Watch>) -> Self {
        Self { stream, watch, dirty: false }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream),
            Stream::Tls(stream) => Pin::new(stream),
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        })?;
        if buffer.filled().len() > before {
            self.watch.answered.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.dirty = true;
        self.writer().poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writer().poll_flush(context))?;
        if std::mem::take(&mut self.dirty) {
            self.watch.flushed();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.dirty = true;
        self.writer().poll_write_vectored(context, data)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
