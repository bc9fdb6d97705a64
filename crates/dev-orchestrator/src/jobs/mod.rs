//! Scheduling, without I/O: takes events with their times, and returns actions.
//!
//! | status | event | new status |
//! |---|---|---|
//! | – | submitted | queued |
//! | queued | a poll of a worker that accepts the task is open | running |
//! | queued | cancelled | cancelled |
//! | running | the worker's connection ended before the task was delivered | queued, the same try |
//! | running | success, or a status of the handler's | finished |
//! | running | a failure that may pass, the deadline, or a worker silent for too long | queued, the next try after a delay; quarantined after the last |
//! | running | a failure that will not pass | quarantined, or failed if the input was invalid |
//! | running | cancelled by its worker | cancelled |
//! | running, as a step of a blueprint | the end of the step | queued as the next step, or the status of the end state |
//! | running, cancellation requested | any failure | cancelled |
//!
//! The status of an ended task never changes. What a real orchestrator does otherwise is imitated in `imitated`.

mod forgetting;
mod imitated;
mod listing;
mod outcomes;
mod records;
mod restarts;
mod steps;
mod submissions;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rxon::model::ErrorCode;
use rxon::{JobId, TaskId, WorkerId};

pub(crate) use self::listing::{Filter, Piece};
pub(crate) use self::outcomes::{Ignored, ProgressReport, Report, Verdict};
use self::restarts::Restarts;
pub(crate) use self::submissions::Repeat;
pub(crate) use self::workers::MAX_WORKERS;
use crate::clock::Now;
use crate::error::Error;
use crate::events::Event;
use crate::persist::Keeper;
use crate::settings::Settings;
use crate::stats::{Gauges, Stats};
use crate::store::{Assignment, Job, Stage, Store, own_failure};
use crate::story::What;
use crate::task::Cancellation;
use crate::view::{TaskStatus, TaskView};

/// The time between the deadline and the retry: a worker stops at the deadline by itself, and its own report is better.
const GRACE: Duration = Duration::from_secs(1);

/// The id of an open poll. Later polls have greater ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PollId(pub(crate) u64);

/// An action that follows from an event.
#[derive(Debug)]
pub(crate) enum Action {
    /// Answer this poll with this task.
    Hand(PollId, Assignment),
    /// Send this event to the feeds.
    Publish(Event),
    /// Tell this worker to stop a task, if it has a websocket; the answer to its next heartbeat names the task, too.
    Stop(WorkerId, TaskId, JobId),
    /// Answer the callers that wait for the end of this job.
    Ended(u64, Box<TaskView>),
}

/// All jobs, workers and open polls.
#[derive(Debug)]
pub(crate) struct Jobs {
    settings: Settings,
    store: Store,
    /// The open polls, the oldest first.
    waiting: BTreeMap<PollId, WorkerId>,
    stats: Stats,
    restarts: Restarts,
    actions: Vec<Action>,
}

impl Jobs {
    pub(crate) fn new(settings: Settings, now: Now) -> Self {
        Self::with(settings, Store::new(), Stats::new(now))
    }

    fn with(settings: Settings, store: Store, stats: Stats) -> Self {
        let restarts = Restarts::default();
        Self { settings, store, waiting: BTreeMap::new(), stats, restarts, actions: Vec::new() }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Hands the rows of all that has changed since the last call over.
    pub(crate) fn hand_over(&mut self, keeper: &Keeper) {
        self.store.hand_over(keeper);
    }

    /// Returns the actions since the last call.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    pub(crate) fn cancel(&mut self, id: &str, now: Now) -> Result<Cancellation, Error> {
        let job = self.store.find(id).ok_or_else(|| Error::UnknownTask(crate::text::cut(id, 200)))?;
        let number = job.number;
        match job.stage {
            Stage::Queued | Stage::Resting { .. } => {
                self.end(number, TaskStatus::Cancelled, now);
                Ok(Cancellation::Cancelled)
            }
            Stage::Running { .. } => {
                self.store.update(number, |job| {
                    if !std::mem::replace(&mut job.cancel_requested, true) {
                        job.record(What::CancelRequested, now);
                    }
                });
                self.stop_at_worker(number);
                self.publish_change(number);
                Ok(Cancellation::CancelRequested)
            }
            Stage::Ended(status) => Err(Error::AlreadyEnded { job_id: self.store.names.job(number), status }),
        }
    }

    /// Handles a worker's request for a task. Unless a task is handed to the poll at once, the poll stays open.
    pub(crate) fn on_poll(&mut self, poll: PollId, worker: &WorkerId, now: Now) {
        self.store.record_contact(worker, now);
        self.waiting.insert(poll, worker.clone());
        self.feed(worker, now);
    }

    /// Handles the end of a poll.
    pub(crate) fn on_poll_gone(&mut self, poll: PollId) {
        self.waiting.remove(&poll);
    }

    /// Handles a task that was handed to a poll, but did not reach the worker.
    pub(crate) fn on_undelivered(&mut self, number: u64, attempt: u32, now: Now) {
        let Some(job) = self.store.job(number) else { return };
        if !job.is_running(attempt) {
            return;
        }
        if job.cancel_requested {
            self.end(number, TaskStatus::Cancelled, now);
            return;
        }
        self.store.update(number, |job| {
            let worker = job.worker_id.take();
            let worker = worker.as_ref().map_or("a worker", |worker| worker.as_str());
            job.record(What::requeued(&format!("not delivered: the connection of `{worker}` ended")), now);
            job.attempts -= 1;
            job.started_at = None;
        });
        self.move_to(number, Stage::Queued, now);
        self.publish_change(number);
        self.offer(number, now);
    }

    /// Handles the passing of time: gives up tries past their deadline, and silent workers, and starts retries.
    pub(crate) fn on_time(&mut self, now: Now) {
        while let Some((until, number)) = self.store.first_retry() {
            if until > now.instant {
                break;
            }
            self.move_to(number, Stage::Queued, now);
            self.dispatch(number, now);
        }
        while let Some((until, number)) = self.store.first_deadline() {
            if until > now.instant {
                break;
            }
            let timeout = self.store.job(number).map_or(Duration::ZERO, |job| job.timeout);
            let message = format!("no result within {} s", timeout.as_secs_f64());
            self.abandon_try(number, own_failure(ErrorCode::Timeout, message), now);
        }
        while let Some((last_contact, worker)) = self.store.most_silent().cloned() {
            if last_contact + self.ttl() > now.instant {
                break;
            }
            self.expire(&worker, now);
        }
        self.give_up_unheard(now);
    }

    /// Returns the time at which [`Jobs::on_time`] has to be called next.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let deadline = self.store.first_deadline().map(|(until, _)| until);
        let silence = self.store.most_silent().map(|(last_contact, _)| *last_contact + self.ttl());
        let retry = self.store.first_retry().map(|(until, _)| until);
        deadline.into_iter().chain(silence).chain(retry).chain(self.restart_due()).min()
    }

    /// Returns the number of open polls of a worker.
    pub(crate) fn polls_of(&self, worker: &WorkerId) -> usize {
        self.waiting.values().filter(|polling| *polling == worker).count()
    }

    /// The time after which a silent worker is given up: at most a year, so that adding it to a time cannot overflow.
    fn ttl(&self) -> Duration {
        self.settings.worker_ttl.min(Duration::from_secs(365 * 24 * 3600))
    }

    /// Hands a job that has begun to wait to a worker, if one polls.
    fn dispatch(&mut self, number: u64, now: Now) {
        self.offer(number, now);
        self.give_up_without_idle_worker(number, now);
    }

    /// Hands a waiting job to the oldest poll of a worker that accepts it.
    fn offer(&mut self, number: u64, now: Now) {
        let Some(job) = self.store.job(number) else { return };
        let accepts = |worker: &WorkerId| {
            self.store.workers.get(worker).is_some_and(|worker| worker.accepts_task(&job.name))
        };
        let poll = self.waiting.iter().find_map(|(poll, worker)| accepts(worker).then_some(*poll));
        if let Some(poll) = poll {
            self.hand(poll, number, now);
        }
    }

    /// Hands waiting jobs to the polls of one worker.
    fn feed(&mut self, worker: &WorkerId, now: Now) {
        loop {
            let poll = self.waiting.iter().find_map(|(poll, polling)| (polling == worker).then_some(*poll));
            let Some((poll, number)) = poll.zip(self.store.next_for(worker)) else { return };
            self.hand(poll, number, now);
        }
    }

    fn hand(&mut self, poll: PollId, number: u64, now: Now) {
        let Some(worker_id) = self.waiting.remove(&poll) else { return };
        let Some(timeout) = self.store.job(number).map(|job| job.timeout) else { return };
        let deadline = deadline(timeout, now);
        let until = deadline.after(GRACE).instant;
        self.store.update(number, |job| {
            job.attempts = job.attempts.saturating_add(1);
            job.worker_id = Some(worker_id.clone());
            job.started_at = Some(now.unix);
            job.record(What::Offered, now);
        });
        self.move_to(number, Stage::Running { worker_id, until, deadline: deadline.unix }, now);
        if let Some(job) = self.store.job(number) {
            let assignment = self.store.assignment(job, deadline.unix);
            self.actions.push(Action::Hand(poll, assignment));
        }
        self.publish_change(number);
    }

    fn end(&mut self, number: u64, status: TaskStatus, now: Now) {
        self.store.update(number, |job| {
            job.ended_at = Some(now.unix);
            if status == TaskStatus::Cancelled {
                job.record(What::Cancelled, now);
            }
            job.story.close();
        });
        self.move_to(number, Stage::Ended(status), now);
        self.publish_change(number);
        if let Some(job) = self.store.job(number) {
            let latency = now.instant.saturating_duration_since(job.submitted);
            self.stats.count_ended(status, latency.as_secs_f64());
            let view = Box::new(self.store.view(job));
            self.actions.push(Action::Ended(number, view));
        }
        self.store.forget(self.settings.history_limit, self.settings.memory_limit);
    }

    /// Moves a job to another stage.
    fn move_to(&mut self, number: u64, stage: Stage, now: Now) {
        self.count_time(now);
        self.store.move_to(number, stage);
    }

    /// Closes the seconds of the figures that are over, before the number of jobs in any status changes.
    fn count_time(&mut self, now: Now) {
        let count = |status| self.store.count(status);
        let gauges = Gauges { running: count(TaskStatus::Running), queued: count(TaskStatus::Queued) };
        self.stats.advance(gauges, now);
    }

    /// Tells the worker of a running job to stop its current try.
    fn stop_at_worker(&mut self, number: u64) {
        let Some(job) = self.store.job(number) else { return };
        if let Stage::Running { worker_id, .. } = &job.stage {
            let (names, worker) = (&self.store.names, worker_id.clone());
            let stop = Action::Stop(worker, names.task(number, job.attempt), names.job(number));
            self.actions.push(stop);
        }
    }

    fn publish_change(&mut self, number: u64) {
        let Some(job) = self.store.job(number) else { return };
        let event = self.changed(job);
        self.actions.push(Action::Publish(event));
    }

    fn changed(&self, job: &Job) -> Event {
        Event::TaskChanged {
            job_id: self.store.names.job(job.number),
            task_id: self.store.names.task(job.number, job.attempt),
            name: job.name.clone(),
            status: job.stage.status(),
            attempts: job.attempts,
            worker_id: job.worker_id.clone(),
            error: job.error.as_ref().map(|error| {
                let code = crate::text::cut(error.code.as_str(), 100);
                format!("{code}: {}", crate::text::cut(&error.message, 1000))
            }),
        }
    }
}

/// Returns the deadline of a try. It is a whole second if the timeout is: SDK 1.0b20 does not read fractions.
fn deadline(timeout: Duration, now: Now) -> Now {
    let deadline = now.after(timeout);
    if timeout.subsec_nanos() > 0 {
        return deadline;
    }
    deadline.after(Duration::try_from_secs_f64(deadline.unix.ceil() - deadline.unix).unwrap_or_default())
}
