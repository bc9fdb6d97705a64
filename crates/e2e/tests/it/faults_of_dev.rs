//! The worker comes through every fault of the development orchestrator, and loses no task.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use avtomatika_dev::{
    DevOrchestrator, Event, Fault, FaultSwitch, FaultVerdict, NewTask, Settings, TaskStatus,
};
use avtomatika_worker::WorkerConfig;
use avtomatika_worker::prelude::*;
use e2e::LIMIT;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::reports::{Given, Made};

/// Copies a file of the storage.
async fn copy(Params(given): Params<Given>, files: TaskFiles) -> Result<Json<Made>, TaskError> {
    let text = std::fs::read_to_string(&given.report)?;
    Ok(Json(Made { report: files.write("copy.txt", text).await?.into() }))
}

/// An orchestrator with a worker whose tasks `hold` end when the test says so.
struct Stage {
    orchestrator: Arc<DevOrchestrator>,
    gate: Arc<Semaphore>,
    /// The number of times that the handler of `hold` was run.
    runs: Arc<AtomicU32>,
    worker: JoinSet<()>,
    _directory: tempfile::TempDir,
}

impl Stage {
    async fn start() -> Self {
        let settings = Settings::new().with_poll_hold(Duration::from_secs(1));
        let orchestrator = Arc::new(DevOrchestrator::start(settings).await.expect("a free port"));
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
        let mut feed = orchestrator.subscribe();
        let mut worker = JoinSet::new();
        let running = run_worker(&orchestrator, directory.path(), gate.clone(), runs.clone());
        worker.spawn(running);
        let registered =
            async { while !matches!(feed.next().await.expect("it runs"), Event::WorkerRegistered { .. }) {} };
        tokio::time::timeout(LIMIT, registered).await.expect("the worker registers in time");
        Self { orchestrator, gate, runs, worker, _directory: directory }
    }

    /// Switches a fault on while a task runs, ends the task, waits until the fault has hit, and submits another task.
    /// Then switches it off, and waits until both have succeeded.
    async fn come_through(&self, fault: Fault, switch: FaultSwitch, hits: u64) -> FaultVerdict {
        let orchestrator = &self.orchestrator;
        let first = orchestrator.submit(NewTask::new("hold")).expect("room").job_id;
        self.until(|| orchestrator.task(&first).is_some_and(|task| task.status == TaskStatus::Running)).await;
        orchestrator.set_fault(fault, switch).expect("valid");
        self.gate.add_permits(1);
        self.until(|| self.hits(fault) >= hits).await;
        let second = orchestrator.submit(NewTask::new("hold")).expect("room").job_id;
        self.gate.add_permits(1);
        orchestrator.set_fault(fault, FaultSwitch::off()).expect("valid");
        for job in [first, second] {
            let task = tokio::time::timeout(LIMIT, orchestrator.wait(&job)).await.expect("in time");
            let task = task.expect("known");
            assert_eq!((task.status, task.attempts), (TaskStatus::Finished, 1), "{task:?}");
        }
        let verdict = tokio::time::timeout(LIMIT * 2, orchestrator.verdict(fault)).await.expect("in time");
        let verdict = verdict.expect("it was on");
        assert!(verdict.ok, "{}", verdict.text);
        assert_eq!((verdict.workers, verdict.tasks_lost), (1, 0), "{}", verdict.text);
        verdict
    }

    /// The same with a task that reads and writes a file while the storage has a fault.
    async fn copy_through(&self, fault: Fault, switch: FaultSwitch) {
        let storage = self.orchestrator.storage().expect("it has one");
        storage.put(storage.bucket(), "in.txt", "some text ".repeat(10_000)).await.expect("written");
        self.orchestrator.set_fault(fault, switch).expect("valid");
        let params = json!({ "report": format!("s3://{}/in.txt", storage.bucket()) });
        let task = NewTask::new("copy").with_params(params);
        let job = self.orchestrator.submit(task).expect("room").job_id;
        self.until(|| self.hits(fault) >= 1).await;
        self.orchestrator.set_fault(fault, FaultSwitch::off()).expect("valid");
        let task = tokio::time::timeout(LIMIT, self.orchestrator.wait(&job)).await.expect("in time");
        let task = task.expect("known");
        assert_eq!(task.status, TaskStatus::Finished, "{task:?}");
        let data: serde_json::Value = task.data_as().expect("JSON").expect("there are data");
        let uri = data["report"].as_str().or_else(|| data["report"]["uri"].as_str()).expect("an address");
        let key = uri.strip_prefix(&format!("s3://{}/", storage.bucket())).expect("in the bucket");
        let copy = storage.get(storage.bucket(), key).await.expect("it is there");
        assert_eq!(copy, "some text ".repeat(10_000));
        let verdict =
            tokio::time::timeout(LIMIT * 2, self.orchestrator.verdict(fault)).await.expect("in time");
        assert!(verdict.expect("it was on").ok);
    }

    fn hits(&self, fault: Fault) -> u64 {
        self.orchestrator.faults().iter().find(|state| state.fault == fault).map_or(0, |state| state.hits)
    }

    async fn until(&self, mut so: impl FnMut() -> bool) {
        let waiting = async {
            while !so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, waiting).await.expect("in time");
    }

    async fn end(mut self) {
        self.worker.shutdown().await;
        Arc::into_inner(self.orchestrator).expect("the worker has ended").shutdown().await;
    }
}

/// Runs a worker until it is dropped.
fn run_worker(
    orchestrator: &DevOrchestrator,
    directory: &std::path::Path,
    gate: Arc<Semaphore>,
    runs: Arc<AtomicU32>,
) -> impl Future<Output = ()> + Send + 'static {
    let storage = orchestrator.storage().expect("it has one");
    let own = [
        ("ORCHESTRATOR_URL", orchestrator.url()),
        ("WORKER_TOKEN", "a-token".to_owned()),
        ("WORKER_ID", "w".to_owned()),
        ("HEARTBEAT_INTERVAL", "0.2".to_owned()),
        ("TASK_POLL_ERROR_DELAY", "0.1".to_owned()),
        ("RESULT_RETRY_INITIAL_DELAY", "0.1".to_owned()),
        ("WORKER_MAX_POLLERS", "1".to_owned()),
        ("WORKER_ENABLE_WEBSOCKETS", "true".to_owned()),
        ("TASK_FILES_DIR", directory.display().to_string()),
    ];
    let all = own.into_iter().chain(storage.variables());
    let config = WorkerConfig::from_variables(all.map(|(name, value)| (name.to_owned(), value)));
    let hold = move || {
        let (gate, runs) = (gate.clone(), runs.clone());
        async move {
            runs.fetch_add(1, Ordering::Relaxed);
            gate.acquire().await.expect("it stays open").forget();
        }
    };
    let builder = Worker::builder().config(config).task("hold", hold).task("copy", copy);
    let worker = builder.build().expect("valid");
    async move {
        worker.run_until(pending()).await.expect("it runs until it is dropped");
    }
}

/// Makes a test of each fault of the orchestrator: its switch, and the number of hits to wait for.
macro_rules! through_each {
    ($($name:ident: $fault:ident, $switch:expr, $hits:literal;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let stage = Stage::start().await;
            stage.come_through(Fault::$fault, $switch, $hits).await;
            assert_eq!(stage.runs.load(Ordering::Relaxed), 2, "each task was run once");
            stage.end().await;
        }
    )+};
}

through_each! {
    refused_connections: Refuse, FaultSwitch::on(), 5;
    requests_that_hang: Hang, FaultSwitch::on(), 3;
    slow_answers: Slow, FaultSwitch::on().with_delay(Duration::from_millis(300)), 3;
    answers_that_are_cut: Cut, FaultSwitch::on(), 4;
    a_lost_answer_to_a_result: LoseAck, FaultSwitch::on(), 1;
    server_errors: Error5xx, FaultSwitch::on(), 5;
    // After the first poll without `Retry-After` the worker would be silent for a minute.
    too_many_requests: TooMany, FaultSwitch::on(), 1;
    a_refused_token: Unauthorized, FaultSwitch::on(), 3;
    forgotten_at_once: Forget, FaultSwitch::on(), 1;
    forgotten_at_heartbeats: Forget, FaultSwitch::on().with_rate(1.0), 3;
    garbage_for_answers: Garbage, FaultSwitch::on(), 4;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_whose_answer_was_lost_is_sent_again() {
    let stage = Stage::start().await;
    let verdict = stage.come_through(Fault::LoseAck, FaultSwitch::on(), 1).await;
    assert!(verdict.results_again >= 1, "{}", verdict.text);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_comes_twice_is_run_once() {
    let stage = Stage::start().await;
    stage.orchestrator.set_fault(Fault::Duplicate, FaultSwitch::on()).expect("valid");
    for number in 1..=3 {
        let job = stage.orchestrator.submit(NewTask::new("hold")).expect("room").job_id;
        stage.until(|| stage.hits(Fault::Duplicate) == number).await;
        // The second copy arrives while the first one runs, with the next poll.
        let copies = |orchestrator: &DevOrchestrator| {
            let running = orchestrator.workers();
            running.iter().any(|worker| worker.open_polls > 0)
        };
        stage.until(|| copies(&stage.orchestrator)).await;
        stage.gate.add_permits(1);
        let task = tokio::time::timeout(LIMIT, stage.orchestrator.wait(&job)).await.expect("in time");
        assert_eq!(task.expect("known").status, TaskStatus::Finished);
    }
    assert_eq!(stage.runs.load(Ordering::Relaxed), 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_storage() {
    let stage = Stage::start().await;
    let slow = FaultSwitch::on().with_delay(Duration::from_millis(200));
    stage.copy_through(Fault::StorageSlow, slow).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_the_storage() {
    let stage = Stage::start().await;
    stage.copy_through(Fault::StorageError, FaultSwitch::on()).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_cut() {
    let stage = Stage::start().await;
    stage.copy_through(Fault::StorageCut, FaultSwitch::on()).await;
    stage.end().await;
}
