//! A task's arrival: whether it is new, and who runs it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use rxon::model::{ErrorCode, Task};
use rxon::secrets::masked;
use rxon::{JobId, TaskId};
use tracing::Instrument;

use super::{CancelHandle, Execution, report, trace, trust};
use crate::core::Core;
use crate::delivery::Entry;
use crate::handler::{Outcome, TaskError};
use crate::metrics::NotRun;
use crate::session::Session;
use crate::slots::Slot;

/// Takes a task that a poll brought. False when it is not new: nothing is run then.
pub(crate) fn accept(core: &Arc<Core>, session: &Arc<Session>, task: Task, body: &[u8], slot: Slot) -> bool {
    if let Some(error) = trust::distrust(core, &task, body) {
        core.metrics.not_run(NotRun::Untrusted);
        return answer(core, session, task.job_id, task.task_id, error);
    }
    let span = span(session, &task.task_id, &task.job_id);
    trace::adopt(&span, &task.tracing_context);
    let cancel = Arc::new(CancelHandle::default());
    let is_new = span.in_scope(|| {
        for ignored in &task.ignored {
            tracing::warn!("ignored: {ignored}");
        }
        claim(core, session, &task.task_id, &task.job_id, &cancel)
    });
    if !is_new {
        return false;
    }
    core.changes.happened();
    let execution = Execution {
        core: core.clone(),
        session: session.clone(),
        cancel,
        began: OnceLock::new(),
        files: core.files.of_task(&task.task_id),
        uploaded: Arc::default(),
    };
    core.tasks.spawn(execution.run(task, slot).instrument(span));
    true
}

/// Answers a task that cannot be read. False when it is not new: it was answered already.
pub(crate) fn refuse(
    core: &Arc<Core>,
    session: &Arc<Session>,
    job_id: JobId,
    task_id: TaskId,
    problem: &str,
) -> bool {
    core.metrics.not_run(NotRun::Malformed);
    let error = TaskError::invalid_input(format!("malformed task: {problem}"));
    answer(core, session, job_id, task_id, error)
}

/// Answers a task that is not run. False when it is not new.
fn answer(
    core: &Arc<Core>,
    session: &Arc<Session>,
    job_id: JobId,
    task_id: TaskId,
    error: TaskError,
) -> bool {
    let span = span(session, &task_id, &job_id);
    let entered = span.enter();
    if !claim(core, session, &task_id, &job_id, &Arc::default()) {
        return false;
    }
    if *error.code() == ErrorCode::Security {
        tracing::error!("not run: {}", masked(error.message()));
    }
    drop(entered);
    let outcome = Outcome::Failed(error);
    let result = report::result(core, job_id, task_id, outcome, Duration::ZERO);
    let (of_worker, session) = (core.clone(), session.clone());
    hand_in(core, span, async move {
        session.delivery.push(&result).await;
        of_worker.running.end(session.who, &result.task_id);
    });
    true
}

/// At once, where there is no disk to wait for: nobody else sees the task in between.
fn hand_in(core: &Core, span: tracing::Span, work: impl Future<Output = ()> + Send + 'static) {
    let mut work = Box::pin(work.instrument(span));
    if work.as_mut().now_or_never().is_none() {
        core.tasks.spawn(work);
    }
}

/// At the level of errors, so that it is there for whatever is logged within.
fn span(session: &Session, task_id: &TaskId, job_id: &JobId) -> tracing::Span {
    tracing::error_span!(
        "task", task_id = %task_id.shown(), job_id = %job_id.shown(), orchestrator = %session.peer.name,
        trace_id = tracing::field::Empty, parent_span_id = tracing::field::Empty
    )
}

/// Makes a task this call's own, unless it runs or has ended lately.
///
/// The order matters: what a task ends in is remembered before the task is given up, so that whoever can claim it
/// anew finds what was remembered.
fn claim(
    core: &Arc<Core>,
    session: &Arc<Session>,
    task_id: &TaskId,
    job_id: &JobId,
    cancel: &Arc<CancelHandle>,
) -> bool {
    if !core.running.begin(session.who, task_id, job_id, cancel) {
        core.metrics.not_run(NotRun::Duplicate);
        tracing::warn!("delivered again while it runs: dropped");
        return false;
    }
    let is_new = !delivered_again(core, session, job_id, task_id);
    if !is_new {
        core.metrics.not_run(NotRun::Duplicate);
        core.running.end(session.who, task_id);
    }
    is_new
}

/// A task that ended lately is not run again: its result is what was asked for.
fn delivered_again(core: &Core, session: &Arc<Session>, job_id: &JobId, task_id: &TaskId) -> bool {
    let Some((seen, on_its_way)) = session.delivery.seen(task_id) else { return false };
    if on_its_way {
        tracing::warn!("delivered again: its result is on its way");
    } else if seen.acknowledged && !session.peer.generation().recognises_repeats() {
        tracing::warn!("delivered again although its result was acknowledged: dropped");
    } else {
        tracing::warn!("delivered again: its result is sent again");
        let delivery = session.delivery.clone();
        let result = Entry {
            task_id: task_id.clone(),
            job_id: job_id.clone(),
            body: seen.body,
            is_replacement: false,
            belongings: None,
            stored: None,
        };
        hand_in(core, tracing::Span::current(), async move { delivery.repeat(result).await });
    }
    true
}
