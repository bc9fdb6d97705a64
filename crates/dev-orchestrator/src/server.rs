//! Listening, connections, and their end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rxon::JobId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::events::Feed;
use crate::hub::Hub;
use crate::jobs::Jobs;
use crate::peer::{Peer, WithPeer};
use crate::{Cancellation, Error, NewTask, Settings, Submitted, TaskView, WorkerView, routes};

/// Connections at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 10_000;

/// A connection that sends nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(75);

/// What a connection may still take to end when the orchestrator shuts down.
const GRACE: Duration = Duration::from_secs(2);

/// A running orchestrator. Dropped, it ends without waiting; [`shutdown`](Self::shutdown) waits.
pub struct DevOrchestrator {
    hub: Arc<Hub>,
    address: SocketAddr,
    tasks: TaskTracker,
    /// Nobody waits for an orchestrator that was dropped, but it ends.
    _stop: DropGuard,
}

impl DevOrchestrator {
    /// Starts one where [`Settings::with_address`] says, on the runtime this is called from.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.address).await?;
        Self::start_on(listener, settings)
    }

    /// Starts one on a listener that is open already; the address in the settings is not looked at.
    ///
    /// # Errors
    /// When the listener does not know its address.
    pub fn start_on(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let hub = Hub::new(settings);
        let router = routes::router(hub.clone(), address);
        let tasks = TaskTracker::new();
        let time = hub.clone();
        tasks.spawn(async move { time.keep_time().await });
        tasks.spawn(accept(listener, router, tasks.clone(), hub.stop.clone()));
        tracing::info!(%address, "development orchestrator listening");
        let stop = hub.stop.clone().drop_guard();
        Ok(Self { hub, address, tasks, _stop: stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for workers and people. When it listens on all addresses, the loopback one.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{address}")
    }

    /// Submits a task. It waits until a worker that accepts it asks for one.
    ///
    /// # Errors
    /// [`Error::InvalidTask`], [`Error::QueueFull`] or [`Error::OutOfMemory`].
    pub fn submit(&self, task: NewTask) -> Result<Submitted, Error> {
        self.hub.submit(task)
    }

    /// A task as it stands now, by job or task id. `None` when nobody knows it (any more).
    pub fn task(&self, id: impl AsRef<str>) -> Option<TaskView> {
        self.hub.view(id.as_ref())
    }

    /// Waits until a task has ended.
    ///
    /// # Errors
    /// [`Error::UnknownTask`], or [`Error::ShutDown`] when the orchestrator ends first.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn wait(&self, id: impl AsRef<str>) -> Result<TaskView, Error> {
        self.hub.wait(id.as_ref()).await
    }

    /// Cancels a task that waits; asks the worker of one that runs to stop it.
    ///
    /// # Errors
    /// [`Error::UnknownTask`] or [`Error::AlreadyEnded`].
    pub fn cancel(&self, id: impl AsRef<str>) -> Result<Cancellation, Error> {
        self.hub.tell(|jobs, now| jobs.cancel(id.as_ref(), now))
    }

    /// The newest tasks, the newest first, without parameters and data.
    pub fn tasks(&self, limit: usize) -> Vec<TaskView> {
        self.hub.look(|jobs, _| {
            let store = jobs.store();
            store.jobs().take(limit).map(|job| store.view(job).without_payloads()).collect()
        })
    }

    /// Workers that are registered and not silent, by name.
    pub fn workers(&self) -> Vec<WorkerView> {
        self.hub.look(Jobs::workers)
    }

    /// Everything that happens from now on.
    pub fn subscribe(&self) -> Feed {
        self.hub.subscribe()
    }

    /// Ends: polls are answered, connections closed, tasks of this process joined. Takes 2 s at most. Feeds end,
    /// and those who wait for a task are told.
    pub async fn shutdown(self) {
        self.hub.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.hub.end();
        tracing::info!(address = %self.address, "development orchestrator ended");
    }
}

impl fmt::Debug for DevOrchestrator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DevOrchestrator").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// Serves on a listener until the signal comes, then shuts down.
///
/// # Errors
/// When the listener does not know its address.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    signal: impl Future<Output = ()>,
) -> io::Result<()> {
    let orchestrator = DevOrchestrator::start_on(listener, settings)?;
    signal.await;
    orchestrator.shutdown().await;
    Ok(())
}

async fn accept(listener: TcpListener, router: Router, tasks: TaskTracker, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let accepting = async {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    tasks.spawn(connection(stream, router.clone(), stop.clone(), place));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: some come back when connections end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accepting).await;
}

async fn connection(
    stream: TcpStream,
    router: Router,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // Answers are small and written whole: Nagle's algorithm could only delay them.
    let _ = stream.set_nodelay(true);
    let peer = match Peer::of(&stream) {
        Ok(peer) => peer,
        Err(error) => {
            tracing::warn!(%error, "cannot serve a connection");
            return;
        }
    };
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), WithPeer::new(router, peer));
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            match tokio::time::timeout(GRACE, serving.as_mut()).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

impl Submitted {
    /// The same as [`Submitted::job_id`], for those who only need the handle.
    pub fn into_job_id(self) -> JobId {
        self.job_id
    }
}
