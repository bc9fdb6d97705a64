//! One of the real orchestrators, in a process of its own.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::installation;
use crate::jobs::{JobId, Jobs};
use crate::process::{Log, Process};
use crate::requests::{MARK, Request};
use crate::storage::Storage;
use crate::wait::{LIMIT, until, within};

const CLIENT_TOKEN: &str = "token-of-the-client";

/// Ports below the range the system gives to outgoing connections: neither another test's connection takes
/// the port while the orchestrator is down, nor does a worker that knocks there reach itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Which of the published orchestrators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Speaks protocol 1.0b2.
    V1_0b12,
    /// Speaks protocol 1.0b17.
    V1_0b30,
}

impl Version {
    /// As on PyPI.
    pub fn number(self) -> &'static str {
        match self {
            Self::V1_0b12 => "1.0b12",
            Self::V1_0b30 => "1.0b30",
        }
    }

    /// The status with which it refuses a token.
    pub fn refusal(self) -> u16 {
        match self {
            Self::V1_0b12 => 401,
            Self::V1_0b30 => 403,
        }
    }
}

/// How an orchestrator is to be started.
#[derive(Clone, Debug)]
#[must_use]
pub struct OrchestratorOptions {
    version: Version,
    worker_token: String,
    rate_limited: bool,
    hold: u32,
    tls: Option<ServerTls>,
    /// Where its files are: the variables that say so.
    storage: Vec<(&'static str, String)>,
}

/// What an orchestrator needs to serve workers over TLS, all as PEM.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// Its certificate, for 127.0.0.1.
    pub certificate: String,
    /// The key of it.
    pub key: String,
    /// The authority whose client certificates it takes; it refuses workers without one.
    pub client_authority: String,
}

impl OrchestratorOptions {
    /// One that limits no rates and holds a poll for a second: a test that must outlast a hold does not wait long.
    pub fn new(version: Version) -> Self {
        Self {
            version,
            worker_token: "token-of-the-worker".to_owned(),
            rate_limited: false,
            hold: 1,
            tls: None,
            storage: Vec::new(),
        }
    }

    /// How long it holds a poll, in seconds.
    pub fn hold(mut self, seconds: u32) -> Self {
        self.hold = seconds;
        self
    }

    /// The only token it takes from workers.
    pub fn worker_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.worker_token);
        self
    }

    /// It limits the rate of workers' requests, as both do unless told otherwise.
    pub fn rate_limited(mut self) -> Self {
        self.rate_limited = true;
        self
    }

    /// It serves workers over mutual TLS; the API for clients stays plain, on a port of its own.
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// It has its files there, and compares where its workers have theirs.
    pub fn storage(mut self, storage: &Storage) -> Self {
        self.storage = storage.variables().to_vec();
        self
    }

    /// Starts it on a free port and waits until it listens.
    pub fn start(self) -> Orchestrator {
        let mut orchestrator = self.reserve();
        // The port was free a moment ago; where somebody was faster, the next one is tried.
        for _ in 0..4 {
            if orchestrator.launch() {
                return orchestrator;
            }
            orchestrator.take_other_ports();
        }
        orchestrator.restart();
        orchestrator
    }

    /// Picks a port and starts nothing yet.
    pub fn reserve(self) -> Orchestrator {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let clients = format!(
            "[client_test]\ntoken = \"{CLIENT_TOKEN}\"\nplan = \"premium\"\nmonthly_attempts = 100000000\n"
        );
        let write = |name: &str, text: &str| {
            fs::write(directory.path().join(name), text).expect("a temporary file can be written");
        };
        write("clients.toml", &clients);
        if let Some(tls) = &self.tls {
            write("server.pem", &tls.certificate);
            write("server.key", &tls.key);
            write("clients-ca.pem", &tls.client_authority);
        }
        let (port, jobs) = ports(&self);
        Orchestrator { options: self, port, directory, jobs, process: None }
    }
}

/// An orchestrator with its storage in memory; killed when dropped.
#[derive(Debug)]
pub struct Orchestrator {
    options: OrchestratorOptions,
    port: u16,
    directory: TempDir,
    jobs: Jobs,
    process: Option<Process>,
}

impl Orchestrator {
    /// Starts one on a free port and waits until it listens.
    pub fn start(version: Version) -> Self {
        OrchestratorOptions::new(version).start()
    }

    /// Picks a port and starts nothing yet.
    pub fn reserve(version: Version) -> Self {
        OrchestratorOptions::new(version).reserve()
    }

    /// What a worker is given as its address.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The token it takes from workers.
    pub fn worker_token(&self) -> &str {
        &self.options.worker_token
    }

    /// Stops it where it is: connections stay open, and nothing is answered until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.running().pause();
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.running().resume();
    }

    /// Kills it, as a crash would; everything it knew is gone.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it on the same port, with nothing in its memory, after [`stop`](Self::stop) where it runs.
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.launch(), "the orchestrator does not start on port {}", self.port);
    }

    /// Submits a job that runs `task` and is finished with its success.
    pub fn submit(&self, task: &str, params: &Value) -> JobId {
        self.jobs.submit("generic", &json!({ "initial_data": { "task": task, "params": params } }))
    }

    /// Submits a job whose task may take that many seconds; 1.0b30 tells the worker.
    pub fn submit_limited(&self, task: &str, params: &Value, seconds: f64) -> JobId {
        let initial_data = json!({ "task": task, "params": params, "timeout": seconds });
        self.jobs.submit("generic", &json!({ "initial_data": initial_data, "result_timeout": seconds }))
    }

    /// Submits a job that is finished when `task` ends in the status `needs_manual_review`, and else failed.
    pub fn submit_for_review(&self, task: &str, params: &Value) -> JobId {
        self.jobs.submit("review", &json!({ "initial_data": { "task": task, "params": params } }))
    }

    /// Submits a job whose `task` gets the params `{"text": …}` with a text of that many bytes.
    pub fn submit_large(&self, task: &str, bytes: usize) -> JobId {
        self.jobs.submit("generic", &json!({ "initial_data": { "task": task, "large": bytes } }))
    }

    /// Submits a job that runs `task`, and then `then`, which gets as its params the members of the first one's data that
    /// are `passed`; it is finished when both succeed.
    pub fn submit_two_steps(&self, task: &str, params: &Value, then: &str, passed: &[&str]) -> JobId {
        let initial_data = json!({ "task": task, "params": params, "then": then, "passed": passed });
        self.jobs.submit("two_steps", &json!({ "initial_data": initial_data }))
    }

    /// Asks for the job to be cancelled.
    pub fn cancel(&self, id: &JobId) {
        self.jobs.cancel(id);
    }

    /// The job with all its details.
    pub fn job(&self, id: &JobId) -> Value {
        self.jobs.job(id)
    }

    /// Waits until the job has the status `wanted`, and gives it with all its details.
    ///
    /// # Panics
    /// When it ends in another one, or does not end.
    pub fn wait_for_status(&self, id: &JobId, wanted: &str) -> Value {
        const ENDS: [&str; 5] = ["finished", "failed", "quarantined", "cancelled", "error"];
        let mut job = Value::Null;
        let ended = within(LIMIT, || {
            job = self.job(id);
            let status = job["status"].as_str().unwrap_or_default();
            (status == wanted || ENDS.contains(&status)).then_some(())
        });
        let status = job["status"].as_str().unwrap_or_default();
        let details = || job.to_string().chars().take(2_000).collect::<String>();
        assert!(
            ended.is_some() && status == wanted,
            "job {id} should be {wanted}, not {status}: {}",
            details()
        );
        job
    }

    /// The workers it knows; none while it cannot be asked.
    pub fn workers(&self) -> Vec<Value> {
        self.jobs.workers()
    }

    /// What it knows of that worker; nothing also while it cannot be asked.
    pub fn worker(&self, id: &str) -> Option<Value> {
        self.workers().into_iter().find(|worker| worker["worker_id"] == id)
    }

    /// Waits until the orchestrator would give tasks to that worker.
    pub fn wait_for_worker(&self, id: &str) {
        self.wait_for_worker_status(id, "idle");
    }

    /// Waits until that worker is known with this status, and gives all that is known of it.
    pub fn wait_for_worker_status(&self, id: &str, status: &str) -> Value {
        until(&format!("worker {id} is known and {status}"), LIMIT, || {
            self.worker(id).filter(|worker| worker["status"] == status)
        })
    }

    /// Waits until that many tasks were given to workers since it was started last.
    pub fn wait_for_dispatches(&self, count: usize) {
        until(&format!("{count} tasks are with workers"), LIMIT, || {
            (self.count(Request::is_dispatch) >= count).then_some(())
        });
    }

    /// The requests of workers it answered since it was started last.
    pub fn requests(&self) -> Vec<Request> {
        self.complete_log().map(Request::all_in).unwrap_or_default()
    }

    /// The results that arrived since it was started last, whatever they were answered.
    pub fn results(&self) -> Vec<Value> {
        self.complete_log().map(Request::results_in).unwrap_or_default()
    }

    /// The results of one job, in the order they arrived, whatever they were answered.
    pub fn results_of(&self, id: &JobId) -> Vec<Value> {
        let id = id.to_string();
        self.results().into_iter().filter(|result| result["job_id"] == id.as_str()).collect()
    }

    /// How many of the requests of workers it answered since it was started last satisfy `wanted`.
    pub fn count(&self, wanted: impl Fn(&Request) -> bool) -> usize {
        self.requests().iter().filter(|request| wanted(request)).count()
    }

    /// What it printed, with everything that happened before this call: a thread reads it, which may be behind.
    fn complete_log(&self) -> Option<&Log> {
        let log = self.process.as_ref()?.log();
        let mark = format!("{MARK}{:016x}", fastrand::u64(..));
        if self.jobs.leave_mark(&mark) {
            log.wait_for("what was just asked", LIMIT, |line| line.contains(&mark));
        }
        Some(log)
    }

    /// Starts the process and says whether it came to listen.
    fn launch(&mut self) -> bool {
        let name = format!("orchestrator {}", self.options.version.number());
        let mut process = Process::spawn(&name, &mut self.command());
        let listens = until(&format!("{name} listens"), LIMIT, || {
            let ready = process.log().lines().iter().any(|line| line.starts_with("READY "));
            // A port that is taken ends it before it is ready.
            if ready { Some(true) } else { process.exit_code().map(|_| false) }
        });
        self.process = Some(process);
        listens
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the orchestrator runs")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(installation::python(self.options.version));
        command.arg(installation::blueprints(self.options.version)).current_dir(self.directory.path());
        command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs([
            ("API_HOST", "127.0.0.1"),
            ("CLIENTS_CONFIG_PATH", "clients.toml"),
            ("CLIENT_TOKEN", CLIENT_TOKEN),
            ("DETAILED_API_RESPONSES", "true"),
            ("GLOBAL_WORKER_TOKEN", self.options.worker_token.as_str()),
            ("LOG_FORMAT", "text"),
            ("ORCHESTRATOR_SECRET_KEY", "key-of-the-orchestrator"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONUNBUFFERED", "1"),
            ("WATCHER_INTERVAL_SECONDS", "1"),
        ]);
        command.envs(self.options.storage.iter().map(|(name, value)| (name, value)));
        command.env("WORKER_POLL_TIMEOUT_SECONDS", self.options.hold.to_string());
        command.env("API_PORT", self.port.to_string());
        if !self.options.rate_limited {
            command.env("RATE_LIMITING_ENABLED", "false");
        }
        if self.options.tls.is_some() {
            command.envs([
                ("TLS_ENABLED", "true"),
                ("TLS_CERT_PATH", "server.pem"),
                ("TLS_KEY_PATH", "server.key"),
                ("TLS_CA_PATH", "clients-ca.pem"),
                ("TLS_REQUIRE_CLIENT_CERT", "true"),
            ]);
            command.env("PLAIN_PORT", self.jobs.port().to_string());
        }
        command
    }

    fn take_other_ports(&mut self) {
        (self.port, self.jobs) = ports(&self.options);
    }
}

/// Where workers go, and where clients do: the same, unless workers have to show certificates.
fn ports(options: &OrchestratorOptions) -> (u16, Jobs) {
    let port = free_port();
    let plain = if options.tls.is_some() { free_port() } else { port };
    (port, Jobs::new(plain, CLIENT_TOKEN))
}

fn free_port() -> u16 {
    let free = || Some(fastrand::u16(PORTS)).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    until("a port is free", Duration::from_secs(5), free)
}
