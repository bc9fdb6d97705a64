//! A worker, ready to run.

pub(crate) mod assembly;
pub(crate) mod builder;
mod ending;
pub(crate) mod error;
pub(crate) mod exit;
pub(crate) mod hooks;
pub(crate) mod plan;
mod run;
pub(crate) mod shutdown;
mod signals;
pub(crate) mod task_options;

use std::convert::Infallible;
use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::threads::control::ControlTask;
use crate::worker::assembly::Assembly;
use crate::worker::builder::WorkerBuilder;
use crate::worker::error::Error;
use crate::worker::exit::Exit;
use crate::worker::plan::{Controls, Plan};
use crate::worker::shutdown::{StopCause, Stopped};
use crate::worker::signals::Listening;

/// A worker, ready to run.
///
/// Running it takes it: polls, handlers and results run on the runtime that `run…` is awaited on, registration and
/// heartbeats on a thread of their own.
#[derive(Debug)]
pub struct Worker {
    plan: Plan,
}

/// Reaches a worker from code: to end it, or to say which models are loaded. Cheap to clone; does nothing once the
/// worker has ended.
#[derive(Debug, Clone)]
pub struct WorkerHandle(Arc<Controls>);

impl WorkerHandle {
    /// Begins the end, as the first SIGTERM does: no further polls, running tasks finish, results are sent. Does not
    /// wait for it: `run…` returns when it is done.
    pub fn drain(&self) {
        self.0.drain.cancel();
    }

    /// As [`drain`](Self::drain), for a program that handles signals itself: a worker that ends because of
    /// [`StopCause::Terminate`] may await its open polls (`WORKER_SHUTDOWN_POLLS`). The first cause counts.
    pub fn drain_because(&self, cause: StopCause) {
        self.0.cause.get_or_init(|| cause);
        self.drain();
    }

    /// Cancels what still runs, as the second signal does: it is reported, results are sent once, and the worker ends.
    /// It need not have been asked to drain before.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use avtomatika_worker::prelude::*;
    ///
    /// let config = WorkerConfig::defaults().orchestrator_url("http://127.0.0.1:1".parse().ok());
    /// let worker = Worker::builder().config(config).task("nothing", async || ()).build().expect("a worker");
    /// worker.handle().cancel();
    /// assert_eq!(worker.run().await.code(), 0, "nothing ran that could have been cancelled");
    /// # }
    /// ```
    pub fn cancel(&self) {
        self.drain();
        self.0.cancel.cancel();
    }

    /// Whether the end was asked for through a handle.
    pub fn is_draining(&self) -> bool {
        self.0.drain.is_cancelled()
    }

    /// Says that a model is loaded now, outside of any task. Reported with the next heartbeat.
    pub fn add_to_hot_cache(&self, model: impl Into<String>) {
        self.0.hot_cache.add(model.into());
    }

    /// Says that a model is no longer loaded.
    pub fn remove_from_hot_cache(&self, model: &str) {
        self.0.hot_cache.remove(model);
    }

    /// The models that are said to be loaded, in alphabetical order.
    pub fn hot_cache(&self) -> Vec<String> {
        self.0.hot_cache.models()
    }

    /// Says since when the event loop that runs the handlers has not run, or that it does. For front ends in other
    /// languages, whose handlers run [outside](crate::extract::Outside): `/health` and metrics tell it.
    pub fn handlers_blocked_since(&self, since: Option<Instant>) {
        self.0.elsewhere.blocked_since(since);
    }
}

impl Worker {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan }
    }

    /// A handle, to [drain](WorkerHandle::drain) the worker from anywhere.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use avtomatika_worker::prelude::*;
    ///
    /// let config = WorkerConfig::defaults().orchestrator_url("http://127.0.0.1:1".parse().ok());
    /// let worker = Worker::builder().config(config).task("nothing", async || ()).build().expect("a worker");
    /// let handle = worker.handle();
    /// // From a handler, a signal of your own, another thread:
    /// handle.drain();
    /// let exit = worker.run().await;
    /// assert_eq!(exit.code(), 0);
    /// # }
    /// ```
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle(self.plan.controls.clone())
    }

    #[cfg(feature = "testing")]
    pub(crate) fn into_plan(self) -> Plan {
        self.plan
    }

    /// Begins a worker.
    pub fn builder<S>() -> WorkerBuilder<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        WorkerBuilder::new()
    }

    /// Runs until SIGTERM or SIGINT. The first lets running tasks finish, for `WORKER_SHUTDOWN_TIMEOUT`; the second
    /// cancels them; the third does what it does without us. Must be awaited on a tokio runtime with I/O and time.
    pub async fn run(self) -> Exit {
        Exit::from(self.run_with_signals(false).await)
    }

    /// As [`run`](Self::run), and serves `/health`, `/ready` and `/metrics` on `WORKER_HOST:WORKER_PORT`.
    pub async fn run_with_health_check(self) -> Exit {
        Exit::from(self.run_with_signals(true).await)
    }

    /// Runs until a future completes, then ends as after SIGTERM. Installs no signal handlers.
    ///
    /// # Errors
    /// [`Error`] when the worker cannot run.
    ///
    /// # Cancel safety
    /// Dropped, the worker ends at once: running tasks are cancelled, and what was not sent is lost, unless it is on disk
    /// (`WORKER_OUTBOX_DIR`).
    pub async fn run_until(self, signal: impl Future<Output = ()> + Send) -> Result<Stopped, Error> {
        self.run_without_signals(signal, false).await
    }

    /// As [`run_until`](Self::run_until), and serves `/health`, `/ready` and `/metrics` on `WORKER_HOST:WORKER_PORT`.
    ///
    /// # Errors
    /// [`Error`] when the worker cannot run, or the port is taken.
    ///
    /// # Cancel safety
    /// As [`run_until`](Self::run_until).
    pub async fn run_until_with_health_check(
        self,
        signal: impl Future<Output = ()> + Send,
    ) -> Result<Stopped, Error> {
        self.run_without_signals(signal, true).await
    }

    async fn run_without_signals(
        mut self,
        signal: impl Future<Output = ()> + Send,
        health: bool,
    ) -> Result<Stopped, Error> {
        let hooks = std::mem::take(&mut self.plan.hooks);
        let controls = self.plan.controls.clone();
        let assembly = Assembly::new(self.plan)?;
        let listener = health_listener(&assembly, health)?;
        let (sender, receiver) = mpsc::channel(2);
        let handle = WorkerHandle(controls.clone());
        let asked = async move {
            signal.await;
            handle.drain();
            std::future::pending::<Infallible>().await
        };
        let hand_on = async move {
            controls.hand_on(sender).await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            ended = run::run(assembly, hooks, receiver, Vec::new(), listener) => ended,
            never = asked => match never {},
            never = hand_on => match never {},
        }
    }

    async fn run_with_signals(mut self, health: bool) -> Result<Stopped, Error> {
        let hooks = std::mem::take(&mut self.plan.hooks);
        let controls = self.plan.controls.clone();
        let assembly = Assembly::new(self.plan)?;
        let listener = health_listener(&assembly, health)?;
        let listening = Listening::begin().map_err(Error::Signals)?;
        let (sender, receiver) = mpsc::channel(4);
        let asked = sender.clone();
        let closing = assembly.ends.closing.clone();
        let default_action = listening.default_action();
        let hand_on: ControlTask = Box::pin(async move {
            tokio::select! {
                () = Listening::hand_on(default_action, sender) => {}
                () = closing.cancelled() => {}
            }
        });
        let closing = assembly.ends.closing.clone();
        let by_handle: ControlTask = Box::pin(async move {
            tokio::select! {
                () = controls.hand_on(asked) => {}
                () = closing.cancelled() => {}
            }
        });
        let result = run::run(assembly, hooks, receiver, vec![hand_on, by_handle], listener).await;
        drop(listening);
        result
    }
}

/// The health server's port, where the server is wanted.
fn health_listener(assembly: &Assembly, is_wanted: bool) -> Result<Option<TcpListener>, Error> {
    let address = assembly.settings.health_address;
    let failed = |source| Error::HealthServer { address: address.to_string(), source };
    is_wanted.then(|| crate::health::bind(address).map_err(failed)).transpose()
}
