//! The life of a task, from its arrival to its result.
//!
//! ```text
//! arrival -> (duplicate: dropped, or its result is sent again)
//!         -> turn in its limit group -> arguments, layers, handler -> outcome -> result
//!            \____ may be told to stop: by a command, a time limit, a shutdown ____/
//! ```

mod arrival;
mod cancel;
pub(crate) mod counts;
mod result;
mod router;
pub(crate) mod running;
mod trust;
mod unknown;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rxon::WorkerId;
use rxon::limit::within;
use rxon::model::Task;
use rxon::secrets::{Secrets, masked};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

pub(crate) use cancel::{CancelHandle, Cause};
use result::{EndedTask, is_empty_object};
pub(crate) use router::{Route, Router};
pub(crate) use trust::Trust;
pub(crate) use unknown::UnknownTasks;

use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::capacity::hot_cache::HotCache;
use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::capacity::slots::{RunPermit, Slot};
use crate::delivery::Delivery;
use crate::execution::counts::Counts;
use crate::execution::running::Running;
use crate::files::{Files, MetadataByPath, TaskFiles};
use crate::peer::Peer;
use crate::task::context::{ContextParts, TaskContext};
use crate::task::extract::TaskRequest;
use crate::task::handler::TaskService;
use crate::task::outcome::{Outcome, panicked};
use crate::task::progress::{ProgressBoard, ReportsOfTask};
use crate::threads::blocking::BlockingThreads;
use crate::threads::{panic_message, until};

/// The time for a blocking handler to notice that it was told to stop.
const BLOCKING_GRACE: Duration = Duration::from_secs(5);

/// The time for the outcome of a blocking handler that has just ended to arrive.
const ENDED_GRACE: Duration = Duration::from_millis(100);

/// The time for the last progress of a task to be sent before its result, while the worker ends.
const LAST_FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// The orchestrator that a task came from, and the way back to it for progress and results.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) orchestrator: OrchestratorIndex,
    pub(crate) peer: Arc<Peer>,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) progress: Arc<ProgressBoard>,
    /// Keeps the secrets of the configuration masked in logs for as long as anything can log text from a server.
    pub(crate) _secrets: Arc<Secrets>,
}

/// Runs the tasks that arrive from all orchestrators.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) worker_id: WorkerId,
    /// The limit for tasks without one of their own (`WORKER_TASK_TIMEOUT`).
    pub(crate) time_limit: Option<Duration>,
    /// Whether undeclared events are refused (`STRICT_EVENT_VALIDATION`).
    pub(crate) strict_events: bool,
    /// Whether orchestrators of the older generation can be told about progress (`WORKER_ENABLE_WEBSOCKETS`).
    pub(crate) websockets: bool,
    pub(crate) router: Arc<Router>,
    pub(crate) running: Arc<Running>,
    /// Tracks tasks until their results are handed over to the delivery.
    pub(crate) tasks: TaskTracker,
    pub(crate) threads: Arc<BlockingThreads>,
    pub(crate) files: Arc<Files>,
    pub(crate) hot_cache: Arc<HotCache>,
    pub(crate) heartbeat_trigger: Arc<HeartbeatTrigger>,
    pub(crate) counts: Counts,
    pub(crate) trust: Trust,
    pub(crate) unknown: UnknownTasks,
}

struct Execution {
    executor: Arc<Executor>,
    origin: Arc<Origin>,
    /// `None` if no handler is registered for the task.
    route: Option<Arc<Route>>,
    cancel: Arc<CancelHandle>,
    /// Set at the start of its handler, or of the first layer.
    begun: OnceLock<Begun>,
    files: TaskFiles,
}

/// The start of a task's handler, and its context.
struct Begun {
    at: Instant,
    context: TaskContext,
}

/// A task that was run.
struct Ran {
    outcome: Outcome,
    /// The metadata of the uploaded files, by their paths in the data.
    uploaded: MetadataByPath,
    leftover: Option<Leftover>,
}

/// A blocking handler that did not stop. Its slot stays taken until it does.
struct Leftover {
    permit: Arc<RunPermit>,
    handler: BoxFuture<'static, Ran>,
}

impl From<Outcome> for Ran {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, uploaded: MetadataByPath::new(), leftover: None }
    }
}

impl Execution {
    async fn run(self, task: Box<Task>, slot: Slot) {
        let executor = &self.executor;
        let name = task.name.clone();
        let ended = EndedTask {
            job_id: task.job_id.clone(),
            task_id: task.task_id.clone(),
            // Most tasks of the newer generation have an empty object.
            metadata: task.metadata.as_ref().filter(|metadata| !is_empty_object(metadata)).cloned(),
        };
        // The values that a handler leaves behind can panic when they are dropped: the task still has to be answered.
        let mut ran = AssertUnwindSafe(self.outcome(task, slot))
            .catch_unwind()
            .await
            .unwrap_or_else(|payload| panicked(panic_message(&*payload)).into());
        let leftover = ran.leftover.take();
        let duration = self.begun.get().map_or(Duration::ZERO, |begun| begun.at.elapsed());
        match &self.route {
            Some(route) => {
                executor.counts.task_ended(name.as_str(), &route.counters, &ran.outcome, duration);
            }
            None => executor.counts.unknown_task_ended(&ran.outcome, duration),
        }
        let seconds = duration.as_secs_f64();
        if let Outcome::Failed(error) = &ran.outcome {
            let code = error.code().as_str();
            tracing::warn!(
                task = %name.shown(), outcome = code, seconds, "task ended: {}", masked(error.message())
            );
        } else {
            tracing::info!(task = %name.shown(), outcome = ran.outcome.label(), seconds, "task ended");
        }
        self.finish_reports().await;
        let result = executor.result(ended, ran, duration);
        let belongings = self.files.directory_guard();
        // The task counts as running until its result is kept: if it is delivered again meanwhile, it is not run.
        self.origin.delivery.push(&result, belongings.clone()).await;
        executor.running.end(self.origin.orchestrator, &result.task_id);
        executor.heartbeat_trigger.on_change();
        if let Some(Leftover { permit, handler }) = leftover {
            tracing::error!(task = %name.shown(), "the handler does not stop: its slot stays taken until it does");
            handler.await;
            drop(permit);
            tracing::info!(task = %name.shown(), "the handler that did not stop has ended");
            executor.heartbeat_trigger.on_change();
            // The handler could use its directory until now, and may have made it only now.
            drop(belongings.or_else(|| self.files.directory_guard()));
        }
    }

    /// Waits until the task's progress is sent; while the worker ends, 500 ms at most.
    async fn finish_reports(&self) {
        let Some(Begun { context, .. }) = self.begun.get() else { return };
        if context.reports_nothing_more() {
            return;
        }
        // Boxed, since most tasks report nothing, and would be four times as large.
        let finish = Box::pin(async {
            if !self.executor.running.is_closed() {
                return context.finish_reports().await;
            }
            if within(LAST_FLUSH_LIMIT, context.finish_reports()).await.is_err() {
                tracing::warn!("the last progress could not be sent before the result");
                context.forget_reports();
            }
        });
        finish.await;
    }

    async fn outcome(&self, task: Box<Task>, slot: Slot) -> Ran {
        let Some(route) = self.route.as_deref() else {
            return Box::pin(self.without_handler(&task)).await.into();
        };
        let deadline = task.deadline.map(until_deadline);
        if deadline == Some(Duration::ZERO) {
            return Cause::Deadline.outcome().into();
        }
        let deadline = deadline.map(|left| Instant::now() + left);
        let mut permit = slot.admit(route.group, task.priority);
        if permit.must_wait() {
            // Boxed, as what else is rare here: every task's future would have room for it.
            if let Err(cause) = Box::pin(self.wait_for_group(&task, &mut permit, deadline)).await {
                return cause.outcome().into();
            }
        }
        self.handle(task, route, permit, deadline).await
    }

    async fn wait_for_group(
        &self,
        task: &Task,
        permit: &mut RunPermit,
        deadline: Option<Instant>,
    ) -> Result<(), Cause> {
        tracing::debug!("the task waits for its limit group");
        self.origin.delivery.record_task(task, false).await;
        tokio::select! {
            biased;
            () = permit.started() => Ok(()),
            cause = self.cancel.caused() => Err(cause),
            () = until(deadline) => Err(Cause::Deadline),
        }
    }

    /// The outcome of a task that no handler is registered for. A task of the newer generation waits with its slot.
    async fn without_handler(&self, task: &Task) -> Outcome {
        let unknown = &self.executor.unknown;
        let (code, delay) = unknown.on_arrival(self.origin.peer.generation(), Instant::now());
        tokio::select! {
            biased;
            cause = self.cancel.caused() => return cause.outcome(),
            () = unknown.stop.cancelled() => {}
            () = tokio::time::sleep(delay) => {}
        }
        Outcome::failure(code, format!("this worker has no task named `{}`", task.name))
    }

    async fn handle(
        &self,
        mut task: Box<Task>,
        route: &Route,
        permit: RunPermit,
        deadline: Option<Instant>,
    ) -> Ran {
        self.origin.delivery.record_task(&task, true).await;
        if let Some(cause) = self.cancel.cause() {
            return cause.outcome().into();
        }
        // If the runtime was blocked while the task waited, the deadline may have passed unnoticed.
        if deadline.is_some_and(|at| at <= Instant::now()) {
            return Cause::Deadline.outcome().into();
        }
        tracing::info!(task = %task.name.shown(), "task started");
        let permit = Arc::new(permit);
        let limit = route.time_limit.or(self.executor.time_limit);
        let context = self.context(&mut task, route, &permit);
        let begun = self.begun.get_or_init(|| Begun { at: Instant::now(), context: context.clone() });
        // A limit beyond the range of the clock never ends.
        let limited = limit.and_then(|limit| begun.at.checked_add(limit));
        // One timer for both.
        let (end, late) = match (deadline, limited) {
            (Some(deadline), limited) if limited.is_none_or(|limited| deadline <= limited) => {
                (Some(deadline), Cause::Deadline)
            }
            _ => (limited, Cause::TimeLimit(limit.unwrap_or_default())),
        };
        let mut handler: BoxFuture<'static, Ran> =
            Box::pin(with_files(task, context.clone(), route.service.clone()));
        let cause = tokio::select! {
            biased;
            ran = &mut handler => {
                if context.is_on_thread() {
                    tracing::info!(
                        "a layer gave the handler up: it is told to stop, and its slot stays taken until it ends"
                    );
                }
                return self.outcome_in_time(&context, ran);
            }
            cause = self.cancel.caused() => cause,
            () = until(end) => late,
        };
        let cause = self.cancel.cancel(cause);
        // An async handler ends at the point where it waits; a handler on its own thread can only be asked to.
        let grace = match (context.is_on_thread(), context.ended_in_time()) {
            (true, _) => BLOCKING_GRACE,
            (false, true) => ENDED_GRACE,
            (false, false) => return cause.outcome().into(),
        };
        if let Ok(ran) = Box::pin(tokio::time::timeout(grace, &mut handler)).await {
            return self.outcome_in_time(&context, ran);
        }
        let leftover = context.is_on_thread().then_some(Leftover { permit, handler });
        Ran { leftover, ..cause.outcome().into() }
    }

    /// The outcome of a handler that has ended, or that of the cause if the handler was told to stop before its end.
    fn outcome_in_time(&self, context: &TaskContext, ran: Ran) -> Ran {
        match self.cancel.cause() {
            Some(cause) if !context.ended_in_time() => cause.outcome().into(),
            _ => ran,
        }
    }

    fn context(&self, task: &mut Task, route: &Route, permit: &Arc<RunPermit>) -> TaskContext {
        // The older generation accepts progress over a websocket only.
        let is_heard = self.origin.peer.generation().accepts_events() || self.executor.websockets;
        TaskContext::new(ContextParts {
            task_id: task.task_id.clone(),
            job_id: task.job_id.clone(),
            name: task.name.clone(),
            priority: task.priority,
            tracing_context: std::mem::take(&mut task.tracing_context),
            deadline: task.deadline,
            metadata: task.metadata.take(),
            security: task.security.take(),
            peer: self.origin.peer.clone(),
            cancelled: self.cancel.token.clone(),
            threads_used: std::sync::atomic::AtomicUsize::new(0),
            ended_in_time: std::sync::atomic::AtomicBool::new(false),
            permit: Arc::downgrade(permit),
            threads: self.executor.threads.clone(),
            files: self.files.clone(),
            hot_cache: self.executor.hot_cache.clone(),
            heartbeat_trigger: self.executor.heartbeat_trigger.clone(),
            events: route.events.clone(),
            strict_events: self.executor.strict_events,
            progress: is_heard.then(|| self.origin.progress.clone()),
            reports: ReportsOfTask::default(),
        })
    }
}

/// Fetches the input files, runs the handler and sends the output files.
async fn with_files(task: Box<Task>, context: TaskContext, service: TaskService) -> Ran {
    let files = context.files();
    let Task { params, params_metadata, .. } = *task;
    let params = match files.fetch_inputs(params, &params_metadata).await {
        Ok(params) => params,
        Err(error) => return Outcome::Failed(error.to_task_error()).into(),
    };
    let mut outcome = match service.oneshot(TaskRequest::new(params, context.clone())).await {
        Ok(outcome) => outcome,
        Err(never) => match never {},
    };
    // The outcome of a handler that was told to stop before it ended is not reported, and so its files are not sent.
    if context.is_cancelled() && !context.ended_in_time() {
        return outcome.into();
    }
    let data = match &mut outcome {
        Outcome::Completed { data, .. } => Some(data),
        Outcome::Failed(error) => error.extras.as_mut().map(|extras| &mut extras.data),
        Outcome::Cancelled { .. } => None,
    };
    let Some((data, found)) = data.and_then(|data| data.take().map(|found| (data, found))) else {
        return outcome.into();
    };
    match files.send_outputs(found).await {
        Ok((sent, uploaded)) => {
            *data = Some(sent);
            Ran { outcome, uploaded, leftover: None }
        }
        Err(error) if outcome.error().is_some() => {
            tracing::warn!("the data of the failure is left out: {}", error.to_task_error());
            outcome.into()
        }
        Err(error) => Outcome::Failed(error.to_task_error()).into(),
    }
}

/// The time until a deadline in Unix seconds; zero if it has passed.
fn until_deadline(deadline: f64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    // At most a month: a time that is much further away would overflow timers.
    Duration::from_secs_f64((deadline - now).clamp(0.0, 31.0 * 86_400.0))
}

#[cfg(test)]
pub(crate) mod tests;
