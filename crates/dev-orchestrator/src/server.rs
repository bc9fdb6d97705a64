//! Listening, connections, and their end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rxon::JobId;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use crate::events::Feed;
use crate::hub::Hub;
use crate::jobs::Jobs;
use crate::peer::{Peer, WithPeer};
use crate::{Cancellation, Error, LocalS3, NewTask, Settings, Submitted, TaskView, WorkerView};
use crate::{connections, routes};

/// A running orchestrator. Dropped, it ends without waiting; [`shutdown`](Self::shutdown) waits.
pub struct DevOrchestrator {
    hub: Arc<Hub>,
    address: SocketAddr,
    tasks: TaskTracker,
    storage: Option<LocalS3>,
    /// Nobody waits for an orchestrator that was dropped, but it ends.
    _stop: DropGuard,
}

impl DevOrchestrator {
    /// Starts one where [`Settings::with_address`] says, on the runtime this is called from.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the storage cannot be started.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.address).await?;
        Self::start_on(listener, settings)
    }

    /// Starts one on a listener that is open already; the address in the settings is not looked at.
    ///
    /// # Errors
    /// When the listener does not know its address, or the storage cannot be started.
    pub fn start_on(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let storage = settings.storage.clone().map(LocalS3::open).transpose()?;
        let hub = Hub::new(settings);
        let router = routes::router(hub.clone(), address);
        let tasks = TaskTracker::new();
        let time = hub.clone();
        tasks.spawn(async move { time.keep_time().await });
        let greet = move |stream: &_| Ok(WithPeer::new(router.clone(), Peer::of(stream)?));
        tasks.spawn(connections::accept(listener, greet, tasks.clone(), hub.stop.clone()));
        tracing::info!(%address, "development orchestrator listening");
        let stop = hub.stop.clone().drop_guard();
        Ok(Self { hub, address, tasks, storage, _stop: stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for workers and people. When it listens on all addresses, the loopback one.
    pub fn url(&self) -> String {
        connections::url(self.address)
    }

    /// The storage for files, unless it was left out ([`Settings::without_storage`]).
    pub fn storage(&self) -> Option<&LocalS3> {
        self.storage.as_ref()
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

    /// Ends: polls are answered, connections closed, the storage with its files
    /// removed, tasks of this process joined. Takes 4 s at most. Feeds end,
    /// and those who wait for a task are told.
    pub async fn shutdown(self) {
        self.hub.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(storage) = self.storage {
            storage.shutdown().await;
        }
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
/// When the listener does not know its address, or the storage cannot be started.
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

impl Submitted {
    /// The same as [`Submitted::job_id`], for those who only need the handle.
    pub fn into_job_id(self) -> JobId {
        self.job_id
    }
}
