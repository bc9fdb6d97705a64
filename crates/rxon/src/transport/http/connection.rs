//! An HTTP/1.1 connection, driven from within its exchanges.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{HeaderMap, Request};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::body::{Outgoing, collect, response};
use super::stream::{MAX_HEAD, MAX_HEADERS, Stream, Watch, Watched, failure, line, lock};
use crate::error::{Error, ErrorKind, ExchangeProgress};
use crate::limit::{Limits, Movement};
use crate::transport::Response;

/// A connection between two exchanges.
pub(super) struct Connection {
    sender: SendRequest<Outgoing>,
    driver: Driver,
    watch: Arc<Mutex<Watch>>,
    movement: Movement,
    /// Whether it has carried an exchange before.
    reused: bool,
}

/// An exchange that was answered.
pub(super) struct Answered {
    pub(super) response: Response,
    pub(super) headers: HeaderMap,
    /// The connection, if it can carry another exchange.
    pub(super) connection: Option<Connection>,
}

/// An exchange that failed.
pub(super) struct Failed {
    pub(super) error: Error,
    /// The request, if no byte of it was written.
    pub(super) unsent: Option<Box<Request<Outgoing>>>,
}

impl Connection {
    /// Starts HTTP on a stream.
    pub(super) async fn new(stream: Stream) -> Result<Self, Error> {
        let watch = Arc::<Mutex<Watch>>::default();
        let movement = line(&stream).movement().clone();
        let io = TokioIo::new(Watched::new(stream, watch.clone()));
        let (sender, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .handshake(io)
            .await
            .map_err(|error| Error::new(ErrorKind::Connect, "HTTP").with_source(error))?;
        Ok(Self { sender, driver: Driver(Some(Box::pin(connection))), watch, movement, reused: false })
    }

    /// Returns the connection, unless the peer has closed it since its last exchange.
    pub(super) async fn still_open(mut self) -> Option<Self> {
        lock(&self.watch).is_probing = true;
        poll_fn(|context| {
            self.driver.poll(context);
            Poll::Ready(())
        })
        .await;
        lock(&self.watch).is_probing = false;
        self.is_open().then_some(self)
    }

    fn is_open(&self) -> bool {
        self.driver.0.is_some() && !self.sender.is_closed()
    }

    /// Sends a request and reads its whole answer.
    ///
    /// Keeps the connection, but only after a complete answer to a complete request: otherwise the next bytes
    /// could belong to either exchange.
    pub(super) async fn exchange(
        mut self,
        request: Request<Outgoing>,
        limits: Limits,
        max_body: usize,
    ) -> Result<Answered, Failed> {
        *lock(&self.watch) = Watch {
            body_taken: request.body().taken.clone(),
            progress: ExchangeProgress { reused: self.reused, ..ExchangeProgress::default() },
            ..Watch::default()
        };
        let answer = async {
            let answer = self.sender.try_send_request(request).await.map_err(|mut error| {
                let unsent = error.take_message().map(Box::new);
                Failed { error: failure(error.into_error().into(), ""), unsent }
            })?;
            let (head, incoming) = answer.into_parts();
            let body = collect(&head.headers, incoming, max_body)
                .await
                .map_err(|error| Failed { error, unsent: None })?;
            Ok((response(head.status, &head.headers, body), head.headers))
        };
        let result = limits.watch(&self.movement, self.driver.drive(answer)).await;
        let Failed { error, unsent } = match result {
            Ok(Ok((response, headers))) => {
                self.reused = true;
                let progress = lock(&self.watch).progress;
                let connection = (progress.written && self.is_open()).then_some(self);
                return Ok(Answered { response, headers, connection });
            }
            Ok(Err(failed)) => failed,
            Err(expired) => {
                lock(&self.watch).is_given_up = true;
                Failed { error: Error::new(ErrorKind::Timeout, expired.to_string()), unsent: None }
            }
        };
        Err(Failed { error: lock(&self.watch).explained(error), unsent })
    }
}

/// hyper's side of a connection, dropped when it ends: only the drop makes hyper wake those that still wait for
/// something from it.
struct Driver(Option<Pin<Box<Http>>>);

type Http = http1::Connection<TokioIo<Watched>, Outgoing>;

impl Driver {
    /// Moves the bytes that can be moved.
    fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && connection.as_mut().poll(context).is_ready()
        {
            self.0 = None;
        }
    }

    /// Moves the bytes of the connection while a future waits for them.
    async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            // The first poll of the future queues the request, and polling the connection writes it and reads its
            // answer, so the future is polled again after the connection.
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            self.poll(context);
            future.as_mut().poll(context)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::stream::Line;
    use super::*;

    const MAX_BODY: usize = 1 << 10;

    const LIMIT: Limits = Limits::new(Duration::from_secs(10));

    fn request() -> Request<Outgoing> {
        Request::post("/").body(Outgoing::new(Bytes::from_static(b"{}"))).expect("a request")
    }

    /// A connection that has carried one exchange, and the server's side of it.
    async fn used() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client =
            TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a listener");
        let (mut server, _) = listener.accept().await.expect("a client");
        let connection =
            Connection::new(Stream::Left(Line::new(client).expect("a socket"))).await.expect("a connection");
        let answer = async {
            let mut read = vec![0; 1000];
            let length = server.read(&mut read).await.expect("a request");
            assert!(read[..length].ends_with(b"{}"));
            server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("a client");
        };
        let (done, ()) = tokio::join!(connection.exchange(request(), LIMIT, MAX_BODY), answer);
        let answered = done.map_err(|failed| failed.error).expect("an answer");
        (answered.connection.expect("it stays open"), server)
    }

    #[tokio::test]
    async fn a_close_that_is_seen_only_when_the_request_is_queued_returns_the_request() {
        let (connection, server) = used().await;
        drop(server);
        // Lets the runtime see the close: the connection will close as the exchange begins.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let failed =
            connection.exchange(request(), LIMIT, MAX_BODY).await.map(|_| ()).expect_err("it is closed");
        assert!(failed.unsent.is_some(), "{:?}", failed.error);
        assert_eq!((failed.error.kind(), failed.error.progress().written), (ErrorKind::Closed, false));
    }

    #[tokio::test]
    async fn a_close_that_the_runtime_has_not_seen_is_seen() {
        for _ in 0..20 {
            let (connection, server) = used().await;
            let connection = connection.still_open().await.expect("it is open");
            drop(server);
            assert!(connection.still_open().await.is_none());
        }
    }

    #[tokio::test]
    async fn bytes_between_exchanges_end_a_connection() {
        let (connection, mut server) = used().await;
        server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.expect("a client");
        assert!(connection.still_open().await.is_none());
    }
}
