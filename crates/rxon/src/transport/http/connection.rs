//! One HTTP/1.1 connection, driven from within its exchanges.

use std::error::Error as _;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::body::{self, Outgoing};
use super::stream::{Stream, Watch, Watched};
use crate::{Error, ErrorKind};

/// A connection between two exchanges.
pub(super) struct Connection {
    sender: SendRequest<Outgoing>,
    driver: Driver,
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
        let (sender, connection) = http1::Builder::new()
            .handshake(io)
            .await
            .map_err(|error| Error::new(ErrorKind::Connect, "HTTP").with_source(error))?;
        Ok(Self { sender, driver: Driver(Some(Box::pin(connection))), watch, reused: false })
    }

    /// The connection, unless the peer has closed it meanwhile.
    pub(super) async fn still_open(mut self) -> Option<Self> {
        self.watch.probe(true);
        poll_fn(|context| {
            self.driver.poll(context);
            Poll::Ready(())
        })
        .await;
        self.watch.probe(false);
        self.is_open().then_some(self)
    }

    fn is_open(&self) -> bool {
        self.driver.0.is_some() && !self.sender.is_closed()
    }

    /// Sends a request and reads its answer whole.
    ///
    /// The connection is given back only after a whole answer to a whole request: otherwise nobody could tell whose
    /// bytes come next.
    pub(super) async fn exchange(
        mut self,
        request: Request<Outgoing>,
        time_limit: Duration,
        max_body: usize,
    ) -> Result<Done, Failed> {
        self.watch.begin(request.body().taken());
        let answer = async {
            let response = self.sender.try_send_request(request).await.map_err(|mut error| {
                let unsent = error.take_message().map(Box::new);
                Failed { error: failure(error.into_error(), ""), unsent }
            })?;
            let (head, incoming) = response.into_parts();
            let body = body::collect(&head.headers, incoming, max_body)
                .await
                .map_err(|error| Failed { error, unsent: None })?;
            Ok((head, body))
        };
        let result = tokio::time::timeout(time_limit, self.driver.drive(answer)).await;
        let progress = self.watch.progress(self.reused);
        match result {
            Ok(Ok((head, body))) => {
                self.reused = true;
                let connection = (progress.written && self.is_open()).then_some(self);
                Ok(Done { status: head.status, headers: head.headers, body, connection })
            }
            Ok(Err(Failed { error, unsent })) => {
                let error = match self.watch.take_write_error() {
                    // It came first: that the answer never came is only what followed from it.
                    Some(cause) if error.kind() == ErrorKind::Closed => error.with_source(cause),
                    _ => error,
                };
                Err(Failed { error: error.with_progress(progress), unsent })
            }
            Err(_) => {
                let error = Error::new(ErrorKind::Timeout, format!("{time_limit:?}")).with_progress(progress);
                Err(Failed { error, unsent: None })
            }
        }
    }
}

/// hyper's side of a connection, until it has ended. It is dropped then: only so does hyper tell those who still wait
/// for something that it will not come.
struct Driver(Option<Pin<Box<Http>>>);

type Http = http1::Connection<TokioIo<Watched>, Outgoing>;

impl Driver {
    /// Moves what can be moved.
    fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && connection.as_mut().poll(context).is_ready()
        {
            self.0 = None;
        }
    }

    /// Moves the connection's bytes while a future waits for them.
    async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            // The request is queued by the first poll of the future, written and answered by the connection's, so the
            // future is asked again after the connection has moved.
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            self.poll(context);
            future.as_mut().poll(context)
        })
        .await
    }
}

/// What an error of hyper's means.
pub(super) fn failure(error: hyper::Error, detail: &str) -> Error {
    let kind = if error.is_parse() { ErrorKind::Protocol } else { below(&error) };
    Error::new(kind, detail).with_source(error)
}

/// What the stream below had to say: rustls' own errors come wrapped in those of I/O, and so do malformed chunks.
fn below(error: &hyper::Error) -> ErrorKind {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                _ if error
                    .get_ref()
                    .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) =>
                {
                    ErrorKind::Tls
                }
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => ErrorKind::Protocol,
                _ => ErrorKind::Closed,
            };
        }
        source = error.source();
    }
    ErrorKind::Closed
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::MAX_BODY;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn request() -> Request<Outgoing> {
        Request::post("/").body(Outgoing::new(Bytes::from_static(b"{}"))).expect("a request")
    }

    /// A connection that has carried one exchange, and the server's side of it.
    async fn used() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client =
            TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a listener");
        let (mut server, _) = listener.accept().await.expect("a client");
        let connection = Connection::new(Stream::Plain(client)).await.expect("a connection");
        let answer = async {
            let mut read = vec![0; 1000];
            let length = server.read(&mut read).await.expect("a request");
            assert!(read[..length].ends_with(b"{}"));
            server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("a client");
        };
        let (done, ()) = tokio::join!(connection.exchange(request(), LIMIT, MAX_BODY), answer);
        let done = done.map_err(|failed| failed.error).expect("an answer");
        (done.connection.expect("it stays open"), server)
    }

    #[tokio::test]
    async fn an_end_that_is_seen_only_when_the_request_is_queued_gives_the_request_back() {
        let (connection, server) = used().await;
        drop(server);
        // The runtime hears of the end: the connection's first move within the exchange will be to close.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let failed =
            connection.exchange(request(), LIMIT, MAX_BODY).await.map(|_| ()).expect_err("it is closed");
        assert!(failed.unsent.is_some(), "{:?}", failed.error);
        assert_eq!((failed.error.kind(), failed.error.progress().written), (ErrorKind::Closed, false));
    }

    #[tokio::test]
    async fn an_end_that_the_runtime_has_not_heard_of_is_seen() {
        for _ in 0..20 {
            let (connection, server) = used().await;
            let connection = connection.still_open().await.expect("it is open");
            drop(server);
            assert!(connection.still_open().await.is_none());
        }
    }

    #[tokio::test]
    async fn a_word_out_of_turn_ends_a_connection() {
        let (connection, mut server) = used().await;
        server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.expect("a client");
        assert!(connection.still_open().await.is_none());
    }
}
