//! A worker, ready to run.

pub(crate) mod assembly;
pub(crate) mod builder;
mod ending;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod hooks;
pub(crate) mod registry;
mod run;
pub(crate) mod shutdown;
mod signals;
pub(crate) mod task_options;
mod wiring;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::health;
use crate::worker::assembly::{Assembly, Plan};
use crate::worker::error::{Error, Exit};
use crate::worker::handle::WorkerHandle;
use crate::worker::shutdown::Stopped;
use crate::worker::signals::Incoming;

/// A worker, ready to run.
///
/// Each of the `run…` methods consumes it. Polls, handlers and results run on the runtime on which `run…` is awaited;
/// registration and heartbeats run on a thread of their own.
#[derive(Debug)]
#[doc(alias("celery", "consumer", "queue"))]
pub struct Worker {
    pub(crate) plan: Plan,
}

impl Worker {
    /// Returns a handle that can [drain](WorkerHandle::drain) the worker from anywhere.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use avtomatika_worker::prelude::*;
    ///
    /// let config = WorkerConfig::defaults().orchestrator_url("http://127.0.0.1:1".parse().ok());
    /// let worker = Worker::builder().config(config).task("nothing", async || ()).build().expect("a worker");
    /// let handle = worker.handle();
    /// // From a handler, a signal handler of your own, or another thread:
    /// handle.drain();
    /// let exit = worker.run().await;
    /// assert_eq!(exit.code(), 0);
    /// # }
    /// ```
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle(self.plan.handle_state.clone())
    }

    /// Runs until SIGTERM, SIGINT or, if it has its default action, SIGHUP. The first signal lets running tasks finish, for
    /// `WORKER_SHUTDOWN_TIMEOUT`; the second cancels them; the third has its default action. Signals are received as soon
    /// as this is awaited. Must be awaited on a tokio runtime with I/O and time.
    pub async fn run(self) -> Exit {
        Self::run_process(|| Ok::<_, Error>(self), false).await
    }

    /// Runs as [`run`](Self::run) does, and serves `/health`, `/ready` and `/metrics` on `WORKER_HOST:WORKER_PORT`.
    pub async fn run_with_health_check(self) -> Exit {
        Self::run_process(|| Ok::<_, Error>(self), true).await
    }

    /// Runs until a future completes, then shuts down as after SIGTERM. Installs no signal handlers.
    ///
    /// # Errors
    /// [`Error`] when the worker cannot run.
    ///
    /// # Cancel safety
    /// If the future is dropped, the worker ends at once: running tasks are cancelled, and unsent results are lost,
    /// unless they are on disk (`WORKER_OUTBOX_DIR`).
    pub async fn run_until(self, signal: impl Future<Output = ()> + Send) -> Result<Stopped, Error> {
        self.run_without_signals(signal, false).await
    }

    /// Runs as [`run_until`](Self::run_until) does, and serves `/health`, `/ready` and `/metrics` on
    /// `WORKER_HOST:WORKER_PORT`.
    ///
    /// # Errors
    /// [`Error`] when the worker cannot run, or the port is taken.
    ///
    /// # Cancel safety
    /// As for [`run_until`](Self::run_until).
    pub async fn run_until_with_health_check(
        self,
        signal: impl Future<Output = ()> + Send,
    ) -> Result<Stopped, Error> {
        self.run_without_signals(signal, true).await
    }

    async fn run_without_signals(
        self,
        signal: impl Future<Output = ()> + Send,
        with_health: bool,
    ) -> Result<Stopped, Error> {
        let handle = self.handle();
        let drain = async move {
            signal.await;
            handle.drain();
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            ended = self.run_as(Incoming::default(), with_health) => ended,
            never = drain => match never {},
        }
    }

    /// Builds a worker and runs it until the process is told to stop.
    pub(crate) async fn run_process<E: Into<Error>>(
        build: impl FnOnce() -> Result<Self, E>,
        with_health: bool,
    ) -> Exit {
        let run = async {
            // Before anything else: from now on a signal does not end the process.
            let incoming = Incoming::of_process().map_err(Error::Signals)?;
            build().map_err(Into::into)?.run_as(incoming, with_health).await
        };
        Exit::from(run.await)
    }

    /// Boxed, so that a worker is compiled with this crate. The future of an `async fn` is compiled with the crate that polls
    /// it: every build of a user's program took a quarter of this crate's time again.
    fn run_as(mut self, incoming: Incoming, with_health: bool) -> BoxFuture<'static, Result<Stopped, Error>> {
        Box::pin(async move {
            let hooks = std::mem::take(&mut self.plan.settings.hooks);
            let handle_state = self.plan.handle_state.clone();
            let assembly = Assembly::new(self.plan)?;
            let _ = handle_state.origins.set(assembly.origins().map(Arc::downgrade).collect());
            let address = assembly.settings.health_address;
            let failed = |source| Error::HealthServer { address: address.to_string(), source };
            let listener = with_health.then(|| health::bind(address).map_err(failed)).transpose()?;
            run::run(assembly, hooks, handle_state, incoming, listener).await
        })
    }
}
