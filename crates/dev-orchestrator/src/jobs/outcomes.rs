//! What becomes of a task when its worker answers, or does not.

use std::sync::Arc;

use rxon::WorkerId;
use rxon::model::{ErrorCode, Failure};
use serde_json::value::RawValue;

use super::{Action, Jobs};
use crate::clock::Now;
use crate::store::{Job, Stage};
use crate::{Event, TaskStatus};

/// A result, as far as it is needed.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) worker_id: WorkerId,
    pub(crate) job_id: String,
    pub(crate) task_id: String,
    pub(crate) status: String,
    pub(crate) data: Option<Arc<RawValue>>,
    pub(crate) error: Option<Failure>,
}

/// What was made of a result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It counted, and led to this.
    Accepted(&'static str),
    /// It did not.
    Ignored(Ignored),
}

/// Why a worker's word on a task does not count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ignored {
    /// For programs.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) message: String,
}

impl Ignored {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// A worker's word on a task that runs.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) worker_id: WorkerId,
    pub(crate) job_id: Option<String>,
    pub(crate) task_id: Option<String>,
    pub(crate) progress: f64,
    pub(crate) message: String,
}

impl Jobs {
    /// A worker answers for a task.
    pub(crate) fn on_result(&mut self, report: Report, now: Now) -> Verdict {
        self.store.heard(&report.worker_id, now);
        let number = match self.answerable(&report) {
            Ok(number) => number,
            Err(ignored) => return Verdict::Ignored(ignored),
        };
        match report.status.as_str() {
            "failure" => {
                let failure = report.error.unwrap_or_else(|| Failure {
                    code: ErrorCode::Transient,
                    message: "the worker did not say why".to_owned(),
                    details: None,
                });
                self.fail(number, failure, now);
                Verdict::Accepted("failure_handled")
            }
            "cancelled" => {
                self.finish(number, report, TaskStatus::Cancelled, now);
                Verdict::Accepted("cancelled_handled")
            }
            _ => {
                self.finish(number, report, TaskStatus::Finished, now);
                Verdict::Accepted("success_transition")
            }
        }
    }

    /// A worker says how far it is with a task.
    pub(crate) fn on_progress(&mut self, told: &Told, now: Now) -> Result<(), Ignored> {
        self.store.heard(&told.worker_id, now);
        let Some(id) = told.job_id.as_deref().or(told.task_id.as_deref()) else {
            let message = "the event is for no task: `target_job_id` and `target_task_id` are missing";
            return Err(Ignored::new("job_not_found", message));
        };
        let job = self.store.find(id).ok_or_else(|| unknown(id))?;
        let number = job.number;
        self.check(job, told.task_id.as_deref(), &told.worker_id)?;
        // A worker may say anything; a bar in a terminal wants 0 to 1.
        let progress = if told.progress.is_finite() { told.progress.clamp(0.0, 1.0) } else { 0.0 };
        let message = crate::text::cut(&told.message, 1000);
        let event = Event::Progress {
            job_id: self.store.names.job(number),
            task_id: self.store.names.task(number, job.attempt),
            progress,
            message: message.clone(),
        };
        self.store.update(number, |job| {
            job.progress = Some(progress);
            job.progress_message = Some(message);
        });
        self.actions.push(Action::Tell(event));
        Ok(())
    }

    /// The present try is lost, while its worker may still be busy with it.
    pub(super) fn give_up(&mut self, number: u64, failure: Failure, now: Now) {
        self.store.update(number, Job::abandon);
        self.fail(number, failure, now);
    }

    /// The present try failed: another one, or the end.
    fn fail(&mut self, number: u64, failure: Failure, now: Now) {
        let Some(job) = self.store.job(number) else { return };
        let may_retry =
            failure.code.is_retried() && job.attempt < self.settings.max_retries.saturating_add(1);
        let status = match failure.code {
            _ if job.cancel_requested => Some(TaskStatus::Cancelled),
            ErrorCode::InvalidInput | ErrorCode::IntegrityMismatch => Some(TaskStatus::Failed),
            _ if may_retry => None,
            _ => Some(TaskStatus::Quarantined),
        };
        tracing::debug!(
            job_id = %self.store.names.job(number), attempt = job.attempt, code = %failure.code,
            becomes = status.map_or("queued", TaskStatus::as_str), "try failed"
        );
        self.store.update(number, |job| job.error = Some(Arc::new(failure)));
        match status {
            Some(status) => self.end(number, status, now),
            None => self.retry(number, now),
        }
    }

    fn retry(&mut self, number: u64, now: Now) {
        self.store.update(number, |job| {
            job.attempt += 1;
            job.progress = None;
            job.progress_message = None;
        });
        self.store.move_to(number, Stage::Queued);
        self.tell_changed(number);
        self.offer(number, now);
    }

    fn finish(&mut self, number: u64, report: Report, status: TaskStatus, now: Now) {
        self.store.update(number, |job| {
            job.result_status = Some(report.status);
            job.data = report.data;
            job.error = report.error.map(Arc::new);
        });
        self.end(number, status, now);
    }

    /// The job that a result counts for, or why it does not count.
    fn answerable(&self, report: &Report) -> Result<u64, Ignored> {
        let number = self.store.names.read_job(&report.job_id);
        let job = number.and_then(|number| self.store.job(number)).ok_or_else(|| unknown(&report.job_id))?;
        self.check(job, Some(&report.task_id), &report.worker_id)?;
        Ok(job.number)
    }

    /// Whether this worker has this try now.
    fn check(&self, job: &Job, task_id: Option<&str>, worker: &WorkerId) -> Result<(), Ignored> {
        let job_id = self.store.names.job(job.number);
        if let Stage::Ended(status) = job.stage {
            return Err(Ignored::new("job_already_terminated", format!("`{job_id}` is {status} already")));
        }
        let present = self.store.names.task(job.number, job.attempt);
        if task_id.is_some_and(|id| id != present.as_str()) {
            let id = crate::text::cut(task_id.unwrap_or_default(), 200);
            let message = format!("`{id}` is not the present try of `{job_id}`, that is `{present}`");
            return Err(Ignored::new("stale_task", message));
        }
        match &job.stage {
            Stage::Running { .. } if job.runs_at(worker) => Ok(()),
            Stage::Running { worker_id, .. } => {
                let message = format!("`{job_id}` was given to `{worker_id}`, not to `{worker}`");
                Err(Ignored::new("worker_mismatch", message))
            }
            _ => Err(Ignored::new("stale_task", format!("`{job_id}` waits: nobody has it"))),
        }
    }
}

fn unknown(id: &str) -> Ignored {
    let message = format!(
        "no job `{}`: it never existed here, or it ended and was forgotten",
        crate::text::cut(id, 200)
    );
    Ignored::new("job_not_found", message)
}
