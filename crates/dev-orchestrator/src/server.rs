//! The orchestrator as a handle: start, requests of this process, and shutdown.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use crate::error::Error;
use crate::events::Feed;
use crate::faults::{self, Fault, FaultState, FaultSwitch, FaultVerdict};
use crate::hub::Hub;
use crate::jobs::Jobs;
use crate::logs::{LogSource, NewLine};
use crate::peer::{Peer, WithPeer};
use crate::persist::{Opened, State};
use crate::s3::LocalS3;
use crate::settings::Settings;
use crate::task::{Cancellation, NewTask, Submitted};
use crate::view::{SkillView, TaskView, WorkerView};
use crate::{connections, live, routes};

/// A running orchestrator. Dropping it ends it without waiting; [`shutdown`](Self::shutdown) waits for the end.
pub struct DevOrchestrator {
    hub: Arc<Hub>,
    address: SocketAddr,
    tasks: TaskTracker,
    storage: Option<LocalS3>,
    /// Ends the orchestrator when it is dropped.
    _stop: DropGuard,
}

impl DevOrchestrator {
    /// Starts an orchestrator on the address of [`Settings::with_address`], on the runtime of the caller.
    ///
    /// # Errors
    /// When it cannot listen on the address, the storage cannot be started, or the state is in use already.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.address).await?;
        Self::start_on(listener, settings)
    }

    /// Starts an orchestrator on an open listener; the address in the settings is ignored.
    ///
    /// # Errors
    /// When the listener's address cannot be read, the storage cannot be started, or the state is in use already.
    pub fn start_on(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let settings = settings.with_kept_keys();
        let (hub, kept) = match settings.state.clone() {
            None => (Hub::new(settings), None),
            Some(state) => {
                let (hub, kept) = Hub::restored(settings, take(&state)?);
                (hub, Some(kept))
            }
        };
        let storage = hub.settings.storage.clone();
        let storage = storage.map(|storage| storage.with_allowed_hosts(&hub.settings.allowed_hosts));
        let kept = hub.keeper.clone().zip(kept);
        let open = |settings| LocalS3::open(settings, hub.watch(), hub.faults.clone(), kept);
        let storage = storage.map(open).transpose()?;
        let tasks = TaskTracker::new();
        let router = routes::router(hub.clone(), address, tasks.clone(), storage.as_ref());
        let time = hub.clone();
        tasks.spawn(async move { time.keep_time().await });
        let changes = hub.clone();
        tasks.spawn(async move { live::keep(&changes).await });
        let time = hub.clone();
        tasks.spawn(async move { faults::keep_time(&time).await });
        let greet = move |stream: &_| Ok(WithPeer::new(router.clone(), Peer::of(stream)?));
        tasks.spawn(connections::accept(listener, greet, tasks.clone(), hub.stop.clone()));
        tracing::info!(%address, "development orchestrator listening");
        let stop = hub.stop.clone().drop_guard();
        Ok(Self { hub, address, tasks, storage, _stop: stop })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for workers and people. It has the loopback address if the orchestrator listens on all addresses.
    pub fn url(&self) -> String {
        connections::url(self.address)
    }

    /// The storage for files; `None` after [`Settings::without_storage`].
    pub fn storage(&self) -> Option<&LocalS3> {
        self.storage.as_ref()
    }

    /// Submits a task. It waits until a worker that accepts it polls.
    ///
    /// # Errors
    /// [`Error::InvalidTask`], [`Error::QueueFull`] or [`Error::OutOfMemory`].
    pub fn submit(&self, task: NewTask) -> Result<Submitted, Error> {
        self.hub.submit(task)
    }

    /// Returns the current state of a task, by job or task id. `None` if it is unknown, or was removed after its end.
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

    /// Cancels a waiting task; asks the worker to stop a running one.
    ///
    /// # Errors
    /// [`Error::UnknownTask`] or [`Error::AlreadyEnded`].
    pub fn cancel(&self, id: impl AsRef<str>) -> Result<Cancellation, Error> {
        self.hub.update(|jobs, now| jobs.cancel(id.as_ref(), now))
    }

    /// Submits a task that has ended again, with its parameters or with other ones, and with its priority and time limit.
    ///
    /// # Errors
    /// [`Error::UnknownTask`], [`Error::NotEnded`], and those of [`submit`](Self::submit).
    pub fn retry(&self, id: impl AsRef<str>, params: Option<Box<RawValue>>) -> Result<Submitted, Error> {
        self.hub.retry(id.as_ref(), params).map(|(submitted, _)| submitted)
    }

    /// Returns at most `limit` tasks, the newest first, without parameters and data.
    pub fn tasks(&self, limit: usize) -> Vec<TaskView> {
        self.hub.inspect(|jobs, _| {
            let store = jobs.store();
            store.jobs().take(limit).map(|job| store.view(job).without_payloads()).collect()
        })
    }

    /// Returns the workers that are registered and not silent, in order of their ids.
    pub fn workers(&self) -> Vec<WorkerView> {
        self.hub.inspect(Jobs::workers)
    }

    /// Returns the tasks that workers have registered since the start, in order of their names.
    pub fn skills(&self) -> Vec<SkillView> {
        self.hub.inspect(|jobs, _| jobs.store().skills())
    }

    /// Answers every request of a worker with 401, as if its token had expired, or accepts tokens again. Open websockets
    /// stay open.
    pub fn suspend_tokens(&self, suspended: bool) {
        self.hub.tokens_suspended.store(suspended, Ordering::Relaxed);
    }

    /// Switches a fault on or off. Changing the values of a fault that is on continues its run.
    ///
    /// # Errors
    /// [`Error::InvalidFault`] when a value is out of range.
    pub fn set_fault(&self, fault: Fault, switch: FaultSwitch) -> Result<(), Error> {
        self.hub.set_faults(vec![(fault, switch)])
    }

    /// Returns the states of all faults.
    pub fn faults(&self) -> Vec<FaultState> {
        self.hub.faults()
    }

    /// Waits for the verdict on the last run of a fault: it is made when all workers have recovered after the end of
    /// the fault, at the latest after 60 s, or 75 s for [`Fault::TooMany`]. `None` if the fault was never on, or the
    /// orchestrator ends first.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn verdict(&self, fault: Fault) -> Option<FaultVerdict> {
        self.hub.verdict(fault).await.map(std::sync::Arc::unwrap_or_clone)
    }

    /// Returns a feed of all events from now on.
    pub fn subscribe(&self) -> Feed {
        self.hub.subscribe()
    }

    /// Keeps a line that a worker has written, for `GET /api/tasks/{id}/logs` if it is a JSON line that names its task, as
    /// the loggers of this project write with `LOG_FORMAT=json`; else for `GET /api/workers/{id}/logs`. Bytes that are not
    /// UTF-8 are replaced. The worker need not be registered.
    pub fn log_line(&self, worker_id: &str, source: LogSource, line: impl AsRef<[u8]>) {
        self.hub.log(NewLine::read(worker_id, source, line.as_ref()));
    }

    /// Waits until everything that has happened before this call is kept: answers to requests wait for that by themselves,
    /// the methods of this type do not. Returns at once without [`Settings::with_state`].
    ///
    /// # Errors
    /// When the directory of the state cannot be written.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn kept(&self) -> io::Result<()> {
        match &self.hub.keeper {
            Some(keeper) => keeper.kept().await.map_err(io::Error::other),
            None => Ok(()),
        }
    }

    /// Shuts down: answers polls, closes connections, removes the storage with its files unless they are kept, and joins
    /// the asynchronous tasks. A kept state is written to the disk, and its directory is free. Takes 4 s at most, beside
    /// the time of the disk. Feeds end, and calls of [`wait`](Self::wait) return an error.
    pub async fn shutdown(self) {
        self.hub.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(storage) = self.storage {
            storage.shutdown().await;
        }
        self.hub.end();
        if let Some(keeper) = &self.hub.keeper {
            keeper.close();
            keeper.closed().await;
        }
        tracing::info!(address = %self.address, "development orchestrator ended");
    }
}

/// Takes the contents of a state, which one orchestrator can have.
fn take(state: &State) -> io::Result<Opened> {
    state.take().ok_or_else(|| {
        let path = state.path().display();
        let text = format!("the state in `{path}` belongs to another orchestrator: open the directory again");
        io::Error::new(io::ErrorKind::ResourceBusy, text)
    })
}

impl fmt::Debug for DevOrchestrator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DevOrchestrator").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// Serves on a listener until the signal completes, then shuts down.
///
/// # Errors
/// When the listener's address cannot be read, or the storage cannot be started.
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
