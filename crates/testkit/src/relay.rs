//! A TCP relay between client and server that can be cut.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::door::{Arrival, Door};
use crate::stream::reset_on_drop;

/// Forwards TCP connections to a target, and can stall, cut or refuse them.
#[derive(Clone)]
pub struct Relay {
    door: Arc<Door>,
    cable: Arc<Cable>,
}

struct Cable {
    target: Mutex<SocketAddr>,
    /// True while bytes flow.
    flowing: watch::Sender<bool>,
    forwarded: AtomicU64,
}

impl Cable {
    fn target(&self) -> MutexGuard<'_, SocketAddr> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    /// Starts a relay on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If there is no free port.
    #[expect(clippy::unused_async, reason = "it spawns: being async keeps callers inside a runtime")]
    pub async fn start(target: SocketAddr) -> Self {
        let cable = Arc::new(Cable {
            target: Mutex::new(target),
            flowing: watch::Sender::new(true),
            forwarded: AtomicU64::new(0),
        });
        let serving = cable.clone();
        let door = Door::open(([127, 0, 0, 1], 0).into(), move |arrival| forward(arrival, serving.clone()));
        Self { door: Arc::new(door.expect("a free port")), cable }
    }

    /// The address to use instead of the target's.
    pub fn addr(&self) -> SocketAddr {
        self.door.address()
    }

    /// The base URL to use instead of the target's.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Resets all connections, on both sides. New connections are served.
    pub fn cut(&self) {
        self.door.drop_connections();
    }

    /// Changes the target: open connections are reset, new ones go to the new target.
    pub fn turn(&self, target: SocketAddr) {
        *self.cable.target() = target;
        self.cut();
    }

    /// Stops the flow of bytes in both directions. Connections stay open, and new connections are accepted.
    pub fn stall(&self) {
        self.cable.flowing.send_replace(false);
    }

    /// Lets bytes flow again, beginning with those that were held back.
    pub fn resume(&self) {
        self.cable.flowing.send_replace(true);
    }

    /// Refuses new connections once this has returned.
    pub async fn refuse(&self) {
        self.door.shut().await;
    }

    /// Accepts connections again.
    pub async fn accept(&self) {
        self.door.reopen().await;
    }

    /// The number of connections accepted since the start.
    pub fn connections_accepted(&self) -> u64 {
        self.door.accepted()
    }

    /// The number of bytes forwarded since the start, in both directions.
    pub fn bytes_forwarded(&self) -> u64 {
        self.cable.forwarded.load(Ordering::Acquire)
    }

    /// Stops the relay and ends all connections.
    pub async fn stop(&self) {
        self.door.stop().await;
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Relay").field("addr", &self.addr()).finish_non_exhaustive()
    }
}

async fn forward(arrival: Arrival, cable: Arc<Cable>) {
    let Arrival { stream: mut near, ended, .. } = arrival;
    let target = *cable.target();
    let Ok(mut far) = TcpStream::connect(target).await else {
        return reset_on_drop(&near);
    };
    // As on the near side, so that the relay adds no delay of its own.
    let _ = far.set_nodelay(true);
    let both_ways = async {
        let (near_in, near_out) = near.split();
        let (far_in, far_out) = far.split();
        let there = pump(near_in, far_out, &cable);
        let back = pump(far_in, near_out, &cable);
        // A side may close its half and still read; an error ends both.
        tokio::try_join!(there, back)
    };
    // A reset on one side becomes a reset on the other, as without the relay.
    if !matches!(ended.run_until_cancelled(both_ways).await, Some(Ok(_))) {
        reset_on_drop(&near);
        reset_on_drop(&far);
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    cable: &Cable,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut flowing = cable.flowing.subscribe();
    loop {
        let read = from.read(&mut buffer).await?;
        // Bytes read before the flow stopped wait here; the sender of the watch lives as long as the cable.
        let _ = flowing.wait_for(|flowing| *flowing).await;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        cable.forwarded.fetch_add(read as u64, Ordering::AcqRel);
    }
}
