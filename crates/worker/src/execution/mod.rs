//! One task's life: from its arrival to its outcome.
//!
//! ```text
//! arrival -> (duplicate: dropped, or its result sent again)
//!         -> place in its limit group -> arguments, layers, handler -> outcome -> result
//!            \________ told to stop: by command, by time, by shutdown ________/
//! ```

mod cancel;
mod report;
mod threads;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use rxon::model::{ErrorCode, Task};
use rxon::{JobId, TaskId};
use tokio::time::Instant;
use tower::ServiceExt;
use tracing::Instrument;

pub(crate) use cancel::{CancelHandle, Cause};
pub(crate) use threads::BlockingThreads;

use crate::core::Core;
use crate::delivery::Entry;
use crate::extract::{ContextParts, TaskContext, TaskRequest, TaskScope};
use crate::handler::{Outcome, TaskError};
use crate::middleware::catch_panic::panicked;
use crate::router::Route;
use crate::session::Session;
use crate::slots::{Place, Slot};

/// How long a blocking handler may take to notice that it is to stop.
const BLOCKING_GRACE: Duration = Duration::from_secs(5);

/// Takes a task that a poll brought. False when it is not new: nothing is run then.
pub(crate) fn accept(core: &Arc<Core>, session: &Arc<Session>, task: Task, slot: Slot) -> bool {
    for ignored in &task.ignored {
        tracing::warn!(task_id = %task.task_id, job_id = %task.job_id, "ignored: {ignored}");
    }
    if delivered_again(session, &task.job_id, &task.task_id) {
        return false;
    }
    let cancel = Arc::new(CancelHandle::default());
    if !core.running.begin(&task.task_id, &task.job_id, &session.peer.name, &cancel) {
        tracing::warn!(task_id = %task.task_id, job_id = %task.job_id, "delivered again while it runs: dropped");
        return false;
    }
    core.changes.happened();
    // At the level of errors, so that it is there for whatever is logged within.
    let span = tracing::error_span!("task", task_id = %task.task_id, job_id = %task.job_id);
    let execution = Execution { core: core.clone(), session: session.clone(), cancel, began: Instant::now() };
    core.tasks.spawn(execution.run(task, slot).instrument(span));
    true
}

/// Answers a task that cannot be read. False when it is not new: it was answered already.
pub(crate) fn refuse(
    core: &Core,
    session: &Arc<Session>,
    job_id: JobId,
    task_id: TaskId,
    problem: &str,
) -> bool {
    if core.running.holds(&task_id) {
        tracing::warn!(%task_id, %job_id, "delivered again while it runs, and malformed: dropped");
        return false;
    }
    if delivered_again(session, &job_id, &task_id) {
        return false;
    }
    let outcome = Outcome::Failed(TaskError::invalid_input(format!("malformed task: {problem}")));
    session.delivery.push(&report::result(core, job_id, task_id, outcome, Duration::ZERO));
    true
}

/// A task that ended lately is not run again: its result is what was asked for.
fn delivered_again(session: &Arc<Session>, job_id: &JobId, task_id: &TaskId) -> bool {
    let Some((seen, on_its_way)) = session.delivery.seen(task_id) else { return false };
    let newer = session.peer.generation() == rxon::model::Generation::Newer;
    if on_its_way {
        tracing::warn!(%task_id, %job_id, "delivered again: its result is on its way");
    } else if seen.acknowledged && !newer {
        tracing::warn!(%task_id, %job_id, "delivered again although its result was acknowledged: dropped");
    } else {
        tracing::warn!(%task_id, %job_id, "delivered again: its result is sent again");
        session.delivery.repeat(Entry {
            task_id: task_id.clone(),
            job_id: job_id.clone(),
            body: seen.body,
            is_replacement: false,
        });
    }
    true
}

struct Execution {
    core: Arc<Core>,
    session: Arc<Session>,
    cancel: Arc<CancelHandle>,
    began: Instant,
}

/// What is left of a task once its outcome is known.
enum Left {
    Nothing,
    /// A blocking handler that did not stop; its slot stays taken until it does.
    Thread(Place, futures_util::future::BoxFuture<'static, Outcome>),
}

impl Execution {
    async fn run(self, task: Task, slot: Slot) {
        let (task_id, job_id, name) = (task.task_id.clone(), task.job_id.clone(), task.name.clone());
        tracing::info!(task = %name, orchestrator = %self.session.peer.name, "task started");
        // What a handler leaves behind can panic when it is dropped: the task still has to be answered.
        let (outcome, left) = AssertUnwindSafe(self.outcome(task, slot))
            .catch_unwind()
            .await
            .unwrap_or_else(|payload| (panicked(&*payload), Left::Nothing));
        let duration = self.began.elapsed();
        if let Outcome::Failed(error) = &outcome {
            let (code, message) = (error.code().as_str(), error.message());
            tracing::warn!(task = %name, outcome = code, ?duration, "task ended: {message}");
        } else {
            tracing::info!(task = %name, outcome = outcome.label(), ?duration, "task ended");
        }
        self.session.progress.finish(&task_id).await;
        self.session.delivery.push(&report::result(&self.core, job_id, task_id.clone(), outcome, duration));
        self.core.running.end(&task_id);
        self.core.changes.happened();
        if let Left::Thread(place, handler) = left {
            tracing::error!(%task_id, task = %name, "the handler does not stop: its slot stays taken until it does");
            handler.await;
            drop(place);
            tracing::info!(%task_id, task = %name, "the handler that did not stop has ended");
            self.core.changes.happened();
        }
    }

    async fn outcome(&self, task: Task, slot: Slot) -> (Outcome, Left) {
        let Some(route) = self.core.router.get(&task.name).cloned() else {
            let message = format!("this worker has no task named `{}`", task.name);
            return (Outcome::failure(ErrorCode::Permanent, message), Left::Nothing);
        };
        let deadline = task.deadline.map(until_deadline);
        if deadline == Some(Duration::ZERO) {
            return (Outcome::Failed(TaskError::timeout("the task's deadline has passed")), Left::Nothing);
        }
        let deadline = deadline.map(|left| Instant::now() + left);
        let mut place = slot.admit(route.group, task.priority);
        if place.must_wait() {
            tracing::debug!(task_id = %task.task_id, "waits for its limit group");
            tokio::select! {
                biased;
                () = place.started() => {}
                cause = self.cancel.caused() => return (cause.outcome(), Left::Nothing),
                () = sleep_until(deadline) => return (Cause::Deadline.outcome(), Left::Nothing),
            }
        }
        self.handle(task, &route, place, deadline).await
    }

    async fn handle(
        &self,
        task: Task,
        route: &Route,
        place: Place,
        deadline: Option<Instant>,
    ) -> (Outcome, Left) {
        let limit = route.time_limit.or(self.core.config.worker_task_timeout);
        // One that the clock cannot express is as good as none.
        let limited = limit.and_then(|limit| Instant::now().checked_add(limit));
        let context = self.context(&task);
        let request = TaskRequest::new(task.params, context.clone());
        let service = route.service.clone();
        let mut handler: futures_util::future::BoxFuture<'static, Outcome> = Box::pin(async move {
            match service.oneshot(request).await {
                Ok(outcome) => outcome,
                Err(never) => match never {},
            }
        });
        let cause = tokio::select! {
            biased;
            // A blocking handler that saw that it is to stop may end before this is looked at: the cause was first.
            outcome = &mut handler => {
                return (self.cancel.cause().map_or(outcome, Cause::outcome), Left::Nothing);
            }
            cause = self.cancel.caused() => cause,
            () = sleep_until(deadline) => Cause::Deadline,
            () = sleep_until(limited) => Cause::TimeLimit(limit.unwrap_or_default()),
        };
        self.cancel.cancel(cause.clone());
        // An async handler ends where it waits; one on a thread of its own can only be asked to.
        if context.is_on_thread() && tokio::time::timeout(BLOCKING_GRACE, &mut handler).await.is_err() {
            return (cause.outcome(), Left::Thread(place, handler));
        }
        (cause.outcome(), Left::Nothing)
    }

    fn context(&self, task: &Task) -> TaskContext {
        let newer = self.session.peer.generation() == rxon::model::Generation::Newer;
        if newer {
            self.session.progress.begin(&task.task_id);
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
            scope: TaskScope {
                threads: self.core.threads.clone(),
                hot_cache: self.core.hot_cache.clone(),
                progress: newer.then(|| self.session.progress.clone()),
            },
        })
    }
}

/// How long until an absolute time in Unix seconds.
fn until_deadline(deadline: f64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    // Further away than a month is as good as never, and would overflow timers.
    Duration::from_secs_f64((deadline - now).clamp(0.0, 31.0 * 86_400.0))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
