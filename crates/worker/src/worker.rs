//! A worker, ready to run.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;

use rxon::{TaskName, WorkerId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::assembly::Assembly;
use crate::builder::WorkerBuilder;
use crate::capacity::CapacityChecker;
use crate::commands::OnCommand;
use crate::config::WorkerConfig;
use crate::control::ControlTask;
use crate::delivery::OnIgnored;
use crate::error::Error;
use crate::exit::Exit;
use crate::files::Storage;
use crate::hooks::Hooks;
use crate::router::Router;
use crate::run;
use crate::shutdown::{StopCause, Stopped};
use crate::signals::Listening;

/// What a worker is made of.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) router: Router,
    pub(crate) group_limits: Vec<usize>,
    pub(crate) skill_dependencies: BTreeMap<TaskName, Vec<String>>,
    pub(crate) config: WorkerConfig,
    pub(crate) worker_type: Option<String>,
    pub(crate) max_concurrent_tasks: Option<usize>,
    pub(crate) capacity_checker: Option<CapacityChecker>,
    pub(crate) on_ignored: Option<OnIgnored>,
    pub(crate) on_command: Option<OnCommand>,
    pub(crate) hooks: Hooks,
    /// Instead of that of the configuration.
    pub(crate) storage: Option<Storage>,
}

/// A worker, ready to run.
///
/// Running it takes it: polls, handlers and results run on the runtime that `run…` is awaited on, registration and
/// heartbeats on a thread of their own.
#[derive(Debug)]
pub struct Worker {
    plan: Plan,
    drain: CancellationToken,
}

/// Ends a worker from code. Cheap to clone; does nothing once the worker has ended.
#[derive(Debug, Clone)]
pub struct WorkerHandle(CancellationToken);

impl WorkerHandle {
    /// Begins the end, as the first SIGTERM does: no further polls, running tasks finish, results are sent. Does not
    /// wait for it: `run…` returns when it is done.
    pub fn drain(&self) {
        self.0.cancel();
    }

    /// Whether that was asked for through a handle.
    pub fn is_draining(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl Worker {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, drain: CancellationToken::new() }
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
        WorkerHandle(self.drain.clone())
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

    /// As [`run`](Self::run), and serves `/health` and `/ready` on `WORKER_HOST:WORKER_PORT`.
    pub async fn run_with_health_check(self) -> Exit {
        Exit::from(self.run_with_signals(true).await)
    }

    /// Runs until a future completes, then ends as after SIGTERM. Installs no signal handlers.
    ///
    /// # Errors
    /// [`Error`] when the worker cannot run.
    ///
    /// # Cancel safety
    /// Dropped, the worker ends at once: running tasks are cancelled, and what was not sent is lost.
    pub async fn run_until(mut self, signal: impl Future<Output = ()> + Send) -> Result<Stopped, Error> {
        let hooks = std::mem::take(&mut self.plan.hooks);
        let assembly = Assembly::new(self.plan)?;
        let (sender, receiver) = mpsc::channel(1);
        let drain = self.drain;
        let hand_on = async move {
            tokio::select! {
                () = signal => {}
                () = drain.cancelled() => {}
            }
            let _ = sender.send(StopCause::Asked).await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            ended = run::run(assembly, hooks, receiver, Vec::new(), None) => ended,
            never = hand_on => match never {},
        }
    }

    async fn run_with_signals(mut self, health: bool) -> Result<Stopped, Error> {
        let hooks = std::mem::take(&mut self.plan.hooks);
        let assembly = Assembly::new(self.plan)?;
        let listener = if health { Some(crate::health::bind(&assembly.core)?) } else { None };
        let listening = Listening::begin().map_err(Error::Signals)?;
        let (sender, receiver) = mpsc::channel(4);
        let asked = sender.clone();
        let closing = assembly.core.closing.clone();
        let default_action = listening.default_action();
        let hand_on: ControlTask = Box::pin(async move {
            tokio::select! {
                () = Listening::hand_on(default_action, sender) => {}
                () = closing.cancelled() => {}
            }
        });
        let (closing, drain) = (assembly.core.closing.clone(), self.drain);
        let drain: ControlTask = Box::pin(async move {
            tokio::select! {
                () = drain.cancelled() => {
                    let _ = asked.send(StopCause::Asked).await;
                }
                () = closing.cancelled() => {}
            }
        });
        let result = run::run(assembly, hooks, receiver, vec![hand_on, drain], listener).await;
        drop(listening);
        result
    }
}

impl Plan {
    pub(crate) fn worker_id(&self) -> WorkerId {
        self.config.worker_id.clone().unwrap_or_else(WorkerId::random)
    }

    pub(crate) fn limit(&self) -> usize {
        self.max_concurrent_tasks.unwrap_or(self.config.max_concurrent_tasks)
    }

    pub(crate) fn worker_type(&self) -> String {
        self.worker_type.clone().unwrap_or_else(|| self.config.worker_type.clone())
    }
}
