//! One HTTP/1.1 connection, driven from within its exchanges.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::body::{self, Outgoing};
use super::stream::{Stream, Watch, Watched};
use super::MAX_BODY;
use crate::{Error, ErrorKind};

type Driver = http1::Connection<TokioIo<Watched>, Outgoing>;

/// A connection between two exchanges.
pub(super) struct Connection {
    sender: SendRequest<Outgoing>,
    driver: Pin<Box<Driver>>,
    watch: Arc<Watch>,
    /// It has carried an exchange before.
    reused: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("reused", &self.reused).finish_non_exhaustive()
    }
}

/// An exchange that ended in an answer.
pub(super) struct Done {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The connection, where it can be used again.
    pub(super) connection: Option<Connection>,
}

/// An exchange that did not.
pub(super) struct Failed {
    pub(super) error: Error,
    /// The request, when not one byte of it was written.
    pub(super) unsent: Option<Box<Request<Outgoing>>>,
}

impl Connection {
    /// Begins HTTP on a stream.
    pub(super) async fn new(stream: Stream) -> Result<Self, Error> {
        let watch = Arc::new(Watch::default());
        let io = TokioIo::new(Watched::new(stream, watch.clone()));
        let (sender, driver) = http1::Builder::new()
            .handshake(io)
            .await
            .map_err(|error| Error::new(ErrorKind::Connect, "HTTP").with_source(error))?;
        Ok(Self { sender, driver: Box::pin(driver), watch, reused: false })
    }

    /// The connection, unless the peer has closed it meanwhile.
    pub(super) async fn still_open(mut self) -> Option<Self> {
        let ended = poll_fn(|context| Poll::Ready(self.driver.as_mut().poll(context).is_ready())).await;
        (!ended && !self.sender.is_closed()).then_some(self)
    }

    /// Sends a request and reads its answer whole.
    ///
    /// The connection is given back only after a whole answer: dropped midway, nobody could tell whose bytes come next.
    pub(super) async fn exchange(mut self, request: Request<Outgoing>, time_limit: Duration) -> Result<Done, Failed> {
        self.watch.begin(request.body().taken());
        let answer = async {
            let response = self.sender.try_send_request(request).await.map_err(|mut error| {
                let unsent = error.take_message().map(Box::new);
                Failed { error: classify(error.into_error()), unsent }
            })?;
            let (head, incoming) = response.into_parts();
            let body = body::collect(&head.headers, incoming, MAX_BODY)
                .await
                .map_err(|error| Failed { error, unsent: None })?;
            Ok((head, body))
        };
        let result = tokio::time::timeout(time_limit, drive(self.driver.as_mut(), answer)).await;
        let progress = self.watch.progress(self.reused);
        match result {
            Ok(Ok((head, body))) => {
                self.reused = true;
                let connection = (!self.sender.is_closed()).then_some(self);
                Ok(Done { status: head.status, headers: head.headers, body, connection })
            }
            Ok(Err(Failed { error, unsent })) => Err(Failed { error: error.with_progress(progress), unsent }),
            Err(_) => {
                let error = Error::new(ErrorKind::Timeout, format!("{time_limit:?}")).with_progress(progress);
                Err(Failed { error, unsent: None })
            }
        }
    }
}

/// Moves the connection's bytes while a future waits for them.
async fn drive<F: Future>(mut driver: Pin<&mut Driver>, future: F) -> F::Output {
    let mut future = pin!(future);
    let mut ended = false;
    poll_fn(|context| {
        // The request is queued by the first poll of the future, written and answered by the driver's, so the
        // future is asked again after the driver has moved.
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        if !ended && driver.as_mut().poll(context).is_ready() {
            ended = true;
        }
        future.as_mut().poll(context)
    })
    .await
}

fn classify(error: hyper::Error) -> Error {
    let kind = if error.is_parse() { ErrorKind::Protocol } else { ErrorKind::Closed };
    Error::new(kind, "").with_source(error)
}
