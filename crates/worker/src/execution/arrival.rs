//! The arrival of a task: it is run if it is new, else its earlier result answers it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use rxon::model::{ErrorCode, Task};
use rxon::secrets::masked;
use rxon::{JobId, TaskId};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::{CancelHandle, EndedTask, Execution, Executor, Origin};
use crate::capacity::slots::Slot;
use crate::task::outcome::{Outcome, TaskError};
use crate::task::trace_parent::TraceParent;

impl Executor {
    /// Runs a task that a poll has returned now. Returns false if the task is not new: it is not run again.
    pub(crate) fn accept(
        self: &Arc<Self>,
        origin: &Arc<Origin>,
        task: Box<Task>,
        body: &[u8],
        slot: Slot,
        now: Instant,
    ) -> bool {
        if let Some(error) = self.trust.refusal(&task, body) {
            self.counts.not_run("untrusted");
            let Task { job_id, task_id, metadata, .. } = *task;
            return self.answer(origin, EndedTask { job_id, task_id, metadata }, error);
        }
        let span = span(origin, &task.task_id, &task.job_id);
        adopt_parent(&span, &task.tracing_context);
        let cancel = Arc::new(CancelHandle::default());
        let is_new = span.in_scope(|| {
            for ignored in &task.ignored {
                tracing::warn!("ignored: {ignored}");
            }
            self.claim(origin, &task.task_id, &task.job_id, &cancel)
        });
        if !is_new {
            return false;
        }
        self.heartbeat_trigger.on_change_at(now);
        let execution = Execution {
            executor: self.clone(),
            origin: origin.clone(),
            route: self.router.get(&task.name),
            cancel,
            begun: OnceLock::new(),
            files: self.files.of_task(&task.task_id),
        };
        // The runtime moves a future several times, and this one is large.
        self.tasks.spawn(Box::pin(execution.run(task, slot).instrument(span)));
        true
    }

    /// Answers a task that cannot be read. Returns false if the task is not new: it was answered before.
    pub(crate) fn refuse(&self, origin: &Arc<Origin>, job_id: JobId, task_id: TaskId, problem: &str) -> bool {
        self.counts.not_run("malformed");
        let error = TaskError::invalid_input(format!("malformed task: {problem}"));
        self.answer(origin, EndedTask { job_id, task_id, metadata: None }, error)
    }

    /// Answers a task with an error instead of running it. Returns false if the task is not new.
    fn answer(&self, origin: &Arc<Origin>, task: EndedTask, error: TaskError) -> bool {
        let span = span(origin, &task.task_id, &task.job_id);
        let entered = span.enter();
        if !self.claim(origin, &task.task_id, &task.job_id, &Arc::default()) {
            return false;
        }
        if *error.code() == ErrorCode::Security {
            tracing::error!("not run: {}", masked(error.message()));
        }
        drop(entered);
        let result = self.result(task, Outcome::Failed(error).into(), Duration::ZERO);
        let (running, origin) = (self.running.clone(), origin.clone());
        self.hand_in(span, async move {
            origin.delivery.push(&result, None).await;
            running.end(origin.orchestrator, &result.task_id);
        });
        true
    }

    /// Completes the work at once if it need not wait for a disk: nothing else sees the task in between.
    fn hand_in(&self, span: Span, work: impl Future<Output = ()> + Send + 'static) {
        let mut work = Box::pin(work.instrument(span));
        if work.as_mut().now_or_never().is_none() {
            self.tasks.spawn(work);
        }
    }

    /// Claims a task for the caller, unless it is running or has ended lately.
    ///
    /// The order of checks matters: a result is remembered before its task stops running, so that a task that is
    /// delivered again just then is found in one of the two.
    fn claim(&self, origin: &Origin, task_id: &TaskId, job_id: &JobId, cancel: &Arc<CancelHandle>) -> bool {
        if !self.running.begin(origin.orchestrator, task_id, job_id, cancel) {
            tracing::warn!("delivered again while it runs: dropped");
        } else if self.answer_again(origin, job_id, task_id) {
            self.running.end(origin.orchestrator, task_id);
        } else {
            return true;
        }
        self.counts.not_run("duplicate");
        false
    }

    /// Answers a task that ended lately with its earlier result. Returns false for any other task.
    fn answer_again(&self, origin: &Origin, job_id: &JobId, task_id: &TaskId) -> bool {
        let Some((seen, on_its_way)) = origin.delivery.seen(task_id) else { return false };
        if on_its_way {
            tracing::warn!("delivered again: its result is on its way");
        } else if seen.acknowledged && !origin.peer.generation().recognises_repeats() {
            tracing::warn!("delivered again although its result was acknowledged: dropped");
        } else {
            tracing::warn!("delivered again: its result is sent again");
            let delivery = origin.delivery.clone();
            let (task_id, job_id) = (task_id.clone(), job_id.clone());
            let repeated = async move { delivery.repeat(task_id, job_id, seen.body).await };
            self.hand_in(Span::current(), repeated);
        }
        true
    }
}

/// The span of a task, at the level of errors so that it exists at every log level.
fn span(origin: &Origin, task_id: &TaskId, job_id: &JobId) -> Span {
    tracing::error_span!(
        "task", task_id = %task_id.shown(), job_id = %job_id.shown(), orchestrator = %origin.peer.name,
        trace_id = tracing::field::Empty, parent_span_id = tracing::field::Empty
    )
}

/// Makes the span that the orchestrator names in `traceparent` the parent of a task's span.
fn adopt_parent(span: &Span, context: &BTreeMap<String, String>) {
    let Some(text) = TraceParent::text_in(context) else { return };
    let Some(parent) = TraceParent::parse(text) else {
        let text = rxon::text::excerpt(text);
        return span
            .in_scope(|| tracing::debug!("the task's `traceparent` is not valid and is ignored: `{text}`"));
    };
    span.record("trace_id", parent.trace_id);
    span.record("parent_span_id", parent.span_id);
    #[cfg(feature = "opentelemetry")]
    export(span, parent, context.get("tracestate").map(String::as_str));
}

/// Sets the parent for the layer of tracing-opentelemetry, if one is installed.
#[cfg(feature = "opentelemetry")]
fn export(span: &Span, parent: TraceParent<'_>, state: Option<&str>) {
    use std::str::FromStr;

    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let (Ok(trace_id), Ok(span_id)) = (TraceId::from_hex(parent.trace_id), SpanId::from_hex(parent.span_id))
    else {
        return;
    };
    let state = state.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    let remote = SpanContext::new(trace_id, span_id, TraceFlags::new(parent.flags), true, state);
    // Without such a layer this fails, and nothing is lost.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote));
}
