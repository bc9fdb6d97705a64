//! What is known of a task while it runs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rxon::{JobId, TaskId, TaskName};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::capacity::changes::Changes;
use crate::capacity::hot_cache::HotCache;
use crate::capacity::slots::Place;
use crate::files::TaskFiles;
use crate::task::events::{EventError, EventSchemas};
use crate::task::extract::{FromTaskParts, TaskParts};
use crate::task::outcome::{IntoOutcome, Outcome, TaskError, panicked};
use crate::task::outside::Outside;
use crate::task::progress::{NewEvent, ProgressBoard};
use crate::threads::blocking::{BlockingThreads, ThreadError};

/// Ids, priority, deadline, cancellation, progress and hot cache of one task. Cheap to clone.
///
/// Its token is the task's own, or, for a handler on a thread, a child of it.
#[derive(Clone)]
pub struct TaskContext(Arc<ContextParts>, CancellationToken);

/// What a context is made of.
pub(crate) struct ContextParts {
    pub(crate) task_id: TaskId,
    pub(crate) job_id: JobId,
    pub(crate) name: TaskName,
    pub(crate) priority: f64,
    pub(crate) tracing_context: BTreeMap<String, String>,
    pub(crate) deadline: Option<f64>,
    pub(crate) cancelled: CancellationToken,
    /// How many threads work for it now.
    pub(crate) threads_used: AtomicUsize,
    /// A handler on a thread has ended, and had not been told to stop before.
    pub(crate) ended_in_time: AtomicBool,
    /// Its right to run, for as long as it does: a context may be kept for longer.
    pub(crate) place: Weak<Place>,
    pub(crate) scope: TaskScope,
}

/// The parts of the worker that a task may reach.
#[derive(Clone)]
pub(crate) struct TaskScope {
    pub(crate) threads: Arc<BlockingThreads>,
    pub(crate) files: TaskFiles,
    pub(crate) hot_cache: Arc<HotCache>,
    pub(crate) changes: Arc<Changes>,
    /// What the task's events are checked by.
    pub(crate) events: Arc<EventSchemas>,
    /// Events that are not declared are refused, where others are.
    pub(crate) strict_events: bool,
    /// None where nobody listens: then progress costs nothing.
    pub(crate) progress: Option<Arc<ProgressBoard>>,
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TaskContext")
            .field("task_id", &self.0.task_id)
            .field("job_id", &self.0.job_id)
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

impl TaskContext {
    pub(crate) fn new(parts: ContextParts) -> Self {
        let token = parts.cancelled.clone();
        Self(Arc::new(parts), token)
    }

    /// What tells it to stop.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.1
    }

    /// The same task, for a handler that is to run on a thread.
    pub(crate) fn for_thread(&self) -> Self {
        Self(self.0.clone(), self.1.child_token())
    }

    /// The task's own id. A retry by the orchestrator has a new one.
    pub fn task_id(&self) -> &TaskId {
        &self.0.task_id
    }

    /// The job it belongs to.
    pub fn job_id(&self) -> &JobId {
        &self.0.job_id
    }

    /// The name its handler is registered under.
    pub fn name(&self) -> &TaskName {
        &self.0.name
    }

    /// Higher is more urgent; 0 when the orchestrator gave none.
    pub fn priority(&self) -> f64 {
        self.0.priority
    }

    /// The W3C trace context the orchestrator sent: `traceparent` and others.
    pub fn tracing_context(&self) -> &BTreeMap<String, String> {
        &self.0.tracing_context
    }

    /// When the result stops being of use.
    pub fn deadline(&self) -> Option<SystemTime> {
        // A deadline beyond what the clock can express is as good as none.
        let since = Duration::try_from_secs_f64(self.0.deadline?.max(0.0)).ok()?;
        UNIX_EPOCH.checked_add(since)
    }

    /// Whether the task was told to stop. An async handler ends at its next `await` by itself; a blocking one is to
    /// look here now and then.
    pub fn is_cancelled(&self) -> bool {
        self.1.is_cancelled()
    }

    /// Completes when the task is told to stop.
    pub async fn cancelled(&self) {
        self.1.cancelled().await;
    }

    /// Tells how far it is: from 0.0 to 1.0, clamped, and a few words for people.
    ///
    /// At most 10 in any one second are sent: the first 10 at once, of the others the newest. The last is always
    /// sent, before the result. Where the orchestrator has no way to be told, it does nothing.
    pub fn send_progress(&self, progress: f64, message: impl Into<String>) {
        if let Some(board) = &self.0.scope.progress {
            let progress = if progress.is_nan() { 0.0 } else { progress.clamp(0.0, 1.0) };
            board.report(&self.0.task_id, &self.0.job_id, progress, message.into());
        }
    }

    /// Tells the orchestrator of something that happened in the task, under a name of yours.
    ///
    /// - **Sent** over the websocket or by a request, in order, all before the task's result; tried twice. What becomes
    ///   of it there (a transition of the job, a webhook) is the orchestrator's business; a refusal is a warning in the
    ///   log. Events are known to the newer generation of orchestrators (1.0b17 on) only; towards the older they are
    ///   checked, and dropped.
    /// - **Payload**: anything that becomes a JSON object.
    ///
    /// # Errors
    /// [`EventError`] when the type is empty, longer than 128 characters or `progress`; when the payload is no object
    /// or does not fit the schema that [`TaskOptions::event`](crate::TaskOptions::event) gave; when 100 of the task's
    /// events wait already. With `?` the task fails with a `TRANSIENT_ERROR`.
    pub fn send_event(&self, event_type: &str, payload: impl Serialize) -> Result<(), EventError> {
        self.send_event_with_priority(event_type, payload, 0.0)
    }

    /// As [`send_event`](Self::send_event); higher is more urgent, and what is not finite counts as 0.
    ///
    /// # Errors
    /// As [`send_event`](Self::send_event).
    pub fn send_event_with_priority(
        &self,
        event_type: &str,
        payload: impl Serialize,
        priority: f64,
    ) -> Result<(), EventError> {
        let (parts, scope) = (&self.0, &self.0.scope);
        let payload = scope.events.check(event_type, &payload, scope.strict_events)?;
        let Some(board) = &scope.progress else { return Ok(()) };
        let event = NewEvent {
            event_type: event_type.to_owned(),
            payload,
            priority: if priority.is_finite() { priority } else { 0.0 },
            trace_context: parts.tracing_context.clone(),
        };
        if board.event(&parts.task_id, &parts.job_id, event) {
            Ok(())
        } else {
            Err(EventError::TooMany(event_type.to_owned()))
        }
    }

    /// The task's files.
    pub fn files(&self) -> &TaskFiles {
        &self.0.scope.files
    }

    /// Says that a model is loaded now. Reported with the next heartbeat.
    pub fn add_to_hot_cache(&self, model: impl Into<String>) {
        self.0.scope.hot_cache.add(model.into());
    }

    /// Says that a model is no longer loaded.
    pub fn remove_from_hot_cache(&self, model: &str) {
        self.0.scope.hot_cache.remove(model);
    }

    /// Hands the task to something that the runtime does not run, and that ends by itself only: another language's event
    /// loop. The future completes with the outcome it is [finished](Outside::finish) with; dropped, it tells it to stop.
    ///
    /// Until it has ended the task keeps its slot. Told to stop, it has 5 s; then the task is reported without it.
    ///
    /// ```
    /// use avtomatika_worker::prelude::*;
    ///
    /// let builder = Worker::builder().task("elsewhere", async |context: TaskContext| {
    ///     let (outside, outcome) = context.outside();
    ///     std::thread::spawn(move || outside.finish(Outcome::success()));
    ///     outcome.await
    /// });
    /// # let _: avtomatika_worker::WorkerBuilder = builder;
    /// ```
    pub fn outside(&self) -> (Outside, impl Future<Output = Outcome> + Send + use<>) {
        Outside::begin(self.for_thread())
    }

    /// Runs a function on a thread; `self` is [`for_thread`](Self::for_thread).
    pub(crate) async fn run_blocking(&self, work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
        let on_thread = OnThread::begin(self);
        // A layer that gives it up drops this: then it is to stop, although the task may go on.
        let given_up = self.1.clone().drop_guard();
        let returned = self
            .0
            .scope
            .threads
            .run(move || {
                let outcome = work();
                on_thread.ended();
                outcome
            })
            .await;
        given_up.disarm();
        returned.unwrap_or_else(|error| match error {
            ThreadError::Panicked(message) => panicked(&message),
            ThreadError::Unavailable(error) => {
                TaskError::resource_exhausted(format!("no thread for the handler: {error}")).into_outcome()
            }
            ThreadError::Lost => TaskError::transient("the handler's thread was lost").into_outcome(),
        })
    }

    /// Whether a blocking handler ended before the task was told to stop: then its outcome counts.
    pub(crate) fn ended_in_time(&self) -> bool {
        self.0.ended_in_time.load(Ordering::Relaxed)
    }

    /// Whether a blocking handler is under way, which cannot be interrupted.
    pub(crate) fn is_on_thread(&self) -> bool {
        self.0.threads_used.load(Ordering::Relaxed) > 0
    }
}

/// A handler on a thread, or elsewhere outside of the runtime, until it ends: whoever waits for it may give it up before.
pub(super) struct OnThread {
    parts: Arc<ContextParts>,
    place: Option<Arc<Place>>,
}

impl OnThread {
    pub(super) fn begin(context: &TaskContext) -> Self {
        let parts = context.0.clone();
        parts.threads_used.fetch_add(1, Ordering::Relaxed);
        let place = parts.place.upgrade();
        Self { parts, place }
    }

    /// It has ended by itself: its outcome counts, unless it was told to stop before.
    pub(super) fn ended(self) {
        self.parts.ended_in_time.store(!self.parts.cancelled.is_cancelled(), Ordering::Relaxed);
    }
}

impl Drop for OnThread {
    fn drop(&mut self) {
        let parts = &self.parts;
        parts.threads_used.fetch_sub(1, Ordering::Relaxed);
        // Whoever is the last to hold it gives it back.
        if let Some(place) = self.place.take().and_then(Arc::into_inner) {
            drop(place);
            parts.scope.changes.happened();
            let (task_id, job_id) = (parts.task_id.shown(), parts.job_id.shown());
            tracing::info!(%task_id, %job_id, task = %parts.name, "the handler has ended, and its slot is free");
        }
    }
}

impl<S: Sync> FromTaskParts<S> for TaskContext {
    type Rejection = Infallible;

    async fn from_task_parts(parts: &mut TaskParts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.context.clone())
    }
}
