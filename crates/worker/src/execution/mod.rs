//! One task's life: from its arrival to its outcome.
//!
//! ```text
//! arrival -> (duplicate: dropped, or its result sent again)
//!         -> place in its limit group -> arguments, layers, handler -> outcome -> result
//!            \________ told to stop: by command, by time, by shutdown ________/
//! ```

mod arrival;
mod cancel;
pub(crate) mod counts;
pub(crate) mod origin;
mod report;
pub(crate) mod router;
pub(crate) mod running;
mod trace;
mod trust;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use rxon::model::{ErrorCode, Task};
use rxon::secrets::masked;
use rxon::{TaskId, WorkerId};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

pub(crate) use cancel::{CancelHandle, Cause};
pub(crate) use trust::Trust;

use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::capacity::hot_cache::HotCache;
use crate::capacity::slots::{RunPermit, Slot};
use crate::execution::counts::Counts;
use crate::execution::origin::Origin;
use crate::execution::router::{Route, Router};
use crate::execution::running::Running;
use crate::files::{Files, MetadataByPath, TaskFiles};
use crate::task::context::{ContextParts, TaskContext, TaskScope};
use crate::task::extract::TaskRequest;
use crate::task::handler::TaskService;
use crate::task::outcome::panicked;
use crate::task::outcome::{Outcome, TaskError};
use crate::threads::blocking::BlockingThreads;
use crate::threads::{panic_message, until};

/// How long a blocking handler may take to notice that it is to stop.
const BLOCKING_GRACE: Duration = Duration::from_secs(5);

/// The outcome of a blocking handler that ended just before is on its way.
const ENDED_GRACE: Duration = Duration::from_millis(100);

/// How long a result waits for the last progress of its task while the worker ends.
const LAST_FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// The options of executions.
#[derive(Debug)]
pub(crate) struct ExecutionSettings {
    pub(crate) worker_id: WorkerId,
    /// The limit for tasks without one of their own (`WORKER_TASK_TIMEOUT`).
    pub(crate) time_limit: Option<Duration>,
    /// Whether undeclared events are refused (`STRICT_EVENT_VALIDATION`).
    pub(crate) strict_events: bool,
    /// Whether orchestrators of the older generation can be told about progress (`WORKER_ENABLE_WEBSOCKETS`).
    pub(crate) websockets: bool,
}

/// Runs the tasks that arrive, whichever orchestrator they come from.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) settings: ExecutionSettings,
    pub(crate) router: Router,
    pub(crate) running: Arc<Running>,
    /// Tasks until their results are handed in.
    pub(crate) tasks: TaskTracker,
    pub(crate) threads: Arc<BlockingThreads>,
    pub(crate) files: Arc<Files>,
    pub(crate) hot_cache: Arc<HotCache>,
    pub(crate) changes: Arc<HeartbeatTrigger>,
    pub(crate) counts: Counts,
    pub(crate) trust: Trust,
}

struct Execution {
    executor: Arc<Executor>,
    origin: Arc<Origin>,
    cancel: Arc<CancelHandle>,
    /// When its handler, or its first layer, began; not before the task had its place.
    began: OnceLock<Instant>,
    files: TaskFiles,
}

/// A task that was run.
struct Ran {
    outcome: Outcome,
    /// The metadata of the files that were uploaded, by their paths in the data.
    uploaded: MetadataByPath,
}

impl From<Outcome> for Ran {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, uploaded: MetadataByPath::new() }
    }
}

/// What is left of a task once its outcome is known.
enum Left {
    Nothing,
    /// A blocking handler that did not stop; its slot stays taken until it does.
    Thread(Arc<RunPermit>, futures_util::future::BoxFuture<'static, Ran>),
}

impl Execution {
    async fn run(self, task: Task, slot: Slot) {
        let (task_id, job_id, name) = (task.task_id.clone(), task.job_id.clone(), task.name.clone());
        // What a handler leaves behind can panic when it is dropped: the task still has to be answered.
        let (ran, left) = AssertUnwindSafe(self.outcome(task, slot))
            .catch_unwind()
            .await
            .unwrap_or_else(|payload| (panicked(panic_message(&*payload)).into(), Left::Nothing));
        let Ran { outcome, uploaded } = ran;
        let duration = self.began.get().map_or(Duration::ZERO, Instant::elapsed);
        let known = self.executor.router.get(&name).map(|_| name.as_str());
        self.executor.counts.task_ended(known, &outcome, duration);
        let name = name.shown();
        if let Outcome::Failed(error) = &outcome {
            let (code, message) = (error.code().as_str(), masked(error.message()));
            tracing::warn!(task = %name, outcome = code, ?duration, "task ended: {message}");
        } else {
            tracing::info!(task = %name, outcome = outcome.label(), ?duration, "task ended");
        }
        self.finish_progress(&task_id).await;
        let mut result =
            report::result(&self.executor.settings.worker_id, job_id, task_id.clone(), outcome, duration);
        if result.data.is_some() {
            result.data_metadata = uploaded;
        }
        let belongings = self.files.directory_guard();
        // The claim of the task stays until its result is kept: one that is delivered again meanwhile is not run.
        self.origin.delivery.push(&result, belongings.clone()).await;
        self.executor.running.end(self.origin.orchestrator, &task_id);
        self.executor.changes.on_change();
        if let Left::Thread(place, handler) = left {
            tracing::error!(task = %name, "the handler does not stop: its slot stays taken until it does");
            handler.await;
            drop(place);
            tracing::info!(task = %name, "the handler that did not stop has ended");
            self.executor.changes.on_change();
            // What it still read or wrote was there until now, and may have been made only now.
            drop(belongings.or_else(|| self.files.directory_guard()));
        }
    }

    /// Waits until the task's progress is sent; while the worker ends, hardly.
    async fn finish_progress(&self, task_id: &TaskId) {
        let progress = &self.origin.progress;
        if !self.executor.running.is_closed() {
            return progress.finish(task_id).await;
        }
        if tokio::time::timeout(LAST_FLUSH_LIMIT, progress.finish(task_id)).await.is_err() {
            tracing::warn!("the last progress could not be sent before the result");
            progress.forget(task_id);
        }
    }

    async fn outcome(&self, task: Task, slot: Slot) -> (Ran, Left) {
        let Some(route) = self.executor.router.get(&task.name).cloned() else {
            let message = format!("this worker has no task named `{}`", task.name);
            return (Outcome::failure(ErrorCode::Permanent, message).into(), Left::Nothing);
        };
        let deadline = task.deadline.map(until_deadline);
        if deadline == Some(Duration::ZERO) {
            let error = TaskError::timeout("the task's deadline has passed");
            return (Outcome::Failed(error).into(), Left::Nothing);
        }
        let deadline = deadline.map(|left| Instant::now() + left);
        let mut place = slot.admit(route.group, task.priority);
        if place.must_wait() {
            tracing::debug!("waits for its limit group");
            self.origin.delivery.record_task(&task, false).await;
            tokio::select! {
                biased;
                () = place.started() => {}
                cause = self.cancel.caused() => return (cause.outcome().into(), Left::Nothing),
                () = until(deadline) => return (Cause::Deadline.outcome().into(), Left::Nothing),
            }
        }
        self.handle(task, &route, place, deadline).await
    }

    async fn handle(
        &self,
        task: Task,
        route: &Route,
        place: RunPermit,
        deadline: Option<Instant>,
    ) -> (Ran, Left) {
        self.origin.delivery.record_task(&task, true).await;
        if let Some(cause) = self.cancel.cause() {
            return (cause.outcome().into(), Left::Nothing);
        }
        // While it waited the runtime may have been blocked, and the deadline missed by what begins here.
        if deadline.is_some_and(|at| at <= Instant::now()) {
            return (Cause::Deadline.outcome().into(), Left::Nothing);
        }
        tracing::info!(task = %task.name.shown(), "task started");
        self.began.get_or_init(Instant::now);
        let place = Arc::new(place);
        let limit = route.time_limit.or(self.executor.settings.time_limit);
        // One that the clock cannot express is as good as none.
        let limited = limit.and_then(|limit| Instant::now().checked_add(limit));
        let context = self.context(&task, route, &place);
        let mut handler: futures_util::future::BoxFuture<'static, Ran> =
            Box::pin(with_files(task, context.clone(), route.service.clone()));
        let cause = tokio::select! {
            biased;
            ran = &mut handler => {
                if context.is_on_thread() {
                    tracing::info!("given up by a layer: the handler is told, and its slot stays taken until it ends");
                }
                return (self.first_of(&context, ran), Left::Nothing);
            }
            cause = self.cancel.caused() => cause,
            () = until(deadline) => Cause::Deadline,
            () = until(limited) => Cause::TimeLimit(limit.unwrap_or_default()),
        };
        let cause = self.cancel.cancel(cause);
        // An async handler ends where it waits; one on a thread of its own can only be asked to.
        let grace = match (context.is_on_thread(), context.ended_in_time()) {
            (true, _) => BLOCKING_GRACE,
            (false, true) => ENDED_GRACE,
            (false, false) => return (cause.outcome().into(), Left::Nothing),
        };
        match tokio::time::timeout(grace, &mut handler).await {
            Ok(ran) => (self.first_of(&context, ran), Left::Nothing),
            Err(_) if context.is_on_thread() => (cause.outcome().into(), Left::Thread(place, handler)),
            Err(_) => (cause.outcome().into(), Left::Nothing),
        }
    }

    /// What counts of a handler that has ended: a blocking one may have ended because it was told to stop, or just
    /// before.
    fn first_of(&self, context: &TaskContext, ran: Ran) -> Ran {
        match self.cancel.cause() {
            Some(cause) if !context.ended_in_time() => cause.outcome().into(),
            _ => ran,
        }
    }

    fn context(&self, task: &Task, route: &Route, place: &Arc<RunPermit>) -> TaskContext {
        // The older generation hears of progress over a websocket only.
        let is_heard = self.origin.peer.generation().accepts_events() || self.executor.settings.websockets;
        if is_heard {
            self.origin.progress.begin(&task.task_id);
        }
        TaskContext::new(ContextParts {
            task_id: task.task_id.clone(),
            job_id: task.job_id.clone(),
            name: task.name.clone(),
            priority: task.priority,
            tracing_context: task.tracing_context.clone(),
            deadline: task.deadline,
            cancelled: self.cancel.token().clone(),
            threads_used: std::sync::atomic::AtomicUsize::new(0),
            ended_in_time: std::sync::atomic::AtomicBool::new(false),
            place: Arc::downgrade(place),
            scope: TaskScope {
                threads: self.executor.threads.clone(),
                files: self.files.clone(),
                hot_cache: self.executor.hot_cache.clone(),
                changes: self.executor.changes.clone(),
                events: route.events.clone(),
                strict_events: self.executor.settings.strict_events,
                progress: is_heard.then(|| self.origin.progress.clone()),
            },
        })
    }
}

/// Runs a handler between the coming of its files and their going.
async fn with_files(task: Task, context: TaskContext, service: TaskService) -> Ran {
    let files = context.files().clone();
    let params = match files.fetch_inputs(task.params, &task.params_metadata).await {
        Ok(params) => params,
        Err(error) => return Outcome::Failed(error.to_task_error()).into(),
    };
    let outcome = match service.oneshot(TaskRequest::new(params, context.clone())).await {
        Ok(outcome) => outcome,
        Err(never) => match never {},
    };
    // What a handler gave that was told to stop before it ended is not reported, and so nothing of it goes.
    if context.is_cancelled() && !context.ended_in_time() {
        return outcome.into();
    }
    let (status, data) = match outcome {
        Outcome::Completed { status, data: Some(data) } => (status, data),
        outcome => return outcome.into(),
    };
    match files.send_outputs(data).await {
        Ok((data, uploaded)) => Ran { outcome: Outcome::Completed { status, data: Some(data) }, uploaded },
        Err(error) => Outcome::Failed(error.to_task_error()).into(),
    }
}

/// How long until an absolute time in Unix seconds.
fn until_deadline(deadline: f64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    // Further away than a month is as good as never, and would overflow timers.
    Duration::from_secs_f64((deadline - now).clamp(0.0, 31.0 * 86_400.0))
}

#[cfg(test)]
pub(crate) mod tests;
