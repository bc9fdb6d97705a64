//! A development server with a worker, both in the process of the test.

use std::sync::Arc;
use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, NewTask, Settings, TaskStatus, TaskView};
use serde_json::Value;
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::wait::until;
use crate::worker;

/// The server, and the worker if there is one.
#[derive(Debug)]
pub struct Stage {
    orchestrator: Arc<DevOrchestrator>,
    gate: Arc<Semaphore>,
    worker: JoinSet<()>,
    directory: TempDir,
}

impl Stage {
    /// Starts a server with a worker that has registered. The worker `studio-1` has 4 slots, and takes `resize_image`,
    /// `transcode_video`, `summarize` and `echo`.
    pub async fn start() -> Self {
        let mut stage = Self::alone().await;
        stage.begin_work().await;
        stage
    }

    /// Starts a server without a worker.
    pub async fn alone() -> Self {
        let settings = Settings::new().with_poll_hold(Duration::from_secs(2)).with_queue_limit(200_000);
        let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let gate = Arc::new(Semaphore::new(0));
        Self { orchestrator: Arc::new(orchestrator), gate, worker: JoinSet::new(), directory }
    }

    /// Starts the worker.
    pub async fn begin_work(&mut self) {
        self.worker.spawn(worker::run(&self.orchestrator, self.directory.path(), self.gate.clone()));
        until("the worker registers", async || (!self.orchestrator.workers().is_empty()).then_some(())).await;
    }

    /// The server.
    pub fn orchestrator(&self) -> &DevOrchestrator {
        &self.orchestrator
    }

    /// The address of the page, without a slash at its end.
    pub fn url(&self) -> String {
        self.orchestrator.url()
    }

    /// The id of the worker.
    pub fn worker_id(&self) -> &'static str {
        worker::ID
    }

    /// The steps of `transcode_video`; each needs a permit.
    pub fn steps(&self) -> u32 {
        worker::STEPS
    }

    /// Lets running tasks of `transcode_video` do so many steps.
    pub fn permit(&self, steps: u32) {
        self.gate.add_permits(steps as usize);
    }

    /// Submits a task, and returns its job id.
    pub fn submit(&self, name: &str, params: &Value) -> String {
        self.submit_text(name, &params.to_string())
    }

    /// Submits a task whose parameters are this text, byte for byte.
    pub fn submit_text(&self, name: &str, params: &str) -> String {
        let params = RawValue::from_string(params.to_owned()).expect("JSON");
        let task = NewTask::new(name).with_raw_params(params);
        self.orchestrator.submit(task).expect("there is room").job_id.to_string()
    }

    /// Returns what the server knows of a task.
    pub fn task(&self, job: &str) -> TaskView {
        self.orchestrator.task(job).expect("the server knows it")
    }

    /// Waits until a task has a status.
    pub async fn reaches(&self, job: &str, status: TaskStatus) -> TaskView {
        let reached = until(&format!("{job} is {status:?}"), async || {
            let task = self.task(job);
            (task.status == status || task.status.is_ended()).then_some(task)
        })
        .await;
        assert_eq!(reached.status, status, "{job}: {:?}", reached.error);
        reached
    }

    /// Waits until there are tasks that `fit`, and returns the newest, with its parameters.
    pub async fn submitted(&self, what: &str, fits: impl Fn(&TaskView) -> bool) -> TaskView {
        until(what, async || {
            let newest = self.orchestrator.tasks(100).into_iter().find(|task| fits(task))?;
            self.orchestrator.task(newest.job_id.as_str())
        })
        .await
    }

    /// Ends both.
    pub async fn end(mut self) {
        self.worker.shutdown().await;
        // A handler that is being dropped may still log its last line: then the server ends with that.
        if let Some(orchestrator) = Arc::into_inner(self.orchestrator) {
            orchestrator.shutdown().await;
        }
    }
}
