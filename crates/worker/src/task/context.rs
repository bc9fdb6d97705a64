//! A running task as its handler sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rxon::model::Progress;
use rxon::{JobId, TaskId, TaskName};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::capacity::hot_cache::HotCache;
use crate::capacity::slots::RunPermit;
use crate::files::TaskFiles;
use crate::peer::Peer;
use crate::task::calls::{self, SkillCall, SkillCallError};
use crate::task::events::{EventError, EventOptions, EventSchemas};
use crate::task::outcome::{IntoOutcome, Outcome, TaskError, panicked};
use crate::task::progress::{NewEvent, ProgressBoard, ReportContent, ReportsOfTask};
use crate::threads::blocking::{BlockingThreads, ThreadError};

/// The ids, priority, deadline, cancellation, progress and hot cache of one task. Cheap to clone.
// The token is that of a handler on a thread: a child of the task's own, which counts without it.
#[derive(Clone)]
pub struct TaskContext(Arc<ContextParts>, Option<CancellationToken>);

/// The task, its state, and the parts of the worker that it may reach.
pub(crate) struct ContextParts {
    pub(crate) task_id: TaskId,
    pub(crate) job_id: JobId,
    pub(crate) name: TaskName,
    pub(crate) priority: f64,
    pub(crate) tracing_context: BTreeMap<String, String>,
    pub(crate) deadline: Option<f64>,
    pub(crate) metadata: Option<Box<RawValue>>,
    pub(crate) security: Option<Box<RawValue>>,
    /// The orchestrator that the task came from.
    pub(crate) peer: Arc<Peer>,
    pub(crate) cancelled: CancellationToken,
    /// The number of threads that run its handler now.
    pub(crate) threads_used: AtomicUsize,
    /// A handler on a thread has ended before the task was told to stop.
    pub(crate) ended_in_time: AtomicBool,
    /// The task's right to run. Weak, since a context may be kept after the task has ended.
    pub(crate) permit: Weak<RunPermit>,
    pub(crate) threads: Arc<BlockingThreads>,
    pub(crate) files: TaskFiles,
    pub(crate) hot_cache: Arc<HotCache>,
    pub(crate) heartbeat_trigger: Arc<HeartbeatTrigger>,
    /// The events that the task declares, which its events are checked against.
    pub(crate) events: Arc<EventSchemas>,
    /// Undeclared events are refused if the task declares any.
    pub(crate) strict_events: bool,
    /// `None` if no orchestrator can receive progress; then reporting it costs nothing.
    pub(crate) progress: Option<Arc<ProgressBoard>>,
    pub(crate) reports: ReportsOfTask,
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
        Self(Arc::new(parts), None)
    }

    /// The same task for a handler on a thread: its cancellation is a child of the task's.
    pub(crate) fn for_thread(&self) -> Self {
        Self(self.0.clone(), Some(self.token().child_token()))
    }

    fn token(&self) -> &CancellationToken {
        self.1.as_ref().unwrap_or(&self.0.cancelled)
    }

    /// The task's id. When the orchestrator dispatches the task again, it gives it a new id.
    pub fn task_id(&self) -> &TaskId {
        &self.0.task_id
    }

    /// The id of the job that the task belongs to.
    pub fn job_id(&self) -> &JobId {
        &self.0.job_id
    }

    /// The name that the handler is registered under.
    pub fn name(&self) -> &TaskName {
        &self.0.name
    }

    /// The priority: higher is more urgent; 0 if the orchestrator sent none.
    pub fn priority(&self) -> f64 {
        self.0.priority
    }

    /// The W3C trace context that the orchestrator sent: `traceparent` and others.
    pub fn tracing_context(&self) -> &BTreeMap<String, String> {
        &self.0.tracing_context
    }

    /// The time after which the result is of no use.
    #[doc(alias("timeout"))]
    pub fn deadline(&self) -> Option<SystemTime> {
        // A deadline beyond the range of the clock is the same as no deadline.
        let since = Duration::try_from_secs_f64(self.0.deadline?.max(0.0)).ok()?;
        UNIX_EPOCH.checked_add(since)
    }

    /// The metadata that the client gave the job: the text of a JSON object, byte by byte as sent. `None` if the
    /// orchestrator sent none.
    pub fn metadata(&self) -> Option<&str> {
        self.0.metadata.as_deref().map(RawValue::get)
    }

    /// The security context that the client gave the job: the text of a JSON object, byte by byte as sent. `None` if the
    /// orchestrator sent none. The worker does not check it.
    pub fn security(&self) -> Option<&str> {
        self.0.security.as_deref().map(RawValue::get)
    }

    /// Returns true once the task is told to stop. An async handler ends at its next `await` by itself; a blocking
    /// handler should check this regularly.
    #[doc(alias("abort", "revoke"))]
    pub fn is_cancelled(&self) -> bool {
        self.token().is_cancelled()
    }

    /// Completes when the task is told to stop.
    pub async fn cancelled(&self) {
        self.token().cancelled().await;
    }

    /// Reports the progress of the task: a number, clamped to 0.0 to 1.0, and a short message for people.
    ///
    /// At most 10 reports are sent in any one second: the first 10 at once, then only the newest of those that are
    /// waiting. The last report is always sent, before the result. If the orchestrator cannot receive progress, this
    /// does nothing.
    #[doc(alias("heartbeat", "update_state"))]
    pub fn send_progress(&self, progress: f64, message: impl Into<String>) {
        if let Some(board) = &self.0.progress {
            let progress = if progress.is_nan() { 0.0 } else { progress.clamp(0.0, 1.0) };
            let progress = Progress { progress, message: message.into() };
            let ContextParts { reports, task_id, job_id, .. } = &*self.0;
            board.add(reports, task_id, job_id, ReportContent::Progress(progress));
        }
    }

    /// Sends an event of a type that you choose to the orchestrator.
    ///
    /// - **Delivery**: over the websocket or by a request, in order, and all before the task's result; each event is
    ///   tried twice. The orchestrator decides what the event causes there (a transition of the job, a webhook). If it
    ///   refuses the event, the worker logs a warning. Only the newer generation of orchestrators (1.0b17 and later)
    ///   knows events; for the older generation they are checked and dropped.
    /// - **Payload**: any value that serialises to a JSON object.
    ///
    /// # Errors
    /// [`EventError`] if the type is empty, longer than 128 characters, or `progress`; if the payload is not an object
    /// or does not fit the schema given to [`TaskOptions::event`](crate::TaskOptions::event); if 100 events of the task
    /// are waiting already. With `?` the task fails with a `TRANSIENT_ERROR`.
    pub fn send_event(&self, event_type: &str, payload: impl Serialize) -> Result<(), EventError> {
        self.send_event_with_priority(event_type, payload, 0.0)
    }

    /// Sends an event like [`send_event`](Self::send_event), with a priority: higher is more urgent. A priority that is
    /// not finite counts as 0.
    ///
    /// # Errors
    /// The same as of [`send_event`](Self::send_event).
    pub fn send_event_with_priority(
        &self,
        event_type: &str,
        payload: impl Serialize,
        priority: f64,
    ) -> Result<(), EventError> {
        self.send_event_with(event_type, payload, EventOptions::new().priority(priority))
    }

    /// Sends an event like [`send_event`](Self::send_event), with a priority, metadata, a signature made elsewhere, or
    /// the worker in which the event originated.
    ///
    /// # Errors
    /// The same as of [`send_event`](Self::send_event).
    pub fn send_event_with(
        &self,
        event_type: &str,
        payload: impl Serialize,
        options: EventOptions,
    ) -> Result<(), EventError> {
        let parts = &self.0;
        let payload = parts.events.check(event_type, &payload, parts.strict_events)?;
        let Some(board) = &parts.progress else { return Ok(()) };
        let event = NewEvent {
            event_type: event_type.to_owned(),
            payload,
            trace_context: parts.tracing_context.clone(),
            options,
        };
        let event = ReportContent::Event(Box::new(event));
        let is_accepted = board.add(&parts.reports, &parts.task_id, &parts.job_id, event);
        is_accepted.then_some(()).ok_or_else(|| EventError::TooMany(event_type.to_owned()))
    }

    /// Asks the orchestrator that the task came from to run a skill on another worker, and waits for the answer: the
    /// JSON text that the orchestrator returns, as a rule an object with `status` and `data`.
    ///
    /// The call takes at most 60 s, and ends when the task is told to stop. None of the known orchestrators (1.0b12,
    /// 1.0b30) offers such calls: they answer with 404.
    ///
    /// # Errors
    /// [`SkillCallError`] if the parameters are not a JSON object, or the orchestrator refuses or does not answer.
    pub async fn call_skill(
        &self,
        name: &str,
        params: impl Serialize,
    ) -> Result<Box<RawValue>, SkillCallError> {
        self.clone().finish_skill_call(calls::body(name, &params)?).await
    }

    /// Begins a [call of a skill](Self::call_skill) on the runtime and returns at once, for handlers that block and for
    /// packages in other languages. Must be called while the worker runs.
    ///
    /// # Errors
    /// [`SkillCallError`] if the parameters are not a JSON object.
    pub fn begin_skill_call(&self, name: &str, params: impl Serialize) -> Result<SkillCall, SkillCallError> {
        let body = calls::body(name, &params)?;
        Ok(SkillCall::begin(self.0.files.runtime(), self.clone().finish_skill_call(body)))
    }

    async fn finish_skill_call(self, body: Bytes) -> Result<Box<RawValue>, SkillCallError> {
        tokio::select! {
            biased;
            answer = calls::call(&self.0.peer, body) => answer,
            () = self.cancelled() => Err(SkillCallError::Cancelled),
        }
    }

    /// The task's files.
    pub fn files(&self) -> &TaskFiles {
        &self.0.files
    }

    /// Adds a model to the hot cache, the set of models that are loaded. The next heartbeat reports it.
    pub fn add_to_hot_cache(&self, model: impl Into<String>) {
        self.0.hot_cache.add(model.into());
    }

    /// Removes a model from the hot cache: it is no longer loaded.
    pub fn remove_from_hot_cache(&self, model: &str) {
        self.0.hot_cache.remove(model);
    }

    /// Hands the task to code outside the runtime that only ends by itself, such as the event loop of another language.
    /// The future completes with the outcome given to [`Outside::finish`]; if the future is dropped, that code is told to
    /// stop.
    ///
    /// The task keeps its slot until that code has ended. When it is told to stop, it has 5 s; after that the task's
    /// result is reported without it.
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
        let context = self.for_thread();
        let (sender, receiver) = oneshot::channel();
        // Dropping the future tells the code outside to stop.
        let abandoned = context.token().clone().drop_guard();
        let outcome = async move {
            let outcome = receiver.await;
            abandoned.disarm();
            outcome.unwrap_or_else(|_| Outcome::Failed(TaskError::transient("the handler was lost")))
        };
        (Outside { running: OnThread::begin(&context), context, sender }, outcome)
    }

    /// Runs a function on a thread; `self` is [`for_thread`](Self::for_thread).
    pub(crate) async fn run_blocking(&self, work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
        let on_thread = OnThread::begin(self);
        // A layer that abandons the handler drops this future: the handler must stop, although the task may go on.
        let abandoned = self.token().clone().drop_guard();
        let work = move || {
            let outcome = work();
            on_thread.ended();
            outcome
        };
        let returned = self.0.threads.run(work).await;
        abandoned.disarm();
        returned.unwrap_or_else(|error| match error {
            ThreadError::Panicked(message) => panicked(&message),
            ThreadError::Unavailable(error) => {
                TaskError::resource_exhausted(format!("no thread for the handler: {error}")).into_outcome()
            }
        })
    }

    /// Ends the reports of a task that has none, so that later ones are ignored. Returns false if it has some.
    pub(crate) fn reports_nothing_more(&self) -> bool {
        self.0.progress.is_none() || self.0.reports.end_quiet()
    }

    /// Waits until the task's reports are sent, 2 s at most; later ones are ignored.
    pub(crate) async fn finish_reports(&self) {
        if let Some(board) = &self.0.progress {
            board.finish(&self.0.reports, &self.0.task_id).await;
        }
    }

    /// Drops the task's reports that are not sent.
    pub(crate) fn forget_reports(&self) {
        if let Some(board) = &self.0.progress {
            board.forget(&self.0.reports, &self.0.task_id);
        }
    }

    /// Returns true if a blocking handler ended before the task was told to stop: then its outcome counts.
    pub(crate) fn ended_in_time(&self) -> bool {
        self.0.ended_in_time.load(Ordering::Relaxed)
    }

    /// Returns true while a blocking handler, which cannot be interrupted, is running.
    pub(crate) fn is_on_thread(&self) -> bool {
        self.0.threads_used.load(Ordering::Relaxed) > 0
    }
}

/// A handler on a thread, or elsewhere outside the runtime, until it ends. The task may stop waiting for it before that.
struct OnThread {
    parts: Arc<ContextParts>,
    permit: Option<Arc<RunPermit>>,
}

impl OnThread {
    fn begin(context: &TaskContext) -> Self {
        let parts = context.0.clone();
        parts.threads_used.fetch_add(1, Ordering::Relaxed);
        let permit = parts.permit.upgrade();
        Self { parts, permit }
    }

    /// Records that the handler has ended by itself: its outcome counts unless the task was told to stop before.
    fn ended(self) {
        self.parts.ended_in_time.store(!self.parts.cancelled.is_cancelled(), Ordering::Relaxed);
    }
}

impl Drop for OnThread {
    fn drop(&mut self) {
        let parts = &self.parts;
        parts.threads_used.fetch_sub(1, Ordering::Relaxed);
        // The last holder releases the permit.
        if let Some(permit) = self.permit.take().and_then(Arc::into_inner) {
            drop(permit);
            parts.heartbeat_trigger.on_change();
            let (task_id, job_id) = (parts.task_id.shown(), parts.job_id.shown());
            tracing::info!(%task_id, %job_id, task = %parts.name, "the handler has ended, and its slot is free");
        }
    }
}

/// A task that code outside the runtime runs. Made by [`TaskContext::outside`]. If it is dropped before it is finished,
/// the task fails.
#[must_use = "dropped, it fails the task"]
pub struct Outside {
    context: TaskContext,
    running: OnThread,
    sender: oneshot::Sender<Outcome>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Outside").field(&self.context).finish()
    }
}

impl Outside {
    /// The task as the handler sees it; its [`is_cancelled`](TaskContext::is_cancelled) returns true once the handler
    /// must stop.
    pub fn context(&self) -> &TaskContext {
        &self.context
    }

    /// Ends the handler. Its outcome counts unless the task was told to stop before. Never blocks.
    pub fn finish(self, outcome: Outcome) {
        self.running.ended();
        // The receiver is gone if the task no longer waits for the handler.
        let _ = self.sender.send(outcome);
    }
}
