//! A worker that runs beside the test.

use std::panic::Location;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use avtomatika_worker::prelude::*;
use avtomatika_worker::{Error, Stopped, WorkerBuilder, WorkerConfig};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::{Endpoint, PATIENCE, Process, Program, Recorded, ScriptedOrchestrator, Stopwatch, Took};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The token that every worker here has.
pub(crate) const TOKEN: &str = "token-that-must-not-be-seen";

/// The id that every worker here has, unless it is to have a random one.
pub(crate) const WORKER_ID: &str = "w-1";

/// Quick where the defaults are slow; what a test sets comes after and wins.
const QUICK: [(&str, &str); 7] = [
    ("WORKER_TOKEN", TOKEN),
    ("WORKER_ID", WORKER_ID),
    ("HEARTBEAT_INTERVAL", "0.2"),
    ("WORKER_HEARTBEAT_DEBOUNCE_DELAY", "0.02"),
    ("TASK_POLL_ERROR_DELAY", "0.05"),
    ("RESULT_RETRY_INITIAL_DELAY", "0.05"),
    ("TASK_POLL_TIMEOUT", "5"),
];

/// The configuration of a worker for this orchestrator.
pub(crate) fn config(url: &str, variables: &[(&str, &str)]) -> WorkerConfig {
    let own = [("ORCHESTRATOR_URL", url)];
    let all = QUICK.iter().chain(&own).chain(variables);
    WorkerConfig::from_variables(all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// A worker that runs. Dropped, it ends at once.
pub(crate) struct Running {
    stop: CancellationToken,
    set: JoinSet<Result<Stopped, Error>>,
}

impl Running {
    /// Starts a worker on the runtime of the test.
    pub(crate) fn start(worker: Worker) -> Self {
        let stop = CancellationToken::new();
        let mut set = JoinSet::new();
        set.spawn(worker.run_until(stop.clone().cancelled_owned()));
        Self { stop, set }
    }

    /// Asks it to stop, without waiting.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has stopped.
    #[track_caller]
    pub(crate) fn stopped(mut self) -> impl Future<Output = Stopped> {
        let caller = Location::caller();
        async move {
            let Ok(ended) = tokio::time::timeout(PATIENCE, self.set.join_next()).await else {
                panic!("{caller}: the worker has not stopped in {PATIENCE:?}")
            };
            ended.expect("one worker").expect("no panic").expect("it could run")
        }
    }

    /// Stops it, and waits for the end.
    #[track_caller]
    pub(crate) fn stop(self) -> impl Future<Output = Stopped> {
        self.ask_to_stop();
        self.stopped()
    }

    /// Lets it fall.
    pub(crate) fn abandon(self) {
        drop(self.set);
    }
}

/// Starts a worker with [`tasks`] for this orchestrator.
pub(crate) fn start(orchestrator: &ScriptedOrchestrator, variables: &[(&str, &str)]) -> Running {
    Running::start(tasks().config(config(&orchestrator.url(), variables)).build().expect("a worker"))
}

/// Starts a scripted orchestrator and a worker for it.
pub(crate) async fn both(variables: &[(&str, &str)]) -> (ScriptedOrchestrator, Running) {
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker = start(&orchestrator, variables);
    (orchestrator, worker)
}

/// How long a task takes.
#[derive(Deserialize)]
pub(crate) struct Pause {
    pub(crate) seconds: f64,
}

/// The tasks most tests do with.
pub(crate) fn tasks() -> WorkerBuilder {
    let grouped = || TaskOptions::new().limit_group("group");
    Worker::builder()
        .task("echo", async |RawParams(params): RawParams| Json(params))
        .task("sleep", sleep)
        .task("block", blocking(block))
        .task_with("grouped", grouped(), sleep)
}

async fn sleep(Params(pause): Params<Pause>) -> Json<Value> {
    tokio::time::sleep(Duration::from_secs_f64(pause.seconds)).await;
    Json(json!({}))
}

/// Blocks its thread, and looks whether it is told to stop.
#[expect(clippy::needless_pass_by_value, reason = "handlers own their arguments")]
fn block(Params(pause): Params<Pause>, context: TaskContext) -> Json<Value> {
    let until = Instant::now() + Duration::from_secs_f64(pause.seconds);
    while Instant::now() < until && !context.is_cancelled() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Json(json!({"saw_cancellation": context.is_cancelled()}))
}

/// Pushes a task, and gives its id.
pub(crate) fn push(orchestrator: &ScriptedOrchestrator, name: &str, params: Value) -> String {
    let task = testkit::task(name, params);
    orchestrator.push_task(&task);
    task["task_id"].as_str().expect("a text").to_owned()
}

/// Runs a task, and gives its result.
pub(crate) async fn run(orchestrator: &ScriptedOrchestrator, name: &str, params: Value) -> Value {
    let id = push(orchestrator, name, params);
    orchestrator.wait_for_result(&id).await
}

/// Heartbeats with a body.
pub(crate) fn told(orchestrator: &ScriptedOrchestrator) -> Vec<Recorded> {
    let mut requests = orchestrator.requests(Endpoint::Heartbeat);
    requests.retain(|request| !request.body.is_empty());
    requests
}

/// Waits for a heartbeat with a body of which `check` is true.
#[track_caller]
pub(crate) fn wait_for_heartbeat<F: Fn(&Value) -> bool + Send>(
    orchestrator: &ScriptedOrchestrator,
    check: F,
) -> impl Future<Output = Value> + use<F> {
    let found = orchestrator
        .wait_for(Endpoint::Heartbeat, move |request| !request.body.is_empty() && check(&request.json()));
    async move { found.await.json() }
}

/// Checks all cases side by side: they mostly wait.
pub(crate) async fn each<T>(cases: impl IntoIterator<Item = T>, check: impl AsyncFn(T)) {
    let check = &check;
    futures_util::future::join_all(cases.into_iter().map(async |case| check(case).await)).await;
}

/// Waits for what nothing else tells of.
#[track_caller]
pub(crate) fn until(check: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let began = Instant::now();
        while !check() {
            assert!(began.elapsed() < PATIENCE, "{caller}: waited in vain");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Lets time pass; only for what must *not* happen meanwhile, or only so often.
pub(crate) async fn watch_for(time: Duration) -> Watched {
    let stopwatch = Stopwatch::start();
    tokio::time::sleep(time).await;
    Watched::new(time, &stopwatch)
}

/// A time that was to pass, and what it became on this machine.
pub(crate) struct Watched {
    time: Duration,
    took: Took,
}

impl Watched {
    /// The time was to pass since the start of the stopwatch.
    pub(crate) fn new(time: Duration, stopwatch: &Stopwatch) -> Self {
        Self { time, took: stopwatch.took() }
    }

    /// A limit for the time that was to pass, raised as far as more time has passed.
    pub(crate) fn at_most(&self, count: usize) -> usize {
        (count as f64 * self.took.wall().div_duration_f64(self.time)).round() as usize
    }

    /// What must come in the time that was to pass, less for the time in which the machine held it up.
    pub(crate) fn at_least(&self, count: usize) -> usize {
        (count as f64 * self.took.undisturbed().div_duration_f64(self.time).min(1.0)).round() as usize
    }
}

/// The example program `conformance_worker`, with a clean environment that names this orchestrator.
pub(crate) fn program(url: &str, variables: &[(&str, &str)]) -> Program {
    configured(Program::new(program_path()), url, variables)
}

/// The environment of the example program, for another program that starts it.
pub(crate) fn configured(program: Program, url: &str, variables: &[(&str, &str)]) -> Program {
    let own = [("ORCHESTRATOR_URL", url), ("WORKER_PORT", "0")];
    let all = QUICK.iter().chain(&own).chain(variables);
    program.clean_env().envs(all.copied())
}

/// Starts the example program, and waits until it is registered.
pub(crate) async fn started(orchestrator: &ScriptedOrchestrator, variables: &[(&str, &str)]) -> Process {
    let process = program(&orchestrator.url(), variables).start();
    orchestrator.wait_for_requests(Endpoint::Register, 1).await;
    process
}

pub(crate) fn program_path() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let target = test.parent().and_then(|deps| deps.parent()).expect("…/target/debug/deps/it-…");
    let path = target.join("examples/conformance_worker");
    assert!(
        path.exists(),
        "{} is missing: build it with `cargo build --example conformance_worker`",
        path.display()
    );
    path
}

/// Asks a health server: the status and the body.
pub(crate) async fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head[9..12].parse().expect("a status"), body.to_owned())
}
