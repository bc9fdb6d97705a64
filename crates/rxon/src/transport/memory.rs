//! A transport within one process, whose requests a test answers.
//!
//! ```
//! # use rxon::transport::{memory, Connector as _, Operation, Request, Response};
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let (connector, mut peer) = memory::pair();
//! let mut transport = connector.transport();
//! let exchange = transport.exchange(Request::new(Operation::Token, std::time::Duration::from_secs(1)));
//! let answer = async { peer.next().await.expect("a request").answer(Ok(Response::new(404, ""))) };
//! let (response, ()) = tokio::join!(exchange, answer);
//! assert_eq!(response.expect("an answer").status, 404);
//! # });
//! ```

use tokio::sync::{mpsc, oneshot};

use super::{Connector, ExchangeFuture, OpenFuture, Opened, Request, Response, Transport};
use crate::error::{Error, ErrorKind, ExchangeProgress};
use crate::limit::within;

/// The number of requests after which the next one waits to be written, as for a full socket.
const BACKLOG: usize = 64;

/// Creates a connector, and the handle that answers in place of the orchestrator.
pub fn pair() -> (MemoryConnector, Peer) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (MemoryConnector { peer: sender }, Peer { requests: receiver })
}

/// A connector whose transports send to a [`Peer`].
#[derive(Debug, Clone)]
pub struct MemoryConnector {
    peer: mpsc::Sender<Incoming>,
}

impl Connector for MemoryConnector {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(MemoryTransport { peer: self.peer.clone(), reused: false })
    }

    /// Answers 404, as an orchestrator without websockets.
    fn channel(&self) -> OpenFuture<'_> {
        Box::pin(async { Ok(Opened::Refused(Response::new(404, ""))) })
    }
}

#[derive(Debug)]
struct MemoryTransport {
    peer: mpsc::Sender<Incoming>,
    /// Whether the last exchange ended in an answer; after any other end the next one counts as on a new connection.
    reused: bool,
}

impl Transport for MemoryTransport {
    fn exchange(&mut self, request: Request) -> ExchangeFuture<'_> {
        Box::pin(async move {
            let reused = std::mem::take(&mut self.reused);
            let mut progress = ExchangeProgress { reused, ..ExchangeProgress::default() };
            let limit = request.time_limit;
            let (answer, answered) = oneshot::channel();
            let exchange = async {
                if self.peer.send(Incoming { request, answer }).await.is_err() {
                    return Err(Error::new(ErrorKind::Connect, "the peer is gone"));
                }
                progress.written = true;
                answered.await.unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Closed, "the peer dropped the request").with_progress(progress))
                })
            };
            match within(limit, exchange).await {
                Ok(result) => {
                    self.reused = result.is_ok();
                    result
                }
                Err(expired) => {
                    Err(Error::new(ErrorKind::Timeout, expired.to_string()).with_progress(progress))
                }
            }
        })
    }
}

/// The receiver of all requests of the transports of a [`MemoryConnector`].
#[derive(Debug)]
pub struct Peer {
    requests: mpsc::Receiver<Incoming>,
}

impl Peer {
    /// Waits for the next request. Returns `None` once the connector and all its transports are dropped.
    ///
    /// # Cancel safety
    /// Dropping the future loses no request.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.requests.recv().await
    }
}

/// A request that waits for its answer. Dropping it counts as closing the connection.
#[derive(Debug)]
pub struct Incoming {
    /// The request.
    pub request: Request,
    answer: oneshot::Sender<Result<Response, Error>>,
}

impl Incoming {
    /// Answers the request. Does nothing when the transport no longer waits.
    pub fn answer(self, answer: Result<Response, Error>) {
        let _ = self.answer.send(answer);
    }
}
