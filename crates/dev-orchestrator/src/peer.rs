//! The state of the other end of a connection, as the kernel knows it.

use std::convert::Infallible;
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use futures_util::FutureExt as _;
use futures_util::future::Map;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, Socket};
use tokio::net::TcpStream;

/// The other end of a connection. Cloning it is cheap.
///
/// tokio notices the end of a connection only when it asks for events; a task that is sent before that would be written
/// to a closed connection. This checks the socket itself.
#[derive(Debug, Clone)]
pub(crate) struct Peer(Arc<Socket>);

impl Peer {
    pub(crate) fn of(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self(Arc::new(SockRef::from(stream).try_clone()?)))
    }

    /// Whether the other end has neither closed nor reset the connection, as far as our kernel knows.
    pub(crate) fn is_connected(&self) -> bool {
        match self.0.peek(&mut [MaybeUninit::uninit()]) {
            Ok(read) => read > 0,
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    /// Whether the other end is a program on this machine.
    pub(crate) fn is_on_this_machine(&self) -> bool {
        let address = self.0.peer_addr().ok().and_then(|address| address.as_socket());
        address.is_some_and(|address| address.ip().to_canonical().is_loopback())
    }

    /// Makes the end of the connection a reset, which also discards what is not sent yet.
    pub(crate) fn reset_on_close(&self) {
        if let Err(error) = self.0.set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "the connection is closed, instead of reset");
        }
    }
}

/// Ends a connection without an answer: as an extension of a response that is then not sent, and as the error of a
/// service.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the connection is ended without an answer")]
pub(crate) struct Reset;

type RouterFuture = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

/// Serves the requests of one connection, and adds its [`Peer`] to each.
#[derive(Debug)]
pub(crate) struct WithPeer {
    router: TowerToHyperService<Router>,
    peer: Peer,
}

impl WithPeer {
    pub(crate) fn new(router: Router, peer: Peer) -> Self {
        Self { router: TowerToHyperService::new(router), peer }
    }
}

impl Service<Request<Incoming>> for WithPeer {
    type Response = Response;
    type Error = Reset;
    type Future = Map<RouterFuture, fn(Result<Response, Infallible>) -> Result<Response, Reset>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer.clone());
        self.router.call(request).map(unless_reset)
    }
}

fn unless_reset(answer: Result<Response, Infallible>) -> Result<Response, Reset> {
    let Ok(response) = answer;
    match response.extensions().get::<Reset>() {
        Some(reset) => Err(*reset),
        None => Ok(response),
    }
}
