//! A load balancer: each connection goes to the next of several orchestrators that accepts one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::orchestrator::Orchestrator;

/// A load balancer on a port of its own. Dropping it closes all connections.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Balancer {
    /// Starts it for these orchestrators, which need not be running.
    pub fn start(orchestrators: &[&Orchestrator]) -> Self {
        Self::launch(orchestrators, None)
    }

    /// Starts one that closes a connection when an orchestrator has not answered a request within this time.
    pub fn with_read_timeout(orchestrators: &[&Orchestrator], timeout: Duration) -> Self {
        Self::launch(orchestrators, Some(timeout))
    }

    fn launch(orchestrators: &[&Orchestrator], read_timeout: Option<Duration>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let targets: Arc<[u16]> = orchestrators.iter().map(|orchestrator| orchestrator.port()).collect();
        runtime.spawn(serve(listener, targets, read_timeout));
        Self { address, _runtime: runtime }
    }

    /// The address for workers.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(listener: TcpListener, targets: Arc<[u16]>, read_timeout: Option<Duration>) {
    let turn = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (turn, targets) = (turn.clone(), targets.clone());
        connections.spawn(async move {
            // Errors end the connection, which both sides notice.
            if let Ok(mut server) = next(&turn, &targets).await {
                let _ = match read_timeout {
                    None => tokio::io::copy_bidirectional(&mut client, &mut server).await.map(|_| ()),
                    Some(timeout) => copy_within(client, server, timeout).await,
                };
            }
        });
    }
}

/// Copies in both directions until one side closes its connection, or has not answered within `timeout`.
async fn copy_within(mut client: TcpStream, mut server: TcpStream, timeout: Duration) -> io::Result<()> {
    let (mut request, mut answer) = (vec![0; 8 << 10], vec![0; 8 << 10]);
    let mut due = None;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Some(request) = request.get(..read?).filter(|request| !request.is_empty()) else { return Ok(()) };
                server.write_all(request).await?;
                due = Some(Instant::now() + timeout);
            }
            read = server.read(&mut answer) => {
                let Some(answer) = answer.get(..read?).filter(|answer| !answer.is_empty()) else { return Ok(()) };
                client.write_all(answer).await?;
                due = None;
            }
            () = pass(due) => return Ok(()),
        }
    }
}

async fn pass(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn next(turn: &AtomicUsize, targets: &[u16]) -> io::Result<TcpStream> {
    let mut last = Err(io::ErrorKind::NotConnected.into());
    for _ in targets {
        let port = targets[turn.fetch_add(1, Ordering::Relaxed) % targets.len()];
        last = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        if last.is_ok() {
            break;
        }
    }
    last
}
