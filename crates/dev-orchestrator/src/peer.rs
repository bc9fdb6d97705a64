//! Whether the other end of a connection is still there, asked of the kernel.

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

/// The other end of a connection. A cheap handle.
///
/// tokio learns of an end only when it asks for events; a task that arrives in that moment would be written into a
/// closed connection. This looks at the socket itself.
#[derive(Debug, Clone)]
pub(crate) struct Peer(Arc<Socket>);

impl Peer {
    pub(crate) fn of(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self(Arc::new(SockRef::from(stream).try_clone()?)))
    }

    /// Whether the other end has neither closed nor reset the connection, as far as our kernel has heard.
    pub(crate) fn is_there(&self) -> bool {
        match self.0.peek(&mut [MaybeUninit::uninit()]) {
            Ok(read) => read > 0,
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }
}

/// Serves the requests of one connection, and lets each see its [`Peer`].
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
