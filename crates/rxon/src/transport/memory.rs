//! Exchanges inside one process, answered by a test.
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
use crate::{Error, ErrorKind, Progress};

/// More requests than this wait to be written, as in a full socket.
const BACKLOG: usize = 64;

/// A connector, and the handle that answers for the orchestrator.
pub fn pair() -> (MemoryConnector, Peer) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (MemoryConnector { peer: sender }, Peer { requests: receiver })
}

/// Makes transports whose messages arrive at a [`Peer`].
#[derive(Debug, Clone)]
pub struct MemoryConnector {
    peer: mpsc::Sender<Incoming>,
}

impl Connector for MemoryConnector {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(MemoryTransport { peer: self.peer.clone(), reused: false })
    }

    /// There is none: as an orchestrator without websockets answers.
    fn channel(&self) -> OpenFuture<'_> {
        Box::pin(async { Ok(Opened::Refused(Response::new(404, ""))) })
    }
}

#[derive(Debug)]
struct MemoryTransport {
    peer: mpsc::Sender<Incoming>,
    /// The last exchange ended in an answer; after any other end the next one counts as on a new connection.
    reused: bool,
}

impl Transport for MemoryTransport {
    fn exchange(&mut self, request: Request) -> ExchangeFuture<'_> {
        Box::pin(async move {
            let reused = std::mem::take(&mut self.reused);
            let mut progress = Progress { reused, ..Progress::default() };
            let time_limit = request.time_limit;
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
            match tokio::time::timeout(time_limit, exchange).await {
                Ok(result) => {
                    self.reused = result.is_ok();
                    result
                }
                Err(_) => {
                    Err(Error::new(ErrorKind::Timeout, format!("{time_limit:?}")).with_progress(progress))
                }
            }
        })
    }
}

/// Receives what the transports of its [`MemoryConnector`] send.
#[derive(Debug)]
pub struct Peer {
    requests: mpsc::Receiver<Incoming>,
}

impl Peer {
    /// The next request; none once every transport and the connector are gone.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.requests.recv().await
    }
}

/// A request that waits for its answer. Dropped without one, the connection counts as closed.
#[derive(Debug)]
pub struct Incoming {
    /// What was asked.
    pub request: Request,
    answer: oneshot::Sender<Result<Response, Error>>,
}

impl Incoming {
    /// Answers it. An asker that has gone is none of the peer's business.
    pub fn answer(self, answer: Result<Response, Error>) {
        let _ = self.answer.send(answer);
    }
}
