//! The byte stream below HTTP, a watch on it, and the meaning of its errors.

use std::error::Error as StdError;
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
use tokio_util::either::Either;

use crate::error::{Error, ErrorKind, ExchangeProgress};

/// A byte stream, without or with TLS.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The state of the current request, as seen from the byte stream.
#[derive(Default)]
pub(super) struct Watch {
    /// Whether hyper has taken the whole body; replaced for every request.
    pub(super) body_taken: Arc<AtomicBool>,
    pub(super) progress: ExchangeProgress,
    /// The number of bytes read and written.
    pub(super) moved: u64,
    /// Whether reads ask the socket itself: they see the end of the stream before the runtime reports it.
    pub(super) is_probing: bool,
    /// The error that ended writing.
    pub(super) write_error: Option<io::Error>,
}

pub(super) fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream that reports to a [`Watch`].
///
/// Hides errors of writing from hyper, which would give up at once: a peer that refuses a large request answers and
/// closes before it has read all of it, and its answer must be read. The reading side ends soon after.
pub(super) struct Watched {
    stream: Stream,
    watch: Arc<Mutex<Watch>>,
    /// Whether anything was written since the last flush.
    dirty: bool,
    /// Whether writing has failed; later bytes are discarded.
    broken: bool,
}

impl Watched {
    pub(super) fn new(stream: Stream, watch: Arc<Mutex<Watch>>) -> Self {
        Self { stream, watch, dirty: false, broken: false }
    }

    /// Returns the value of a success. Records a failure and returns `all` instead, as if all bytes were written.
    fn hide_error<T>(&mut self, result: io::Result<T>, all: T) -> T {
        result.unwrap_or_else(|error| {
            self.broken = true;
            lock(&self.watch).write_error = Some(error);
            all
        })
    }

    /// Asks the socket for events that tokio has not seen yet. Any event ends an idle connection.
    fn probe(&self) -> Poll<io::Result<()>> {
        match SockRef::from(socket(&self.stream)).peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => Poll::Ready(Ok(())),
            Ok(_) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "bytes between two exchanges")))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

fn socket(stream: &Stream) -> &TcpStream {
    match stream {
        Stream::Left(socket) => socket,
        Stream::Right(tls) => tls.get_ref().0,
    }
}

/// Limits the bytes that the system takes before it has sent those that it has. Without effect on systems that cannot.
pub(super) fn unsent_limit(stream: &Stream, bytes: u32) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = SockRef::from(socket(stream)).set_tcp_notsent_lowat(bytes);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, bytes);
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() && lock(&self.watch).is_probing {
            return self.probe();
        }
        ready!(read)?;
        let read = buffer.filled().len() - before;
        if read > 0 {
            let mut watch = lock(&self.watch);
            watch.progress.answered = true;
            watch.moved += read as u64;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(data)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.broken {
            let result = ready!(Pin::new(&mut self.stream).poll_flush(context));
            self.hide_error(result, ());
        }
        if std::mem::take(&mut self.dirty) && !self.broken {
            // hyper flushes the stream only when its own buffer is empty.
            let mut watch = lock(&self.watch);
            watch.progress.written |= watch.body_taken.load(Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = data.iter().map(|slice| slice.len()).sum();
        if self.broken {
            return Poll::Ready(Ok(all));
        }
        self.dirty = true;
        let result = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, data));
        lock(&self.watch).moved += result.as_ref().map_or(0, |written| *written as u64);
        Poll::Ready(Ok(self.hide_error(result, all)))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// Converts an error of hyper.
pub(super) fn failure(error: BoxError, detail: &str) -> Error {
    let is_parse = error.downcast_ref().is_some_and(hyper::Error::is_parse);
    let kind = if is_parse { ErrorKind::Protocol } else { kind_of_stream_error(&*error) };
    Error::new(kind, detail).with_source(error)
}

/// Finds the I/O error of the stream below HTTP, which may wrap an error of rustls or mean a malformed chunk.
fn kind_of_stream_error(error: &(dyn StdError + 'static)) -> ErrorKind {
    let mut sources = std::iter::successors(error.source(), |&error| error.source());
    match sources.find_map(|error| error.downcast_ref::<io::Error>()) {
        Some(error) if is_tls(error) => ErrorKind::Tls,
        Some(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            ErrorKind::Protocol
        }
        _ => ErrorKind::Closed,
    }
}

/// Returns whether an I/O error wraps one of rustls; any other comes from the connection.
pub(super) fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>)
}
