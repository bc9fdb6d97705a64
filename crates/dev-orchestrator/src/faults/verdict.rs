//! Verdicts: how workers came through a fault.

use rxon::JobId;
use serde::{Deserialize, Serialize};

use super::run::Run;
use super::table::Fault;
use crate::clock::Now;
use crate::jobs::Jobs;
use crate::store::Stage;

/// The number of lost tasks that a verdict names.
const MAX_LOST: usize = 1000;

/// The judgement on how workers came through a fault, made when they have recovered, at the latest a minute after the
/// fault was switched off.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FaultVerdict {
    /// The fault.
    pub fault: Fault,
    /// The time at which it was switched on, in seconds since 1970.
    pub from: f64,
    /// The time at which it was switched off.
    pub to: f64,
    /// Whether all workers have recovered, and no task is lost.
    pub ok: bool,
    /// The time until every worker that was there at the start had a heartbeat, a poll, and the results that waited
    /// accepted, in seconds since [`to`](Self::to). `None` if that did not happen, or no worker was there.
    pub recovered_after: Option<f64>,
    /// The number of results that were sent again.
    pub results_again: u64,
    /// The number of lost tasks.
    pub tasks_lost: usize,
    /// The lost tasks, at most 1,000: given to a worker before the end of the fault, and now neither ended nor queued
    /// nor running with a live worker.
    pub lost: Vec<JobId>,
    /// The number of requests of the workers concerned, per second while the fault was on.
    pub requests_per_second: f64,
    /// The number of workers that were there when the fault was switched on.
    pub workers: usize,
    /// The same in words.
    pub text: String,
}

impl FaultVerdict {
    /// Judges a run that has ended.
    pub(super) fn of(run: &Run, jobs: &Jobs, now: Now) -> Self {
        let to = run.to.unwrap_or(now);
        let lost = lost(run, jobs, to);
        let recovered = run.is_recovered();
        let seconds = to.instant.saturating_duration_since(run.from.instant).as_secs_f64();
        let recovered_after = (recovered && !run.workers.is_empty()).then(|| run.recovered_after(now));
        let mut verdict = Self {
            fault: run.fault,
            from: run.from.unix,
            to: to.unix,
            ok: recovered && lost.is_empty(),
            recovered_after: recovered_after.map(|time| time.as_secs_f64()),
            results_again: run.results_again,
            tasks_lost: lost.len(),
            lost: lost.into_iter().take(MAX_LOST).collect(),
            // A fault that was on for no time at all had no rate.
            requests_per_second: if seconds > 0.0 { run.requests as f64 / seconds } else { 0.0 },
            workers: run.workers.len(),
            text: String::new(),
        };
        verdict.text = verdict.text(run);
        verdict
    }

    fn text(&self, run: &Run) -> String {
        let recovery = match (self.recovered_after, self.workers) {
            (_, 0) => "No worker was there.".to_owned(),
            (Some(seconds), 1) => format!("The worker recovered after {seconds:.1} s."),
            (Some(seconds), count) => format!("All {count} workers recovered after {seconds:.1} s."),
            (None, count) => {
                let (within, missing) = (run.fault.patience().as_secs(), run.missing().join("; "));
                format!("Not all of the workers ({count}) recovered within {within} s: {missing}.")
            }
        };
        let again = match self.results_again {
            0 => "No result was sent again".to_owned(),
            1 => "1 result was sent again".to_owned(),
            count => format!("{count} results were sent again"),
        };
        let lost = match self.tasks_lost {
            0 => "no task was lost".to_owned(),
            1 => "1 task was lost".to_owned(),
            count => format!("{count} tasks were lost"),
        };
        format!(
            "{recovery} {again}, {lost}; {:.1} requests per second while it was on.",
            self.requests_per_second
        )
    }
}

/// Returns the tasks that were given to a worker before the end of the fault, and that no worker will answer.
fn lost(run: &Run, jobs: &Jobs, to: Now) -> Vec<JobId> {
    let store = jobs.store();
    let running = store.running().filter_map(|job| match &job.stage {
        Stage::Running { worker_id, .. } => Some((job, worker_id)),
        _ => None,
    });
    let lost = running.filter(|(job, owner)| {
        let live = store.workers.get(*owner).is_some_and(|worker| {
            // The silence of a worker that came later says nothing: its heartbeat may not be due yet.
            worker.last_contact.instant >= to.instant || !run.workers.contains_key(*owner)
        });
        let concerned = run.only.as_ref().is_none_or(|only| only == *owner);
        !live && concerned && job.started_at.is_some_and(|started| started <= to.unix)
    });
    lost.map(|(job, _)| store.names.job(job.number)).collect()
}
