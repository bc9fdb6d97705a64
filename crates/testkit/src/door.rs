//! A listening port that can be shut and reopened, and that keeps track of its open connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The maximum number of connections that wait to be accepted: benchmarks open a thousand at once.
const BACKLOG: u32 = 4096;

type Serve = dyn Fn(Arrival) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// A newly accepted connection.
pub(crate) struct Arrival {
    pub(crate) stream: TcpStream,
    /// The number of the connection on this port, counted from 1.
    pub(crate) number: u64,
    /// Cancelled when the connection must end.
    pub(crate) ended: CancellationToken,
}

/// Accepts connections on one address and serves each in a task of its own; ends all of them when dropped.
pub(crate) struct Door {
    address: SocketAddr,
    state: tokio::sync::Mutex<DoorState>,
    visitors: Arc<Visitors>,
    stop: CancellationToken,
}

/// The state that the accepting task shares with the door.
struct Visitors {
    serve: Box<Serve>,
    tracker: TaskTracker,
    /// The parent token of all open connections; replaced when they are dropped.
    generation: Mutex<CancellationToken>,
    accepted: AtomicU64,
    open: AtomicUsize,
}

enum DoorState {
    Open {
        listening: CancellationToken,
        task: JoinHandle<()>,
    },
    /// Bound but not listening: connections are refused, and no other process gets the port meanwhile.
    Shut(TcpSocket),
    /// A placeholder while the socket is moved; never observed.
    Between,
}

impl Door {
    /// Listens on `address` and serves every connection with `serve`.
    pub(crate) fn open<F>(
        address: SocketAddr,
        serve: impl Fn(Arrival) -> F + Send + Sync + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let visitors = Arc::new(Visitors {
            serve: Box::new(move |arrival| Box::pin(serve(arrival))),
            tracker: TaskTracker::new(),
            generation: Mutex::new(stop.child_token()),
            accepted: AtomicU64::new(0),
            open: AtomicUsize::new(0),
        });
        let socket = bind(address)?;
        let address = socket.local_addr()?;
        let state = listen(socket, &visitors, &stop)?;
        Ok(Self { address, state: tokio::sync::Mutex::new(state), visitors, stop })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of connections accepted since the start.
    pub(crate) fn accepted(&self) -> u64 {
        self.visitors.accepted.load(Ordering::Acquire)
    }

    /// The number of open connections.
    pub(crate) fn connections(&self) -> usize {
        self.visitors.open.load(Ordering::Acquire)
    }

    /// Refuses new connections once this has returned; open connections go on.
    pub(crate) async fn shut(&self) {
        let mut state = self.state.lock().await;
        if let DoorState::Open { listening, task } = &mut *state {
            listening.cancel();
            // The port is free only after the task has dropped the listener.
            let _ = task.await;
            *state = DoorState::Shut(bind(self.address).expect("the port that was just given up"));
        }
    }

    /// Accepts connections again on the same port.
    pub(crate) async fn reopen(&self) {
        let mut state = self.state.lock().await;
        *state = match std::mem::replace(&mut *state, DoorState::Between) {
            DoorState::Shut(socket) => {
                listen(socket, &self.visitors, &self.stop).expect("the port is bound already")
            }
            other => other,
        };
    }

    /// Ends all open connections.
    pub(crate) fn drop_connections(&self) {
        let mut generation = lock(&self.visitors.generation);
        std::mem::replace(&mut *generation, self.stop.child_token()).cancel();
    }

    /// Ends the listener and all connections, and waits until they have ended.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.visitors.tracker.close();
        self.visitors.tracker.wait().await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn lock(token: &Mutex<CancellationToken>) -> std::sync::MutexGuard<'_, CancellationToken> {
    token.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Earlier connections may still linger on the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(socket: TcpSocket, visitors: &Arc<Visitors>, stop: &CancellationToken) -> io::Result<DoorState> {
    let listener = socket.listen(BACKLOG)?;
    let listening = stop.child_token();
    let accepting = accept(listener, visitors.clone());
    let token = listening.clone();
    let task = visitors.tracker.spawn(async move {
        token.run_until_cancelled(accepting).await;
    });
    Ok(DoorState::Open { listening, task })
}

async fn accept(listener: TcpListener, visitors: Arc<Visitors>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, &visitors),
            // Most likely out of file descriptors: some become free when connections end.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

fn admit(stream: TcpStream, visitors: &Arc<Visitors>) {
    // Answers are small and written whole, so Nagle's algorithm could only delay them.
    let _ = stream.set_nodelay(true);
    let number = visitors.accepted.fetch_add(1, Ordering::AcqRel) + 1;
    let ended = lock(&visitors.generation).clone();
    let visit = (visitors.serve)(Arrival { stream, number, ended });
    visitors.open.fetch_add(1, Ordering::AcqRel);
    let guard = Leaving(visitors.clone());
    visitors.tracker.spawn(async move {
        let _guard = guard;
        visit.await;
    });
}

/// Decrements the number of open connections, however the task of the connection ends.
struct Leaving(Arc<Visitors>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
