//! Tries that ran when an earlier orchestrator ended, with its state kept: they go on.
//!
//! A worker that registers anew, or whose heartbeat does not name such a try, does not run it any more. The try is given
//! up, and the task goes back to the queue, however many tries it had. The same happens when nobody hears of the worker
//! within its time.
//!
//! A worker may have ended such a task while nobody listened, and its heartbeat may overtake the result. So the result of
//! a try that was given up counts as long as nobody else was given the task.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rxon::WorkerId;
use rxon::model::ErrorCode;

use super::{GRACE, Jobs, Report};
use crate::clock::Now;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::store::{Job, KeptStore, Stage, Store, own_failure};

/// The time that a result which comes after all has to be taken in.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The tries that ran at the restart.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// The numbers of jobs and tries of each worker that has not said yet whether it still runs them.
    tries: HashMap<WorkerId, BTreeMap<u64, u32>>,
    /// The time at which those of workers that are not known are given up.
    due: Option<Instant>,
    /// The tries that were given up, by the number of the job.
    given_up: HashMap<u64, (u32, WorkerId)>,
}

impl Jobs {
    /// Goes on with what an earlier orchestrator has left.
    pub(crate) fn restored(settings: Settings, kept: KeptStore, now: Now) -> Self {
        let (mut store, stats) = (Store::restored(kept, GRACE, now), Stats::new(now));
        store.forget(settings.history_limit, settings.memory_limit);
        let mut restarts = Restarts::default();
        for job in store.running() {
            if let Stage::Running { worker_id, .. } = &job.stage {
                restarts.tries.entry(worker_id.clone()).or_default().insert(job.number, job.attempt);
            }
        }
        let mut jobs = Self { restarts, ..Self::with(settings, store, stats) };
        // The silence of known workers is watched anyway.
        let is_unknown = |worker: &WorkerId| !jobs.store.workers.contains_key(worker);
        if jobs.settings.imitation.is_none() && jobs.restarts.tries.keys().any(is_unknown) {
            jobs.restarts.due = Some(now.instant + jobs.ttl());
        }
        jobs
    }

    /// The time at which [`Jobs::give_up_unheard`] has something to do.
    pub(super) fn restart_due(&self) -> Option<Instant> {
        self.restarts.due
    }

    /// Gives up the tries of workers that nobody has heard of since the restart.
    pub(super) fn give_up_unheard(&mut self, now: Now) {
        if self.restarts.due.take_if(|due| *due <= now.instant).is_none() {
            return;
        }
        let store = &self.store;
        let unheard = self.restarts.tries.keys().filter(|worker| !store.workers.contains_key(*worker));
        for worker in unheard.cloned().collect::<Vec<_>>() {
            self.on_unheard(&worker, now);
        }
    }

    /// Gives up what a worker ran at the restart, unless it has said something about that since.
    pub(super) fn on_unheard(&mut self, worker: &WorkerId, now: Now) {
        self.compare(worker, &[], "was not heard of after the restart", now);
    }

    /// Handles what a worker says for the first time after the restart: it runs these tasks, and no others.
    pub(super) fn on_said_to_run(&mut self, worker: &WorkerId, current: &[String], now: Now) {
        self.compare(worker, current, "does not run the task any more after the restart", now);
    }

    fn compare(&mut self, worker: &WorkerId, current: &[String], what: &str, now: Now) {
        let Some(tries) = self.restarts.tries.remove(worker) else { return };
        for (number, attempt) in tries {
            let names = &self.store.names;
            let (job_id, task_id) = (names.job(number), names.task(number, attempt));
            let is_named = current.iter().any(|id| id == task_id.as_str() || id == job_id.as_str());
            let runs = |job: &Job| job.is_running(attempt) && job.runs_at(worker);
            if is_named || !self.store.job(number).is_some_and(runs) {
                continue;
            }
            let failure = own_failure(ErrorCode::Transient, format!("the worker `{worker}` {what}"));
            self.put_back(number, failure, now);
            self.restarts.given_up.insert(number, (attempt, worker.clone()));
        }
    }

    /// Takes a try back that was given up, because its result is here and nobody else has the task.
    pub(super) fn take_back(&mut self, report: &Report, now: Now) {
        if self.restarts.given_up.is_empty() {
            return;
        }
        let number = self.store.names.read_job(&report.job_id);
        let Some((number, (attempt, worker))) =
            number.and_then(|number| Some((number, self.restarts.given_up.get(&number)?.clone())))
        else {
            return;
        };
        if self.store.names.task(number, attempt).as_str() != report.task_id || worker != report.worker_id {
            return;
        }
        self.restarts.given_up.remove(&number);
        // A job of a blueprint may have gone on to its next step.
        let waits = |job: &Job| {
            job.attempt == attempt + 1
                && job.tries().last().is_some_and(|last| last.attempt == attempt)
                && matches!(job.stage, Stage::Queued | Stage::Resting { .. })
        };
        if self.store.job(number).is_some_and(waits) {
            let then = now.after(AT_ONCE);
            let stage = Stage::Running { worker_id: worker, until: then.instant, deadline: then.unix };
            self.store.update(number, Job::return_to_last_try);
            self.move_to(number, stage, now);
        }
    }
}
