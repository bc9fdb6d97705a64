//! Runs tasks of a worker in a test, without an orchestrator.
//!
//! Tasks run by the same code as in production: with the same layers, state, limits, validation and results. Only the
//! orchestrator is missing: [`TestRun`] has everything that it would have received.
//!
//! ```
//! use avtomatika_worker::prelude::*;
//! use avtomatika_worker::testing::TestWorker;
//! use serde_json::json;
//!
//! async fn greet(RawParams(_): RawParams, context: TaskContext) -> Json<serde_json::Value> {
//!     context.send_progress(0.5, "half");
//!     Json(json!({"text": "Hello!"}))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let worker = TestWorker::new(Worker::builder().task("greet", greet));
//! let run = worker.task("greet").params(json!({"name": "Ada"})).run().await;
//! assert_eq!(run.data(), &json!({"text": "Hello!"}));
//! assert_eq!(run.progress(), [(0.5, "half".to_owned())]);
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rxon::model::{Generation, Task};
use rxon::transport::{
    Connector, ExchangeFuture, OpenFuture, Opened, Operation, Request, Response, Transport,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::config::WorkerConfig;
#[cfg(feature = "s3")]
use crate::files::Storage;
use crate::session::{Session, courier};
use crate::threads::{lock, until};
use crate::worker::assembly::{Assembly, EndAll};
use crate::worker::builder::{NoState, Offers, WorkerBuilder};

/// A worker that gets its tasks from a test.
///
/// The files of its tasks are in a temporary directory, whatever `TASK_FILES_DIR` says, and its storage is in memory and
/// has every bucket. The hot cache and the storage last as long as the worker; everything else starts afresh with each
/// task. Dropping the worker cancels its running tasks.
#[derive(Debug)]
#[doc(alias("fake", "mock"))]
pub struct TestWorker {
    assembly: Arc<Assembly>,
    _end: EndAll,
    session: Arc<Session>,
    inbox: Arc<Inbox>,
    number: AtomicU64,
    _folder: tempfile::TempDir,
}

impl TestWorker {
    /// Creates a worker with these tasks. If the builder has no configuration, the defaults are used, and the environment
    /// is not read. Start-up hooks are not run.
    ///
    /// # Panics
    /// If the worker cannot be built or its configuration is wrong, with the reason.
    #[track_caller]
    pub fn new<S>(mut builder: WorkerBuilder<S>) -> Self
    where
        S: Clone + Send + Sync + 'static,
        NoState: Offers<S>,
    {
        builder.config.get_or_insert_with(WorkerConfig::defaults);
        let mut plan = builder.build().unwrap_or_else(|error| panic!("no worker: {error}")).plan;
        let folder = tempfile::tempdir().expect("a folder for the files of tasks");
        plan.config = plan.config.task_files_dir(folder.path());
        #[cfg(feature = "s3")]
        {
            plan.storage = Some(Storage::in_memory(&plan.config.s3_default_bucket));
        }
        let inbox = Arc::new(Inbox::default());
        plan.connector = Some(Arc::new(FakeOrchestrator(inbox.clone())));
        let assembly = Arc::new(Assembly::new(plan).unwrap_or_else(|error| panic!("no worker: {error}")));
        assembly.executor.unknown.answer_at_once();
        // Of several orchestrators, the first one dispatches the tasks.
        let session = assembly.conversations[0].session.clone();
        session.origin.peer.set_registered(Generation::Newer);
        session.fleet.on_registered(session.origin.orchestrator);
        Self {
            _end: EndAll(assembly.clone()),
            assembly,
            session,
            inbox,
            number: AtomicU64::new(1),
            _folder: folder,
        }
    }

    /// Creates a task, to be [run](TestTask::run).
    #[must_use = "a task does nothing until it is run"]
    pub fn task(&self, name: impl Into<String>) -> TestTask<'_> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        TestTask {
            worker: self,
            id: format!("task-{number}"),
            message: json!({"job_id": format!("job-{number}"), "task_id": format!("task-{number}"),
                "type": name.into(), "params": {}}),
            cancel_after: None,
        }
    }

    /// Puts an object into the storage, for tasks with its address in their parameters.
    ///
    /// ```
    /// use avtomatika_worker::prelude::*;
    /// use avtomatika_worker::testing::TestWorker;
    /// use serde_json::json;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Count {
    ///     text: avtomatika_worker::files::InputFile,
    /// }
    ///
    /// async fn count(Params(count): Params<Count>, files: TaskFiles) -> Result<Json<serde_json::Value>, TaskError> {
    ///     let lines = files.read_text(&count.text).await?.lines().count();
    ///     let path = files.write("lines.txt", lines.to_string()).await?;
    ///     Ok(Json(json!({"lines": path})))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let worker = TestWorker::new(Worker::builder().task("count", count));
    /// worker.put_object("s3://inputs/poem.txt", "one\ntwo\n").await;
    /// let run = worker.task("count").params(json!({"text": "s3://inputs/poem.txt"})).run().await;
    /// let uri = run.data()["lines"].as_str().expect("an address");
    /// assert_eq!(worker.object(uri).await.as_deref(), Some(b"2".as_slice()));
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the address is not the address of an object, such as `s3://bucket/key`.
    #[cfg(feature = "s3")]
    pub async fn put_object(&self, uri: &str, content: impl Into<Vec<u8>>) {
        let put = self.storage().put_object(uri, content.into()).await;
        put.unwrap_or_else(|error| panic!("no object: {error}"));
    }

    /// Returns the content of an object in the storage, or `None` if there is no such object.
    ///
    /// # Panics
    /// If the address is not the address of an object, such as `s3://bucket/key`.
    #[cfg(feature = "s3")]
    pub async fn object(&self, uri: &str) -> Option<Vec<u8>> {
        self.storage().object(uri).await.unwrap_or_else(|error| panic!("no object: {error}"))
    }

    #[cfg(feature = "s3")]
    fn storage(&self) -> &Storage {
        self.assembly.executor.files.storage().expect("a test worker has a storage")
    }

    /// The models in the hot cache, in alphabetical order.
    pub fn hot_cache(&self) -> Vec<String> {
        self.assembly.offer.hot_cache.models()
    }
}

/// A task, to be run.
#[derive(Debug)]
#[must_use = "a task does nothing until it is run"]
pub struct TestTask<'a> {
    worker: &'a TestWorker,
    id: String,
    message: Value,
    cancel_after: Option<Duration>,
}

impl TestTask<'_> {
    /// Sets the parameters; the default is `{}`.
    ///
    /// # Panics
    /// If they do not serialise to JSON.
    #[track_caller]
    pub fn params(mut self, params: impl Serialize) -> Self {
        self.message["params"] = serde_json::to_value(params).expect("parameters that are JSON");
        self
    }

    /// Sets the priority; the default is 0.
    pub fn priority(mut self, priority: f64) -> Self {
        self.message["priority"] = json!(priority);
        self
    }

    /// Sets the deadline, as a time from now.
    pub fn deadline(mut self, within: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.message["deadline"] = json!((now + within).as_secs_f64());
        self
    }

    /// Sets the trace context, such as `traceparent`.
    pub fn tracing_context(mut self, context: &BTreeMap<String, String>) -> Self {
        self.message["tracing_context"] = json!(context);
        self
    }

    /// Makes the orchestrator cancel the task after this time.
    pub fn cancelled_after(mut self, time: Duration) -> Self {
        self.cancel_after = Some(time);
        self
    }

    /// Runs the task and waits for its result.
    ///
    /// # Panics
    /// If the worker sends no result, which would be a mistake in this crate.
    pub async fn run(self) -> TestRun {
        let Self { worker, id, message, cancel_after } = self;
        let body = message.to_string();
        let executor = &worker.assembly.executor;
        let slot = worker.assembly.offer.slots.acquire(OrchestratorIndex(0)).await;
        match Task::parse(body.as_bytes()) {
            Ok(task) => {
                let origin = &worker.session.origin;
                executor.accept(origin, Box::new(task), body.as_bytes(), slot, Instant::now())
            }
            Err(malformed) => {
                let (job_id, task_id) = malformed.ids.expect("a test's task has ids");
                executor.refuse(&worker.session.origin, job_id, task_id, &malformed.problem)
            }
        };
        let cancel = async {
            until(cancel_after.and_then(|time| Instant::now().checked_add(time))).await;
            executor.running.cancel(OrchestratorIndex(0), &id);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            result = worker.inbox.result(&id) => TestRun { result, events: worker.inbox.events_of(&id) },
            () = courier(worker.session.origin.clone(), executor.worker_id.clone()) => unreachable!("it never ends"),
            () = cancel => unreachable!("it never ends"),
        }
    }
}

/// The result of a task, with its progress and events.
#[derive(Clone)]
pub struct TestRun {
    result: Value,
    /// Progress is an event of the type `progress`.
    events: Vec<(String, Value)>,
}

/// Shows what the handler decided, without what differs from run to run: the time, the nonce and the signature.
impl fmt::Debug for TestRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut result = self.result.clone();
        if let Value::Object(members) = &mut result {
            members.retain(|name, _| !["nonce", "security", "timestamp"].contains(&name.as_str()));
        }
        let mut shown = formatter.debug_struct("TestRun");
        shown.field("result", &format_args!("{result}"));
        let events = self.events.iter().map(|(event_type, payload)| format!("{event_type} {payload}"));
        shown.field("events", &events.collect::<Vec<_>>()).finish()
    }
}

impl TestRun {
    /// The status: `success`, `failure`, `cancelled`, or one of the handler's own.
    pub fn status(&self) -> &str {
        self.result["status"].as_str().unwrap_or_default()
    }

    /// The data, or `null` if there is none.
    pub fn data(&self) -> &Value {
        &self.result["data"]
    }

    /// The code of the error, if the task failed.
    pub fn error_code(&self) -> Option<&str> {
        self.result["error"]["code"].as_str()
    }

    /// The message of the error, if the task failed.
    pub fn error_message(&self) -> Option<&str> {
        self.result["error"]["message"].as_str()
    }

    /// The whole result, as the orchestrator would have received it.
    pub fn result(&self) -> &Value {
        &self.result
    }

    /// The progress reports, as the orchestrator would have received them: at most 10 in any second, and the last one.
    pub fn progress(&self) -> Vec<(f64, String)> {
        let progress = self.events.iter().filter(|(event_type, _)| event_type == "progress");
        progress
            .map(|(_, payload)| {
                let message = payload["message"].as_str().unwrap_or_default().to_owned();
                (payload["progress"].as_f64().unwrap_or_default(), message)
            })
            .collect()
    }

    /// The types and payloads of the events that the handler sent.
    pub fn events(&self) -> Vec<(String, Value)> {
        self.events.iter().filter(|(event_type, _)| event_type != "progress").cloned().collect()
    }
}

/// The messages that an orchestrator would have received.
#[derive(Debug, Default)]
struct Inbox {
    results: Mutex<BTreeMap<String, Value>>,
    events: Mutex<Vec<(String, String, Value)>>,
    more: Notify,
}

impl Inbox {
    fn receive(&self, operation: &Operation, body: &[u8]) {
        let Ok(mut message) = serde_json::from_slice::<Value>(body) else { return };
        let id = |message: &Value, name: &str| message[name].as_str().unwrap_or_default().to_owned();
        match operation {
            Operation::Result => {
                lock(&self.results).insert(id(&message, "task_id"), message);
                self.more.notify_waiters();
            }
            Operation::Event => {
                let (task_id, event_type) = (id(&message, "target_task_id"), id(&message, "event_type"));
                lock(&self.events).push((task_id, event_type, message["payload"].take()));
            }
            _ => {}
        }
    }

    async fn result(&self, task_id: &str) -> Value {
        loop {
            let mut more = std::pin::pin!(self.more.notified());
            more.as_mut().enable();
            if let Some(result) = lock(&self.results).remove(task_id) {
                return result;
            }
            more.await;
        }
    }

    /// Takes out the events of a task.
    fn events_of(&self, task_id: &str) -> Vec<(String, Value)> {
        let mut events = lock(&self.events);
        let own = events.extract_if(.., |(of, _, _)| of == task_id);
        own.map(|(_, event_type, payload)| (event_type, payload)).collect()
    }
}

/// Stands in for an orchestrator: accepts every message, and has no tasks.
#[derive(Debug, Clone)]
struct FakeOrchestrator(Arc<Inbox>);

impl Connector for FakeOrchestrator {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(self.clone())
    }

    fn channel(&self) -> OpenFuture<'_> {
        Box::pin(async { Ok(Opened::Refused(Response::new(404, ""))) })
    }
}

impl Transport for FakeOrchestrator {
    fn exchange(&mut self, request: Request) -> ExchangeFuture<'_> {
        Box::pin(async move {
            self.0.receive(&request.operation, &request.body);
            Ok(Response::new(200, "{}"))
        })
    }
}
