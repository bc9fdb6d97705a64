//! The byte stream below HTTP, a watch on it, and the meaning of its errors.

use std::error::Error as StdError;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::descriptors::NotInherited;
use crate::error::{Error, ErrorKind, ExchangeProgress};
use crate::limit::Movement;

/// A byte stream, without or with TLS.
pub(super) type Stream = Either<Line, Box<TlsStream<Line>>>;

/// Returns the TCP connection of a stream.
pub(super) fn line(stream: &Stream) -> &Line {
    match stream {
        Stream::Left(line) => line,
        Stream::Right(tls) => tls.get_ref().0,
    }
}

/// The number of bytes that the kernel takes beyond what it has sent. Its buffer would otherwise take megabytes at once,
/// and nothing would show whether they move.
#[cfg(any(target_os = "android", target_os = "linux"))]
const MAX_UNSENT: u32 = 64 << 10;

/// A TCP connection that counts what it moves. A forked process does not keep it, or it would stay open when this process
/// is killed, and the orchestrator would answer its poll.
#[derive(Debug)]
pub(super) struct Line {
    _not_inherited: NotInherited,
    socket: TcpStream,
    movement: Movement,
}

impl Line {
    /// Without delays for small writes, and with a small buffer for what is not sent yet.
    pub(super) fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        #[cfg(any(target_os = "android", target_os = "linux"))]
        // Kernels that emulate Linux may lack it.
        let _ = SockRef::from(&socket).set_tcp_notsent_lowat(MAX_UNSENT);
        Ok(Self { _not_inherited: NotInherited::new(&socket), socket, movement: Movement::default() })
    }

    /// The number of bytes moved, TLS included.
    pub(super) fn movement(&self) -> &Movement {
        &self.movement
    }

    /// Discards what is not sent yet when the connection is dropped, instead of sending it after all.
    pub(super) fn abort(&self) {
        // Without it the connection closes as usual.
        let _ = self.socket.set_zero_linger();
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        self.movement.record(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(context, data))?;
        self.movement.record(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(context, data))?;
        self.movement.record(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

/// What is wrong when the answer to a request without TLS is an alert of TLS.
pub(super) const SPEAKS_TLS: &str =
    "the server speaks TLS on this port: the address must begin with `https://`";

/// The state of the current exchange, as seen from the byte stream.
///
/// The stream and the exchange share it, but run one after the other: nothing here needs an order.
#[derive(Default)]
pub(super) struct Watch {
    /// The connection had carried an exchange before.
    is_reused: AtomicBool,
    /// The next read asks the socket itself: that sees the end of the stream before the runtime reports it.
    is_probing: AtomicBool,
    /// hyper has taken the whole body of the request.
    is_body_taken: AtomicBool,
    /// The last byte of the request was written.
    is_written: AtomicBool,
    /// At least one byte of an answer was read.
    is_answered: AtomicBool,
    /// The exchange is given up: what is not sent yet is discarded, so that it does not arrive beside a repetition.
    is_given_up: AtomicBool,
    details: Mutex<Details>,
}

#[derive(Default)]
struct Details {
    /// The error that ended writing.
    write_error: Option<io::Error>,
    /// The first bytes of the answer.
    beginning: Beginning,
}

impl Watch {
    /// Begins another exchange. `is_probing` asks the socket whether the peer has closed it.
    pub(super) fn begin(&self, is_reused: bool, is_probing: bool) {
        self.is_reused.store(is_reused, Ordering::Relaxed);
        self.is_probing.store(is_probing, Ordering::Relaxed);
        for fact in [&self.is_body_taken, &self.is_written, &self.is_answered, &self.is_given_up] {
            fact.store(false, Ordering::Relaxed);
        }
        *self.details() = Details::default();
    }

    /// Takes in that hyper has the whole body of the request.
    pub(super) fn on_body_taken(&self) {
        self.is_body_taken.store(true, Ordering::Relaxed);
    }

    /// Takes in that the exchange is given up.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    /// Returns whether the whole request was written.
    pub(super) fn is_written(&self) -> bool {
        self.is_written.load(Ordering::Relaxed)
    }

    pub(super) fn progress(&self) -> ExchangeProgress {
        ExchangeProgress {
            written: self.is_written(),
            reused: self.is_reused.load(Ordering::Relaxed),
            answered: self.is_answered.load(Ordering::Relaxed),
            status: self.details().beginning.status(),
        }
    }

    /// Adds to the error of an exchange what only the byte stream has seen.
    pub(super) fn explained(&self, error: Error) -> Error {
        let write_error = self.details().write_error.take();
        let error = match write_error {
            // The failed write came first, and caused the missing answer.
            Some(cause) if error.kind() == ErrorKind::Closed => error.with_source(cause),
            _ if self.details().beginning.is_tls() => {
                Error::new(ErrorKind::Protocol, SPEAKS_TLS).with_source(error)
            }
            _ => error,
        };
        error.with_progress(self.progress())
    }

    fn on_read(&self, data: &[u8]) {
        self.is_answered.store(true, Ordering::Relaxed);
        self.details().beginning.push(data);
    }

    fn details(&self) -> MutexGuard<'_, Details> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first bytes of an answer, as many as show its status.
#[derive(Default)]
pub(super) struct Beginning {
    bytes: [u8; 12],
    length: usize,
}

impl Beginning {
    /// The first bytes of an alert of TLS.
    const ALERT: &[u8] = &[0x15, 0x03];

    fn push(&mut self, data: &[u8]) {
        let taken = data.len().min(self.bytes.len() - self.length);
        self.bytes[self.length..self.length + taken].copy_from_slice(&data[..taken]);
        self.length += taken;
    }

    /// Returns the status of `HTTP/1.1 200`, even if nothing follows it.
    fn status(&self) -> Option<u16> {
        let line = std::str::from_utf8(&self.bytes[..self.length]).ok()?;
        let (_, status) = line.strip_prefix("HTTP/1.")?.split_once(' ')?;
        (status.len() == 3).then(|| status.parse().ok())?.filter(|status| *status >= 200)
    }

    /// Returns whether it is an alert of TLS: the server expects TLS on this port.
    fn is_tls(&self) -> bool {
        self.bytes[..self.length].starts_with(Self::ALERT)
    }
}

/// A stream that reports to a [`Watch`].
///
/// Hides errors of writing from hyper, which would give up at once: a peer that refuses a large request answers and
/// closes before it has read all of it, and its answer must be read. The reading side ends soon after.
pub(super) struct Watched {
    stream: Stream,
    watch: Arc<Watch>,
    /// Whether anything was written since the last flush.
    dirty: bool,
    /// Whether writing has failed; later bytes are discarded.
    broken: bool,
    /// Whether hyper is done with the stream.
    is_done: bool,
    replay: Option<Replay>,
}

/// Bytes that are read once more, before those of the stream.
struct Replay {
    bytes: Bytes,
    /// Whether nothing is read yet, as nothing may come before a request is written.
    is_held: bool,
}

impl Watched {
    pub(super) fn new(stream: Stream, watch: Arc<Watch>) -> Self {
        Self { stream, watch, dirty: false, broken: false, is_done: false, replay: None }
    }

    /// The stream for another reader of the same answer, of which these bytes were read: they are read once more. What
    /// that reader writes is discarded.
    pub(super) fn again(mut self, read: Bytes) -> Self {
        self.replay = Some(Replay { bytes: read, is_held: true });
        self.broken = true;
        self
    }

    /// Returns the value of a success. Records a failure and returns `all` instead, as if all bytes were written.
    fn hide_error<T>(&mut self, result: io::Result<T>, all: T) -> T {
        result.unwrap_or_else(|error| {
            self.broken = true;
            self.watch.details().write_error = Some(error);
            all
        })
    }

    /// Asks the socket for events that tokio has not seen yet. Any event ends an idle connection.
    fn probe(&self) -> Poll<io::Result<()>> {
        match SockRef::from(&line(&self.stream).socket).peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => Poll::Ready(Ok(())),
            Ok(_) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "bytes between two exchanges")))
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
        if let Some(Replay { bytes, is_held }) = &mut self.replay {
            if *is_held {
                return Poll::Pending;
            }
            let length = buffer.remaining().min(bytes.len());
            buffer.put_slice(&bytes.split_to(length));
            if bytes.is_empty() {
                self.replay = None;
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.watch.is_probing.load(Ordering::Relaxed) {
            self.watch.is_probing.store(false, Ordering::Relaxed);
            if read.is_pending() {
                return self.probe();
            }
        }
        ready!(read)?;
        if buffer.filled().len() > before {
            self.watch.on_read(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.watch.is_given_up.load(Ordering::Relaxed) {
            line(&self.stream).abort();
        } else if self.is_done {
            // Tells a TLS server that nothing is missing, if that goes without waiting.
            let _ = Pin::new(&mut self.stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
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
            if self.watch.is_body_taken.load(Ordering::Relaxed) {
                self.watch.is_written.store(true, Ordering::Relaxed);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The stream is shut down when it is dropped: the answer may have to be read again.
    fn poll_shutdown(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_done = true;
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = data.iter().map(|slice| slice.len()).sum();
        if self.broken {
            if let Some(replay) = &mut self.replay {
                replay.is_held = false;
                context.waker().wake_by_ref();
            }
            return Poll::Ready(Ok(all));
        }
        self.dirty = true;
        let result = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, data));
        Poll::Ready(Ok(self.hide_error(result, all)))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The maximal number of headers of an answer.
pub(super) const MAX_HEADERS: usize = 400;

/// The maximal size of the headers of an answer, and of what is read of its body at once: hyper's own limit.
pub(super) const MAX_HEAD: usize = 408 << 10;

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// Converts an error of hyper.
pub(super) fn failure(error: BoxError, detail: &str) -> Error {
    let of_http = error.downcast_ref::<hyper::Error>();
    // hyper has no other name for it.
    if of_http.is_some_and(|error| error.is_parse() && error.to_string().contains("too large")) {
        return Error::new(
            ErrorKind::TooLarge,
            format!("more than {MAX_HEADERS} headers, or more than {MAX_HEAD} bytes of them"),
        );
    }
    let is_parse = of_http.is_some_and(hyper::Error::is_parse);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_known_as_soon_as_its_digits_are() {
        for (pieces, status) in [
            (&["HTTP/1.1 200"][..], Some(200)),
            (&["HTT", "P/1.0 20", "4 No Content\r\nx: y"], Some(204)),
            (&["HTTP/1.1 20"], None),
            (&["HTTP/1.1 100 Continue"], None),
            (&["HTTP/1.1  200"], None),
            (&["SSH-2.0-OpenSSH"], None),
            (&[], None),
        ] {
            let mut beginning = Beginning::default();
            for piece in pieces {
                beginning.push(piece.as_bytes());
            }
            assert_eq!(beginning.status(), status, "{pieces:?}");
        }
    }
}
