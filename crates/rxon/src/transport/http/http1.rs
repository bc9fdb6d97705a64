//! HTTP/1.1 on one connection, driven from within its exchanges.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::stream::{BoxError, MAX_HEAD, MAX_HEADERS, Stream, Watch, Watched, failure, line};
use super::wakes::Wakes;
use crate::error::{Error, ErrorKind, ExchangeProgress};
use crate::limit::{Expired, LimitTimer, Limits};

/// The number of exchanges after which a connection's server is not one that closes after each, or after a few.
pub(super) const MANY: u32 = 16;

type Connection<B> = http1::Connection<TokioIo<Watched>, Tracked<B>>;

/// The head of an answer, as hyper returns it.
type Head<B> = Result<Response<Incoming>, TrySendError<Request<Tracked<B>>>>;

/// HTTP/1.1 on one connection.
pub(super) struct Http1<B: Body + Unpin + 'static> {
    sender: SendRequest<Tracked<B>>,
    /// hyper's side of the connection, dropped when it ends: only the drop makes hyper wake those that still wait for
    /// something from it.
    connection: Option<Box<Connection<B>>>,
    /// The stream of a connection that has ended, and the bytes that were read and not understood.
    ended: Option<(Watched, Bytes)>,
    wakes: Wakes,
    watch: Arc<Watch>,
    timer: LimitTimer,
    unasked: Duration,
    /// Whether it carries no other exchange.
    is_last: bool,
    /// The number of exchanges so far.
    carried: u32,
    /// The end of the last exchange.
    idle_since: Instant,
}

/// A request that failed.
pub(super) struct Failed<B> {
    pub(super) error: Error,
    /// The request, if no byte of it was written.
    pub(super) unsent: Option<Box<Request<Tracked<B>>>>,
}

impl<B> Http1<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static,
{
    /// Starts HTTP on a stream. Once it has carried [`MANY`] exchanges, it is used again within `unasked` without asking
    /// whether the peer has closed it.
    pub(super) async fn new(stream: Stream, unasked: Duration) -> Result<Self, Error> {
        let watch = Arc::<Watch>::default();
        let timer = LimitTimer::new(Limits::new(Duration::MAX), line(&stream).movement().clone());
        // hyper's own limit of headers needs no room of its own. See `read_again` for answers with more.
        let (sender, connection) =
            handshake(Watched::new(stream, watch.clone()), http1::Builder::new()).await?;
        Ok(Self {
            sender,
            connection: Some(connection),
            ended: None,
            wakes: Wakes::default(),
            watch,
            timer,
            unasked,
            is_last: false,
            carried: 0,
            idle_since: Instant::now(),
        })
    }

    /// Sends a request, and reads its answer with `read`.
    ///
    /// If the peer is seen to have closed the connection since the last exchange, the request is given back.
    // Not `async`, so that the request is not moved into the future.
    pub(super) fn exchange<T, F: Future<Output = Result<T, Error>>>(
        &mut self,
        request: Request<Tracked<B>>,
        limits: Limits,
        read: impl Fn(Response<Incoming>) -> F,
    ) -> impl Future<Output = Result<T, Failed<B>>> {
        let method = request.method().clone();
        let sent = self.send(request, limits);
        async move {
            let answer = pin!(async { Ok(read(sent.await.map_err(failed)?).await) });
            let mut result = self.drive(answer).await;
            if let Ok(Err(Failed { error, .. })) = &result
                && error.kind() == ErrorKind::TooLarge
                && let Some((stream, read_before)) = self.ended.take()
            {
                // Boxed because it is rare.
                result = Box::pin(self.read_again(stream.again(read_before), method, &read)).await;
            }
            let Failed { error, unsent } = match result {
                Ok(Ok(Ok(answer))) => return Ok(answer),
                Ok(Ok(Err(error))) => Failed { error, unsent: None },
                Ok(Err(failed)) => failed,
                Err(expired) => Failed { error: timeout(expired), unsent: None },
            };
            Err(Failed { error: self.watch.explained(error), unsent })
        }
    }

    /// Reads an answer from its beginning with room for more headers: 26 KB for each answer, which is too much to have it
    /// always. The connection carries nothing after this answer.
    async fn read_again<T, F: Future<Output = Result<T, Error>>>(
        &mut self,
        stream: Watched,
        method: Method,
        read: impl Fn(Response<Incoming>) -> F,
    ) -> Result<Result<Result<T, Error>, Failed<B>>, Expired> {
        let mut builder = http1::Builder::new();
        builder.max_headers(MAX_HEADERS);
        match handshake(stream, builder).await {
            Ok((sender, connection)) => {
                (self.sender, self.connection, self.is_last) = (sender, Some(connection), true);
            }
            Err(error) => return Ok(Ok(Err(error))),
        }
        // It is written nowhere, and only tells hyper what it is answered with.
        let mut request = Request::new(Tracked { body: None, watch: None });
        *request.method_mut() = method;
        let sent = self.sender.try_send_request(request);
        self.drive(pin!(async { Ok(read(sent.await.map_err(failed)?).await) })).await
    }

    /// Begins an exchange. The answer comes while the connection is [driven](Self::drive).
    fn send(
        &mut self,
        mut request: Request<Tracked<B>>,
        limits: Limits,
    ) -> Pin<Box<impl Future<Output = Head<B>> + use<B>>> {
        let now = Instant::now();
        let is_probing = self.carried > 0 && (self.carried < MANY || now - self.idle_since >= self.unasked);
        self.watch.begin(self.carried > 0, is_probing);
        self.timer.restart(limits, now);
        self.carried = self.carried.saturating_add(1);
        if request.body().is_end_stream() {
            self.watch.on_body_taken();
        }
        request.body_mut().watch = Some(self.watch.clone());
        // Boxed, as it has room for the request, and is moved from one future into the next.
        Box::pin(self.sender.try_send_request(request))
    }

    /// Moves the bytes of the connection while a future waits for them, within the limits of the exchange.
    async fn drive<F: Future>(&mut self, mut future: Pin<&mut F>) -> Result<F::Output, Expired> {
        poll_fn(|context| self.poll(context, |context| future.as_mut().poll(context))).await
    }

    /// Moves the bytes that can be moved, and polls what waits for them.
    pub(super) fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut waiting: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Expired>> {
        let Self { connection, ended, wakes, watch, timer, .. } = self;
        wakes.poll(context, |context| {
            if let Some(open) = connection
                && Pin::new(&mut **open).poll(context).is_ready()
            {
                *ended = connection.take().map(|connection| {
                    let parts = connection.into_parts();
                    (parts.io.into_inner(), parts.read_buf)
                });
            }
            // Before the limit: it may be ready because of what was read in the turn in which the timer fired.
            if let Poll::Ready(output) = waiting(context) {
                return Poll::Ready(Ok(output));
            }
            timer.poll(context).map(|expired| {
                watch.give_up();
                Err(expired)
            })
        })
    }

    /// Returns whether the connection can carry another exchange after the whole answer to the last: only if that was
    /// written whole, or the next bytes could belong to either.
    pub(super) fn end(&mut self) -> bool {
        self.idle_since = Instant::now();
        self.watch.is_written() && !self.is_last && self.connection.is_some() && !self.sender.is_closed()
    }

    pub(super) fn progress(&self) -> ExchangeProgress {
        self.watch.progress()
    }
}

async fn handshake<B>(
    stream: Watched,
    mut builder: http1::Builder,
) -> Result<(SendRequest<Tracked<B>>, Box<Connection<B>>), Error>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static,
{
    let started = builder.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await;
    let (sender, connection) =
        started.map_err(|error| Error::new(ErrorKind::Connect, "HTTP").with_source(error))?;
    Ok((sender, Box::new(connection)))
}

/// Converts the error of an answer's head.
fn failed<B>(mut error: TrySendError<Request<Tracked<B>>>) -> Failed<B> {
    let unsent = error.take_message().map(Box::new);
    Failed { error: failure(error.into_error().into(), ""), unsent }
}

/// Converts a limit that was reached.
pub(super) fn timeout(expired: Expired) -> Error {
    Error::new(ErrorKind::Timeout, expired.to_string())
}

/// The body of a request, which tells its connection once all of it was taken.
pub(super) struct Tracked<B> {
    body: Option<B>,
    watch: Option<Arc<Watch>>,
}

impl<B> Tracked<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body: Some(body), watch: None }
    }
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(context);
        if (matches!(frame, Poll::Ready(None)) || self.is_end_stream())
            && let Some(watch) = &self.watch
        {
            watch.on_body_taken();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
