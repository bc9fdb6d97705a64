//! A worker, ready to run.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;

use rxon::{TaskName, WorkerId};
use tokio::sync::mpsc;

use crate::assembly::Assembly;
use crate::builder::WorkerBuilder;
use crate::capacity::CapacityChecker;
use crate::commands::OnCommand;
use crate::config::WorkerConfig;
use crate::control::ControlTask;
use crate::delivery::OnIgnored;
use crate::error::Error;
use crate::exit::Exit;
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
}

/// A worker, ready to run.
///
/// Running it takes it: polls, handlers and results run on the runtime that `run…` is awaited on, registration and
/// heartbeats on a thread of their own.
#[derive(Debug)]
pub struct Worker {
    plan: Plan,
}

impl Worker {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan }
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
    pub async fn run_until(self, signal: impl Future<Output = ()> + Send) -> Result<Stopped, Error> {
        let assembly = Assembly::new(self.plan)?;
        let (sender, receiver) = mpsc::channel(1);
        let hand_on = async move {
            signal.await;
            let _ = sender.send(StopCause::Asked).await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            ended = run::run(assembly, receiver, Vec::new(), None) => ended,
            never = hand_on => match never {},
        }
    }

    async fn run_with_signals(self, health: bool) -> Result<Stopped, Error> {
        let assembly = Assembly::new(self.plan)?;
        let listener = if health { Some(crate::health::bind(&assembly.core)?) } else { None };
        let listening = Listening::begin().map_err(Error::Signals)?;
        let (sender, receiver) = mpsc::channel(4);
        let closing = assembly.core.closing.clone();
        let default_action = listening.default_action();
        let hand_on: ControlTask = Box::pin(async move {
            tokio::select! {
                () = Listening::hand_on(default_action, sender) => {}
                () = closing.cancelled() => {}
            }
        });
        let result = run::run(assembly, receiver, vec![hand_on], listener).await;
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
