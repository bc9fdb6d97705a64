//! The program `conformance_worker`, started as a user would start it.

use std::collections::BTreeMap;
use std::env;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::installation;
use crate::orchestrator::Orchestrator;
use crate::process::{Log, Process};

/// The settings of a worker.
#[derive(Clone, Debug)]
#[must_use]
pub struct WorkerOptions {
    id: String,
    variables: BTreeMap<String, String>,
}

impl WorkerOptions {
    /// The settings of a worker with this orchestrator, which need not be running yet.
    pub fn new(orchestrator: &Orchestrator) -> Self {
        Self::without_orchestrator()
            .with("ORCHESTRATOR_URL", &orchestrator.url())
            .with("WORKER_TOKEN", orchestrator.worker_token())
    }

    /// The settings of a worker with these orchestrators in the mode `FAILOVER`; the first one has the highest
    /// priority.
    pub fn for_all(orchestrators: &[&Orchestrator]) -> Self {
        let weighted: Vec<_> = orchestrators.iter().map(|orchestrator| (*orchestrator, 1)).collect();
        Self::weighted(&weighted)
    }

    /// The settings of a worker with these orchestrators and weights, in the mode `FAILOVER`.
    pub fn weighted(orchestrators: &[(&Orchestrator, u32)]) -> Self {
        let entry = |(index, (orchestrator, weight)): (usize, &(&Orchestrator, u32))| {
            json!({
                "url": orchestrator.url(),
                "priority": 10 * (index + 1),
                "weight": weight,
                "token": orchestrator.worker_token(),
            })
        };
        let entries: Vec<Value> = orchestrators.iter().enumerate().map(entry).collect();
        Self::without_orchestrator()
            .with("MULTI_ORCHESTRATOR_MODE", "FAILOVER")
            .with("ORCHESTRATORS_CONFIG", &Value::Array(entries).to_string())
    }

    /// The settings of a worker with these instances of one orchestrator, declared as a cluster.
    pub fn cluster(instances: &[&Orchestrator], mode: &str) -> Self {
        let entry = |instance: &&Orchestrator| json!({ "url": instance.url(), "token": instance.worker_token(), "cluster": "instances" });
        let entries: Vec<Value> = instances.iter().map(entry).collect();
        Self::without_orchestrator()
            .with("MULTI_ORCHESTRATOR_MODE", mode)
            .with("ORCHESTRATORS_CONFIG", &Value::Array(entries).to_string())
    }

    fn without_orchestrator() -> Self {
        let id = format!("worker-{:08x}", fastrand::u32(..));
        let options = Self { id: id.clone(), variables: BTreeMap::new() };
        options
            .with("HEARTBEAT_INTERVAL", "1")
            .with("LOG_LEVEL", "info")
            .with("TASK_POLL_ERROR_DELAY", "0.2")
            .with("WORKER_ID", &id)
            .with("WORKER_PORT", "0")
    }

    /// The `WORKER_ID` of the worker.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sets an environment variable; the last value counts.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Lets the worker generate its own `WORKER_ID`; [`id`](Self::id) is then not its id.
    pub fn with_random_id(mut self) -> Self {
        self.variables.remove("WORKER_ID");
        self
    }

    /// Starts the worker, without waiting for anything.
    pub fn start(&self) -> Worker {
        let mut command = Command::new(installation::worker());
        command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(&self.variables);
        Worker { process: Process::spawn(&self.id, &mut command), options: self.clone() }
    }
}

/// A worker program. Dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    options: WorkerOptions,
}

impl Worker {
    /// Starts a worker with this orchestrator, and waits until the orchestrator would give tasks to it.
    pub fn start(orchestrator: &Orchestrator) -> Self {
        let worker = WorkerOptions::new(orchestrator).start();
        orchestrator.wait_for_worker(worker.id());
        worker
    }

    /// Its `WORKER_ID`.
    pub fn id(&self) -> &str {
        &self.options.id
    }

    /// The log of the worker.
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// Whether the worker is running.
    pub fn is_running(&mut self) -> bool {
        self.process.exit_code().is_none()
    }

    /// Kills the worker with SIGKILL, and starts another one with the same id and variables.
    pub fn kill_and_start_again(&mut self) {
        self.process.kill();
        *self = self.options.start();
    }

    /// Kills the worker with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends SIGTERM, without waiting.
    pub fn signal(&self) {
        self.process.terminate();
    }

    /// Starts a second worker with the same id and variables beside it.
    pub fn start_successor(&self) -> Self {
        self.options.start()
    }

    /// Waits for the worker's end, and returns the exit code.
    ///
    /// # Panics
    /// When it still runs after `limit`.
    pub fn wait_for_exit(&mut self, limit: Duration) -> i32 {
        self.process.wait_for_exit(limit)
    }

    /// Sends SIGTERM, waits for the end, and returns the exit code.
    ///
    /// # Panics
    /// When it still runs after `limit`.
    pub fn terminate(&mut self, limit: Duration) -> i32 {
        self.process.terminate();
        self.process.wait_for_exit(limit)
    }
}
