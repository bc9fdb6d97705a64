//! The program `conformance_worker`, started as a user would start it.

use std::env;
use std::process::Command;
use std::time::Duration;

use crate::installation;
use crate::orchestrator::Orchestrator;
use crate::process::{Log, Process};

/// The token both sides share.
pub(crate) const TOKEN: &str = "token-of-the-worker";

/// How a worker is to be started.
#[derive(Clone, Debug)]
#[must_use]
pub struct WorkerOptions {
    id: String,
    variables: Vec<(String, String)>,
}

impl WorkerOptions {
    /// A worker of that orchestrator, which need not run yet.
    pub fn new(orchestrator: &Orchestrator) -> Self {
        let id = format!("worker-{:08x}", fastrand::u32(..));
        let options = Self { id: id.clone(), variables: Vec::new() };
        options
            .with("HEARTBEAT_INTERVAL", "1")
            .with("LOG_LEVEL", "info")
            .with("ORCHESTRATOR_URL", &orchestrator.url())
            .with("TASK_POLL_ERROR_DELAY", "0.2")
            .with("WORKER_ID", &id)
            .with("WORKER_PORT", "0")
            .with("WORKER_TOKEN", TOKEN)
    }

    /// Sets a variable of its environment; the last value counts.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it, without waiting for anything.
    pub fn start(&self) -> Worker {
        let mut command = Command::new(installation::worker());
        command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.variables.iter().cloned());
        Worker { process: Process::spawn(&self.id, &mut command), options: self.clone() }
    }
}

/// A worker program; killed when dropped.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    options: WorkerOptions,
}

impl Worker {
    /// Starts a worker of that orchestrator and waits until it would be given tasks.
    pub fn start(orchestrator: &Orchestrator) -> Self {
        let worker = WorkerOptions::new(orchestrator).start();
        orchestrator.wait_for_worker(worker.id());
        worker
    }

    /// Its `WORKER_ID`.
    pub fn id(&self) -> &str {
        &self.options.id
    }

    /// What it logged.
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.exit_code().is_none()
    }

    /// Kills it with SIGKILL and starts another with the same id and variables.
    pub fn kill_and_start_again(&mut self) {
        self.process.kill();
        *self = self.options.start();
    }

    /// Sends SIGTERM and gives the exit code.
    ///
    /// # Panics
    /// When it still runs after `limit`.
    pub fn terminate(&mut self, limit: Duration) -> i32 {
        self.process.terminate();
        self.process.wait_for_exit(limit)
    }
}
