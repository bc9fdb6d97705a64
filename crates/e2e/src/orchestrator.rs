//! One of the real orchestrators, in a process of its own.

use std::env;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::installation;
use crate::jobs::{JobId, Jobs};
use crate::process::{Log, Process};
use crate::redis::Redis;
use crate::requests::{MARK, Request};
use crate::storage::Storage;
use crate::version::Version;
use crate::wait::{LIMIT, until, within};

const CLIENT_TOKEN: &str = "token-of-the-client";

/// The ports to choose from, below the range that the system uses for outgoing connections. So while an orchestrator is
/// down, no connection of another test can take its port, and a worker that connects to it cannot reach itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The settings of an orchestrator.
#[derive(Clone, Debug)]
#[must_use]
pub struct OrchestratorOptions {
    version: Version,
    worker_token: String,
    rate_limited: bool,
    hold: u32,
    tls: Option<ServerTls>,
    /// The environment variables of its storage.
    storage: Vec<(&'static str, String)>,
    /// The environment variables of an instance that shares its state with others.
    shared: Vec<(&'static str, String)>,
}

/// The certificates with which an orchestrator serves workers over TLS, all as PEM.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// The server's certificate, for 127.0.0.1.
    pub certificate: String,
    /// The key of the certificate.
    pub key: String,
    /// The authority of the accepted client certificates; workers without one are refused.
    pub client_authority: String,
}

impl OrchestratorOptions {
    /// The defaults: no rate limits, and polls are held for 1 s, so that tests that must outlast a hold are short.
    pub fn new(version: Version) -> Self {
        Self {
            version,
            worker_token: "token-of-the-worker".to_owned(),
            rate_limited: false,
            hold: 1,
            tls: None,
            storage: Vec::new(),
            shared: Vec::new(),
        }
    }

    /// Sets the time that polls are held, in seconds.
    pub fn hold(mut self, seconds: u32) -> Self {
        self.hold = seconds;
        self
    }

    /// Sets the only token accepted from workers.
    pub fn worker_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.worker_token);
        self
    }

    /// Turns on the limits on the rate of workers' requests, which are on by default in both orchestrators.
    pub fn rate_limited(mut self) -> Self {
        self.rate_limited = true;
        self
    }

    /// Serves workers over mutual TLS; the API for clients uses plain HTTP, on another port.
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the storage for its files. The orchestrator compares it with that of its workers.
    pub fn storage(mut self, storage: &Storage) -> Self {
        self.storage = storage.variables().to_vec();
        self
    }

    /// Makes it an instance with this id that keeps its state in `redis`, which it shares with other instances.
    pub fn instance(mut self, redis: &Redis, id: &str) -> Self {
        self.shared = vec![
            ("INSTANCE_ID", id.to_owned()),
            ("REDIS_PORT", redis.port().to_string()),
            ("REDIS_STREAM_BLOCK_MS", "1000".to_owned()),
            // The watcher of 1.0b30 compares the times of two clocks, and dispatches running tasks again.
            ("WATCHER_INTERVAL_SECONDS", "3600".to_owned()),
        ];
        self
    }

    /// Sets the time limit of the instance's commands to Redis, each of which is tried 11 times. A longer hold lasts until
    /// the last try.
    pub fn redis_time_limit(mut self, limit: Duration) -> Self {
        // A command that waits for entries of a stream must end within the limit.
        let block = limit / 3;
        self.shared.extend([
            ("REDIS_SOCKET_TIMEOUT", limit.as_secs_f64().to_string()),
            ("REDIS_STREAM_BLOCK_MS", block.as_millis().to_string()),
        ]);
        self
    }

    /// Lets workers without tasks have those in the queues of others, as an instance of 1.0b30 does by default.
    pub fn stealing(mut self) -> Self {
        self.shared.push(("REDIS_STEALING", "1".to_owned()));
        self
    }

    /// Starts it on a free port and waits until it listens.
    pub fn start(self) -> Orchestrator {
        let mut orchestrator = self.reserve();
        // The port was free a moment ago. If another program has taken it meanwhile, another port is tried.
        for _ in 0..4 {
            if orchestrator.launch() {
                return orchestrator;
            }
            orchestrator.take_other_ports();
        }
        orchestrator.restart();
        orchestrator
    }

    /// Chooses a port, without starting the orchestrator.
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
        Orchestrator { options: self, port, directory, jobs, process: None, earlier: Vec::new() }
    }
}

/// An orchestrator with its state in memory, or in Redis. Dropping it kills it.
#[derive(Debug)]
pub struct Orchestrator {
    options: OrchestratorOptions,
    port: u16,
    directory: TempDir,
    jobs: Jobs,
    process: Option<Process>,
    /// The logs before it was stopped.
    earlier: Vec<Log>,
}

impl Orchestrator {
    /// Starts an orchestrator with the default settings on a free port, and waits until it listens.
    pub fn start(version: Version) -> Self {
        OrchestratorOptions::new(version).start()
    }

    /// Chooses a port for an orchestrator with the default settings, without starting it.
    pub fn reserve(version: Version) -> Self {
        OrchestratorOptions::new(version).reserve()
    }

    /// The address for workers.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The token that it accepts from workers.
    pub fn worker_token(&self) -> &str {
        &self.options.worker_token
    }

    /// Suspends it: connections stay open, and nothing is answered until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.running().pause();
    }

    /// Continues it after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.running().resume();
    }

    /// Kills it, as in a crash; its state is lost, unless it is in Redis.
    pub fn stop(&mut self) {
        self.earlier.extend(self.process.take().map(|process| process.log().clone()));
    }

    /// Starts it on the same port with an empty state, after [`stop`](Self::stop) if it is running.
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.launch(), "the orchestrator does not start on port {}", self.port);
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Submits a job that runs `task`, and is finished when it succeeds.
    pub fn submit(&self, task: &str, params: &Value) -> JobId {
        self.jobs.submit("generic", &json!({ "initial_data": { "task": task, "params": params } }))
    }

    /// Submits a job whose task only workers that fulfil these requirements can run.
    pub fn submit_requiring(&self, task: &str, params: &Value, requirements: &Value) -> JobId {
        let initial_data = json!({ "task": task, "params": params, "requirements": requirements });
        self.jobs.submit("generic", &json!({ "initial_data": initial_data }))
    }

    /// Submits a job whose task has a time limit in seconds; 1.0b30 sends the limit to the worker.
    pub fn submit_limited(&self, task: &str, params: &Value, seconds: f64) -> JobId {
        let initial_data = json!({ "task": task, "params": params, "timeout": seconds });
        self.jobs.submit("generic", &json!({ "initial_data": initial_data, "result_timeout": seconds }))
    }

    /// Submits a job that is finished if `task` ends with the status `needs_manual_review`, and failed otherwise.
    pub fn submit_for_review(&self, task: &str, params: &Value) -> JobId {
        self.jobs.submit("review", &json!({ "initial_data": { "task": task, "params": params } }))
    }

    /// Submits a job whose `task` gets the params `{"text": …}` with a text of this many bytes.
    pub fn submit_large(&self, task: &str, bytes: usize) -> JobId {
        self.jobs.submit("generic", &json!({ "initial_data": { "task": task, "large": bytes } }))
    }

    /// Submits a job that runs `task` and then `then`. The params of `then` are the members of the first task's data
    /// that are named in `passed`. The job is finished when both succeed.
    pub fn submit_two_steps(&self, task: &str, params: &Value, then: &str, passed: &[&str]) -> JobId {
        let initial_data = json!({ "task": task, "params": params, "then": then, "passed": passed });
        self.jobs.submit("two_steps", &json!({ "initial_data": initial_data }))
    }

    /// Requests the cancellation of a job.
    pub fn cancel(&self, id: &JobId) {
        self.jobs.cancel(id);
    }

    /// Returns the job with all its details.
    pub fn job(&self, id: &JobId) -> Value {
        self.jobs.job(id)
    }

    /// Waits until the job has the status `wanted`, and returns it with all its details.
    ///
    /// # Panics
    /// When it ends with another status, or does not end.
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

    /// Returns the workers it knows; empty while it does not answer.
    pub fn workers(&self) -> Vec<Value> {
        self.jobs.workers()
    }

    /// Returns the worker with this id; `None` if it is unknown, or while the orchestrator does not answer.
    pub fn worker(&self, id: &str) -> Option<Value> {
        self.workers().into_iter().find(|worker| worker["worker_id"] == id)
    }

    /// Waits until the orchestrator would give tasks to this worker.
    pub fn wait_for_worker(&self, id: &str) {
        self.wait_for_worker_status(id, "idle");
    }

    /// Waits until this worker is known with this status, and returns it.
    pub fn wait_for_worker_status(&self, id: &str, status: &str) -> Value {
        until(&format!("worker {id} is known and {status}"), LIMIT, || {
            self.worker(id).filter(|worker| worker["status"] == status)
        })
    }

    /// Waits until this many tasks have been given to workers since its last start.
    pub fn wait_for_dispatches(&self, count: usize) {
        until(&format!("{count} tasks are with workers"), LIMIT, || {
            (self.count(Request::is_dispatch) >= count).then_some(())
        });
    }

    /// Returns the requests of workers that it has answered since its last start.
    pub fn requests(&self) -> Vec<Request> {
        self.complete_log().map(Request::all_in).unwrap_or_default()
    }

    /// Returns the results that have arrived since its last start, whatever the answer was.
    pub fn results(&self) -> Vec<Value> {
        self.complete_log().map(Request::results_in).unwrap_or_default()
    }

    /// Returns the results that have arrived since its first start, whatever the answer was.
    pub fn all_results(&self) -> Vec<Value> {
        self.earlier.iter().flat_map(Request::results_in).chain(self.results()).collect()
    }

    /// Returns the results of one job in the order of their arrival, whatever the answer was.
    pub fn results_of(&self, id: &JobId) -> Vec<Value> {
        let id = id.to_string();
        self.results().into_iter().filter(|result| result["job_id"] == id.as_str()).collect()
    }

    /// Returns the number of answered requests of workers since its last start that satisfy `wanted`.
    pub fn count(&self, wanted: impl Fn(&Request) -> bool) -> usize {
        self.requests().iter().filter(|request| wanted(request)).count()
    }

    /// Returns its log, complete up to this call: waits for the thread that reads the log.
    fn complete_log(&self) -> Option<&Log> {
        let log = self.process.as_ref()?.log();
        let mark = format!("{MARK}{:016x}", fastrand::u64(..));
        if self.jobs.leave_mark(&mark) {
            log.wait_for("the request that was just made", LIMIT, |line| line.contains(&mark));
        }
        Some(log)
    }

    /// Starts the process, and returns whether it is listening.
    fn launch(&mut self) -> bool {
        let name = format!("orchestrator {}", self.options.version.number());
        let mut process = Process::spawn(&name, &mut self.command());
        let listens = until(&format!("{name} listens"), LIMIT, || {
            let ready = process.log().lines().iter().any(|line| line.starts_with("READY "));
            // If the port is taken, the process ends before it is ready.
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
        let (storage, shared) = (&self.options.storage, &self.options.shared);
        command.envs(storage.iter().chain(shared).map(|(name, value)| (name, value)));
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

/// Returns the port for workers and the API for clients. Both use the same port, unless workers need certificates.
fn ports(options: &OrchestratorOptions) -> (u16, Jobs) {
    let port = free_port();
    let plain = if options.tls.is_some() { free_port() } else { port };
    (port, Jobs::new(plain, CLIENT_TOKEN))
}

/// Returns a port that is free, and that no other test chooses before this process ends: the UDP port of the same number,
/// which nothing here uses, is its mark.
pub(crate) fn free_port() -> u16 {
    static MARKS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let free = || {
        let port = fastrand::u16(PORTS);
        let mark = UdpSocket::bind(("127.0.0.1", port)).ok()?;
        TcpListener::bind(("127.0.0.1", port)).ok()?;
        MARKS.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
        Some(port)
    };
    until("a port is free", Duration::from_secs(5), free)
}
