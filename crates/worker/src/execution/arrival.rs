//! A task's arrival: whether it is new, and who answers it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use rxon::model::{ErrorCode, Task};
use rxon::secrets::masked;
use rxon::{JobId, TaskId};
use tracing::Instrument;

use super::{CancelHandle, Execution, Executor, report, trace};
use crate::capacity::slots::Slot;
use crate::execution::counts::NotRun;
use crate::execution::origin::Origin;
use crate::files::TaskFiles;
use crate::task::outcome::{Outcome, TaskError};

impl Executor {
    /// Runs a task that a poll returned. False when the task is not new, and so is not run.
    pub(crate) fn accept(
        self: &Arc<Self>,
        origin: &Arc<Origin>,
        task: Task,
        body: &[u8],
        slot: Slot,
    ) -> bool {
        if let Some(error) = self.trust.refusal(&task, body) {
            self.counts.not_run(NotRun::Untrusted);
            return self.answer(origin, task.job_id, task.task_id, error);
        }
        let span = span(origin, &task.task_id, &task.job_id);
        trace::adopt(&span, &task.tracing_context);
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
        self.changes.on_change();
        let execution = Execution {
            executor: self.clone(),
            origin: origin.clone(),
            cancel,
            began: OnceLock::new(),
            files: TaskFiles::new(&self.files, &task.task_id),
        };
        self.tasks.spawn(execution.run(task, slot).instrument(span));
        true
    }

    /// Answers a task that cannot be read. False when the task is not new: it was answered already.
    pub(crate) fn refuse(
        self: &Arc<Self>,
        origin: &Arc<Origin>,
        job_id: JobId,
        task_id: TaskId,
        problem: &str,
    ) -> bool {
        self.counts.not_run(NotRun::Malformed);
        let error = TaskError::invalid_input(format!("malformed task: {problem}"));
        self.answer(origin, job_id, task_id, error)
    }

    /// Answers a task that is not run. False when the task is not new.
    fn answer(
        self: &Arc<Self>,
        origin: &Arc<Origin>,
        job_id: JobId,
        task_id: TaskId,
        error: TaskError,
    ) -> bool {
        let span = span(origin, &task_id, &job_id);
        let entered = span.enter();
        if !self.claim(origin, &task_id, &job_id, &Arc::default()) {
            return false;
        }
        if *error.code() == ErrorCode::Security {
            tracing::error!("not run: {}", masked(error.message()));
        }
        drop(entered);
        let outcome = Outcome::Failed(error);
        let result = report::result(&self.settings.worker_id, job_id, task_id, outcome, Duration::ZERO);
        let (running, origin) = (self.running.clone(), origin.clone());
        self.hand_in(span, async move {
            origin.delivery.push(&result, None).await;
            running.end(origin.orchestrator, &result.task_id);
        });
        true
    }

    /// Completes the work at once when there is no disk to wait for: nothing else sees the task in between.
    fn hand_in(&self, span: tracing::Span, work: impl Future<Output = ()> + Send + 'static) {
        let mut work = Box::pin(work.instrument(span));
        if work.as_mut().now_or_never().is_none() {
            self.tasks.spawn(work);
        }
    }

    /// Makes a task this call's own, unless it runs or has ended lately.
    ///
    /// The order matters: a task's result is remembered before the task is released, so that the next to claim it
    /// finds the result.
    fn claim(
        &self,
        origin: &Arc<Origin>,
        task_id: &TaskId,
        job_id: &JobId,
        cancel: &Arc<CancelHandle>,
    ) -> bool {
        if !self.running.begin(origin.orchestrator, task_id, job_id, cancel) {
            self.counts.not_run(NotRun::Duplicate);
            tracing::warn!("delivered again while it runs: dropped");
            return false;
        }
        let is_new = !self.delivered_again(origin, job_id, task_id);
        if !is_new {
            self.counts.not_run(NotRun::Duplicate);
            self.running.end(origin.orchestrator, task_id);
        }
        is_new
    }

    /// Answers a task that ended lately with the result it had; it is not run again. False for any other task.
    fn delivered_again(&self, origin: &Arc<Origin>, job_id: &JobId, task_id: &TaskId) -> bool {
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
            self.hand_in(tracing::Span::current(), repeated);
        }
        true
    }
}

/// The span of a task, at the level of errors so that it exists whatever is logged within it.
fn span(origin: &Origin, task_id: &TaskId, job_id: &JobId) -> tracing::Span {
    tracing::error_span!(
        "task", task_id = %task_id.shown(), job_id = %job_id.shown(), orchestrator = %origin.peer.name,
        trace_id = tracing::field::Empty, parent_span_id = tracing::field::Empty
    )
}
