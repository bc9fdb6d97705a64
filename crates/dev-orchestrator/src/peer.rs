//! The state of the other end of a connection, as the kernel knows it.

use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;

use axum::Router;
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
}

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
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer.clone());
        self.router.call(request)
    }
}
