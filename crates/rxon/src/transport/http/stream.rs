//! The bytes below HTTP, watched.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::Progress;

/// A connection's bytes, with or without TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

/// For a websocket, which nobody watches.
impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, data),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// What has become of the current request, as seen from below.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// hyper has taken the whole body; replaced for every request.
    body_taken: Mutex<Arc<AtomicBool>>,
    written: AtomicBool,
    answered: AtomicBool,
    /// Reads are to ask the socket itself.
    probing: AtomicBool,
    /// Why the peer could not be sent everything.
    write_error: Mutex<Option<io::Error>>,
}

impl Watch {
    /// A request begins.
    pub(super) fn begin(&self, body_taken: Arc<AtomicBool>) {
        *lock(&self.body_taken) = body_taken;
        self.written.store(false, Ordering::Relaxed);
        self.answered.store(false, Ordering::Relaxed);
    }

    /// While on, the end of the stream is seen although the runtime has not told of it yet.
    pub(super) fn probe(&self, on: bool) {
        self.probing.store(on, Ordering::Relaxed);
    }

    pub(super) fn progress(&self, reused: bool) -> Progress {
        Progress {
            written: self.written.load(Ordering::Relaxed),
            reused,
            answered: self.answered.load(Ordering::Relaxed),
        }
    }

    /// Why writing failed, if it did.
    pub(super) fn take_write_error(&self) -> Option<io::Error> {
        lock(&self.write_error).take()
    }

    /// hyper flushes below only once its own buffer is empty: if the body was taken by then, all of it is out.
    fn flushed(&self) {
        if lock(&self.body_taken).load(Ordering::Relaxed) {
            self.written.store(true, Ordering::Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream that tells its [`Watch`] what passes.
///
/// An error of writing is kept from hyper, which would give up at once: a peer that refuses a large request answers
/// and closes before it has read all of it, and what it said is to be heard. The reading side ends soon enough.
pub(super) struct Watched {
    stream: Stream,
    watch: Arc<Watch>,
    /// Something was written since the last flush.
    dirty: bool,
    /// Writing has failed; nothing more is written.
    deaf: bool,
}

impl Watched {
    pub(super) fn new(stream: Stream, watch: Arc<Watch>) -> Self {
        Self { stream, watch, dirty: false, deaf: false }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream),
            Stream::Tls(stream) => Pin::new(stream),
        }
    }

    /// Passes a success on, and takes a failure for one: `all` bytes, which go nowhere.
    fn forgive<T>(&mut self, result: io::Result<T>, all: T) -> T {
        result.unwrap_or_else(|error| {
            self.deaf = true;
            *lock(&self.watch.write_error) = Some(error);
            all
        })
    }

    /// Asks the socket for what tokio has not heard of. Whatever there is on an idle connection, it is over.
    fn probe(&self) -> Poll<io::Result<()>> {
        match SockRef::from(self.stream.socket()).peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => Poll::Ready(Ok(())),
            Ok(_) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "bytes that nobody asked for")))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
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
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if read.is_pending() && self.watch.probing.load(Ordering::Relaxed) {
            return self.probe();
        }
        ready!(read)?;
        if buffer.filled().len() > before {
            self.watch.answered.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(data.len()));
        }
        self.dirty = true;
        let result = ready!(self.writer().poll_write(context, data));
        Poll::Ready(Ok(self.forgive(result, data.len())))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.deaf {
            let result = ready!(self.writer().poll_flush(context));
            self.forgive(result, ());
        }
        if std::mem::take(&mut self.dirty) && !self.deaf {
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
        let all = data.iter().map(|slice| slice.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(all));
        }
        self.dirty = true;
        let result = ready!(self.writer().poll_write_vectored(context, data));
        Poll::Ready(Ok(self.forgive(result, all)))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
