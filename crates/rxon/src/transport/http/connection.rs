//! The connection of a transport.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::Full;

use super::body::{collect, response};
use super::cookies::has_cookies;
use super::http1::{self, Http1, Tracked};
use super::stream::Stream;
use crate::error::Error;
use crate::limit::Limits;
use crate::transport::Response;

/// The idle time for which a busy connection is not asked whether the peer has closed it: asking costs a system call.
///
/// If it was closed within that time, the request is lost as one that crosses with the close. The error says so
/// ([`Error::is_stale_connection`]): a poll is repeated at once, and a result is sent again. Nor are bytes looked for that
/// came unasked within that time.
const UNASKED: Duration = Duration::from_millis(2);

/// The body of a request, in one piece.
pub(super) type Outgoing = Tracked<Full<Bytes>>;

/// An exchange that failed.
pub(super) type Failed = http1::Failed<Full<Bytes>>;

/// A connection. Boxed, as it is moved often.
pub(super) struct Connection(Box<Http1<Full<Bytes>>>);

impl Connection {
    /// Starts HTTP on a stream.
    pub(super) async fn new(stream: Stream) -> Result<Self, Error> {
        Ok(Self(Box::new(Http1::new(stream, UNASKED).await?)))
    }

    /// Sends a request and reads its whole answer, with its headers if they set cookies.
    ///
    /// # Cancel safety
    /// Dropping the future leaves half an exchange: the connection must be dropped, too.
    pub(super) fn exchange(
        &mut self,
        request: Request<Outgoing>,
        limits: Limits,
        max_body: usize,
    ) -> impl Future<Output = Result<(Response, Option<Box<HeaderMap>>), Failed>> {
        self.0.exchange(request, limits, move |answer| async move {
            let (head, incoming) = answer.into_parts();
            let (status, headers) = (head.status, head.headers);
            let body = collect(&headers, incoming, max_body).await?;
            let response = response(status, &headers, body);
            // Hardly any answer sets cookies, and headers are large.
            Ok((response, has_cookies(&headers).then(|| Box::new(headers))))
        })
    }

    /// Ends an exchange, and returns whether the connection can carry another.
    pub(super) fn end(&mut self) -> bool {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::http1::MANY;
    use super::super::stream::Line;
    use super::*;
    use crate::error::ErrorKind;

    const MAX_BODY: usize = 1 << 10;

    const LIMIT: Limits = Limits::new(Duration::from_secs(10));

    fn request() -> Request<Outgoing> {
        Request::post("/").body(Outgoing::new(Bytes::from_static(b"{}").into())).expect("a request")
    }

    /// A connection that has carried one exchange, and the server's side of it.
    async fn used() -> (Connection, TcpStream) {
        used_with(UNASKED).await
    }

    /// The same, where nobody asks for this time whether a busy connection is closed.
    async fn used_with(unasked: Duration) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client =
            TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a listener");
        let (mut server, _) = listener.accept().await.expect("a client");
        let stream = Stream::Left(Line::new(client).expect("a socket"));
        let connection = Connection(Box::new(Http1::new(stream, unasked).await.expect("a connection")));
        (exchanged(connection, &mut server).await, server)
    }

    /// The connection after another exchange.
    async fn exchanged(mut connection: Connection, server: &mut TcpStream) -> Connection {
        let answer = async {
            let mut read = vec![0; 1000];
            let length = server.read(&mut read).await.expect("a request");
            assert!(read[..length].ends_with(b"{}"));
            server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("a client");
        };
        let (done, ()) = tokio::join!(connection.exchange(request(), LIMIT, MAX_BODY), answer);
        done.map_err(|failed| failed.error).expect("an answer");
        assert!(connection.end(), "it stays open");
        connection
    }

    #[tokio::test]
    async fn a_close_that_is_seen_only_when_the_request_is_queued_returns_the_request() {
        let (mut connection, server) = used().await;
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

    /// The request is given back, as no byte of it was written.
    async fn gives_back(mut connection: Connection) {
        let failed =
            connection.exchange(request(), LIMIT, MAX_BODY).await.map(|_| ()).expect_err("it is closed");
        assert!(failed.unsent.is_some(), "{:?}", failed.error);
        assert!(!failed.error.progress().written, "{:?}", failed.error);
    }

    #[tokio::test]
    async fn a_close_that_the_runtime_has_not_seen_is_seen() {
        for _ in 0..20 {
            let (connection, server) = used().await;
            drop(server);
            gives_back(connection).await;
        }
    }

    #[tokio::test]
    async fn a_close_of_a_busy_connection_is_seen_after_a_pause_and_else_named() {
        // So long that the test itself does not take it.
        const UNASKED: Duration = Duration::from_secs(3600);
        for pause in [Duration::ZERO, UNASKED] {
            let (mut connection, mut server) = used_with(UNASKED).await;
            for _ in 1..MANY {
                connection = exchanged(connection, &mut server).await;
            }
            tokio::time::pause();
            drop(server);
            if pause.is_zero() {
                let lost = connection.exchange(request(), LIMIT, MAX_BODY).await.map(|_| ());
                let error = lost.expect_err("it is closed").error;
                assert!(error.is_stale_connection() && !error.is_ambiguous(), "{error:?}");
            } else {
                tokio::time::advance(pause).await;
                gives_back(connection).await;
            }
            tokio::time::resume();
        }
    }

    #[tokio::test]
    async fn bytes_between_exchanges_end_a_connection() {
        let (connection, mut server) = used().await;
        server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.expect("a client");
        gives_back(connection).await;
    }
}
