//! The effects of results, failures and progress on tasks.

use std::sync::Arc;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::{ErrorCode, Failure};

use super::{Action, Jobs};
use crate::clock::Now;
use crate::events::Event;
use crate::store::{Job, Payloads, Stage};
use crate::story::What;
use crate::view::TaskStatus;

/// The delay that doubling it reaches.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

/// The fields of a result that matter here.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) worker_id: WorkerId,
    pub(crate) job_id: String,
    pub(crate) task_id: String,
    pub(crate) status: String,
    pub(crate) payloads: Payloads,
    pub(crate) error: Option<Failure>,
}

/// The decision on a result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The result counts, with this transition.
    Accepted(&'static str),
    /// The result does not count.
    Ignored(Ignored),
}

/// The reason why a worker's message on a task does not count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ignored {
    /// A code for programs.
    pub(crate) reason: &'static str,
    /// A text for people.
    pub(crate) message: String,
}

impl Ignored {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// The progress of a running task, as its worker reports it.
#[derive(Debug)]
pub(crate) struct ProgressReport {
    pub(crate) worker_id: WorkerId,
    pub(crate) job_id: Option<String>,
    pub(crate) task_id: Option<String>,
    pub(crate) progress: f64,
    pub(crate) message: String,
}

impl Jobs {
    /// Handles the result of a task.
    pub(crate) fn on_result(&mut self, report: Report, now: Now) -> Verdict {
        self.store.record_contact(&report.worker_id, now);
        self.take_back(&report, now);
        let number = match self.answerable(&report) {
            Ok(number) => number,
            Err(ignored) => return Verdict::Ignored(ignored),
        };
        self.adopt(number, &report.worker_id, now);
        match report.status.as_str() {
            "failure" => {
                let failure = report.error.unwrap_or_else(|| Failure {
                    code: ErrorCode::Transient,
                    message: "the worker gave no reason".to_owned(),
                    details: None,
                });
                let result = What::result("failure", Some(&failure), false);
                self.store.update(number, |job| job.record(result, now));
                self.fail(number, failure, report.payloads, now);
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

    /// Handles the progress of a task.
    pub(crate) fn on_progress(&mut self, report: &ProgressReport, now: Now) -> Result<(), Ignored> {
        self.store.record_contact(&report.worker_id, now);
        let Some(id) = report.job_id.as_deref().or(report.task_id.as_deref()) else {
            let message = "the event names no task: `target_job_id` and `target_task_id` are missing";
            return Err(Ignored::new("job_not_found", message));
        };
        let job = self.store.find(id).ok_or_else(|| unknown(id))?;
        let number = job.number;
        self.check(job, report.task_id.as_deref(), &report.worker_id)?;
        // A worker may send any number, but progress bars expect 0 to 1.
        let progress = if report.progress.is_finite() { report.progress.clamp(0.0, 1.0) } else { 0.0 };
        let message = crate::text::cut(&report.message, 1000);
        let event = Event::Progress {
            job_id: self.store.names.job(number),
            task_id: self.store.names.task(number, job.attempt),
            progress,
            message: message.clone(),
        };
        self.store.update(number, |job| {
            job.record(What::progress(progress, &message), now);
            job.progress = Some(progress);
            job.progress_message = Some(message);
        });
        self.actions.push(Action::Publish(event));
        Ok(())
    }

    /// Gives up the current try, although its worker may still be busy with it.
    pub(super) fn abandon_try(&mut self, number: u64, failure: Failure, now: Now) {
        self.give_up(number, &failure, now);
        self.fail(number, failure, Payloads::default(), now);
    }

    /// Gives up the current try, and starts another one, however many there were.
    pub(super) fn put_back(&mut self, number: u64, failure: Failure, now: Now) {
        if self.store.job(number).is_some_and(|job| job.cancel_requested) {
            return self.abandon_try(number, failure, now);
        }
        self.give_up(number, &failure, now);
        self.store.update(number, |job| job.error = Some(Arc::new(failure)));
        self.retry(number, now);
    }

    fn give_up(&mut self, number: u64, failure: &Failure, now: Now) {
        self.store.update(number, |job| {
            job.abandon();
            job.record(What::result("failure", Some(failure), true), now);
        });
        self.stop_at_worker(number);
    }

    /// Ends the current try as a failure: starts another one, or ends the job.
    fn fail(&mut self, number: u64, failure: Failure, payloads: Payloads, now: Now) {
        let Some(job) = self.store.job(number) else { return };
        let may_retry =
            failure.code.is_retried() && job.tries_of_step() < self.settings.max_retries.saturating_add(1);
        let status = match failure.code {
            _ if job.cancel_requested => Some(TaskStatus::Cancelled),
            ErrorCode::InvalidInput | ErrorCode::IntegrityMismatch => Some(TaskStatus::Failed),
            _ if may_retry => None,
            _ => Some(TaskStatus::Quarantined),
        };
        tracing::debug!(
            job_id = %self.store.names.job(number), attempt = job.attempt, code = %failure.code,
            new_status = status.map_or("queued", TaskStatus::as_str), "a try failed"
        );
        self.store.update(number, |job| {
            job.payloads = payloads;
            job.error = Some(Arc::new(failure));
        });
        match status {
            Some(status) => {
                let result = if status == TaskStatus::Cancelled { "cancelled" } else { "failure" };
                self.conclude(number, result, status, now);
            }
            None => self.retry(number, now),
        }
    }

    fn retry(&mut self, number: u64, now: Now) {
        let Some(job) = self.store.job(number) else { return };
        let delay = match self.settings.imitation {
            Some(_) => Duration::ZERO,
            None => retry_delay(self.settings.retry_delay, job.tries_of_step()),
        };
        let reason = job.error.as_ref().map_or_else(String::new, |error| {
            format!("{}: {}", crate::text::cut(error.code.as_str(), 100), error.message)
        });
        self.store.update(number, |job| {
            job.record(What::requeued(&reason), now);
            job.begin_next_try(now);
        });
        if delay.is_zero() {
            self.move_to(number, Stage::Queued, now);
        } else {
            let then = now.after(delay);
            self.move_to(number, Stage::Resting { until: then.instant, retry_at: then.unix }, now);
        }
        self.publish_change(number);
        if delay.is_zero() {
            self.dispatch(number, now);
        }
    }

    fn finish(&mut self, number: u64, report: Report, status: TaskStatus, now: Now) {
        let result = report.status.clone();
        self.store.update(number, |job| {
            job.record(What::result(&report.status, report.error.as_ref(), false), now);
            if status == TaskStatus::Finished {
                job.progress = Some(1.0);
            }
            job.result_status = Some(report.status);
            job.payloads = report.payloads;
            job.error = report.error.map(Arc::new);
        });
        self.conclude(number, &result, status, now);
    }

    /// Returns the job that a result counts for, or the reason why it does not count.
    fn answerable(&self, report: &Report) -> Result<u64, Ignored> {
        let number = self.store.names.read_job(&report.job_id);
        let job = number.and_then(|number| self.store.job(number)).ok_or_else(|| unknown(&report.job_id))?;
        self.check(job, Some(&report.task_id), &report.worker_id)?;
        Ok(job.number)
    }

    /// Checks that this worker is running this try now.
    fn check(&self, job: &Job, task_id: Option<&str>, worker: &WorkerId) -> Result<(), Ignored> {
        let job_id = self.store.names.job(job.number);
        if let Stage::Ended(status) = job.stage {
            return Err(Ignored::new("job_already_terminated", format!("`{job_id}` is already {status}")));
        }
        if self.takes_any_try() {
            return Ok(());
        }
        let current = self.store.names.task(job.number, job.attempt);
        if task_id.is_some_and(|id| id != current.as_str()) {
            let id = crate::text::cut(task_id.unwrap_or_default(), 200);
            let message = format!("`{id}` is not the current try of `{job_id}`, expected `{current}`");
            return Err(Ignored::new("stale_task", message));
        }
        match &job.stage {
            Stage::Running { .. } if job.runs_at(worker) => Ok(()),
            Stage::Running { worker_id, .. } => {
                let message = format!("`{job_id}` was given to `{worker_id}`, not to `{worker}`");
                Err(Ignored::new("worker_mismatch", message))
            }
            _ => Err(Ignored::new("stale_task", format!("`{job_id}` is waiting for a worker"))),
        }
    }
}

/// Returns the delay before the retry after this try.
fn retry_delay(first: Duration, attempt: u32) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    // A first delay that is longer was chosen.
    doubled.min(MAX_RETRY_DELAY.max(first))
}

fn unknown(id: &str) -> Ignored {
    let message = format!(
        "there is no job `{}`: it never existed here, or it has ended and was removed",
        crate::text::cut(id, 200)
    );
    Ignored::new("job_not_found", message)
}
