//! One run of a fault: what is observed from its start until every worker has recovered.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use rxon::WorkerId;

use super::recent::Recent;
use super::table::Fault;
use crate::clock::Now;

/// The number of results that are remembered as not acknowledged.
const MAX_WAITING: usize = 100_000;

/// The observations from the start of a fault to its verdict.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) fault: Fault,
    pub(super) from: Now,
    /// The end; `None` while the fault is on.
    pub(super) to: Option<Now>,
    /// The only worker that is concerned; `None` stands for all.
    pub(super) only: Option<WorkerId>,
    /// The workers that were there at the start.
    pub(super) workers: BTreeMap<WorkerId, Recovery>,
    /// The number of requests while the fault was on.
    pub(super) requests: u64,
    /// The number of results that were sent again.
    pub(super) results_again: u64,
    results: Recent,
    /// The task ids of results that no worker has an answer to, with their workers.
    waiting: HashMap<String, WorkerId>,
}

/// The steps of one worker's recovery, since the end of the fault.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// Whether a heartbeat was accepted.
    pub(super) beat: bool,
    /// Whether a poll was accepted.
    pub(super) poll: bool,
}

impl Run {
    pub(super) fn new(fault: Fault, only: Option<WorkerId>, there: &[WorkerId], now: Now) -> Self {
        let concerned = there.iter().filter(|worker| only.as_ref().is_none_or(|only| only == *worker));
        let workers = concerned.map(|worker| (worker.clone(), Recovery::default())).collect();
        Self {
            fault,
            from: now,
            to: None,
            only,
            workers,
            requests: 0,
            results_again: 0,
            results: Recent::default(),
            waiting: HashMap::new(),
        }
    }

    /// Begins to wait for the recovery. A poll that is held already has been accepted.
    pub(super) fn end(&mut self, polling: &HashSet<WorkerId>, now: Now) {
        self.to = Some(now);
        for (worker, recovery) in &mut self.workers {
            *recovery = Recovery { beat: false, poll: polling.contains(worker) };
        }
    }

    pub(super) fn on_request(&mut self, worker: Option<&str>, result: Option<&str>) {
        if self.only.as_ref().is_some_and(|only| worker != Some(only.as_str())) {
            return;
        }
        if self.to.is_none() {
            self.requests += 1;
        }
        if result.is_some_and(|task| !self.results.is_new(task)) {
            self.results_again += 1;
        }
    }

    pub(super) fn on_heartbeat(&mut self, worker: &str) {
        if let Some(recovery) = self.recovery(worker) {
            recovery.beat = true;
        }
    }

    pub(super) fn on_poll(&mut self, worker: &str) {
        if let Some(recovery) = self.recovery(worker) {
            recovery.poll = true;
        }
    }

    /// Records whether the answer to a result has reached its worker.
    pub(super) fn on_result(&mut self, worker: &str, task: &str, answered: bool) {
        if answered {
            self.waiting.remove(task);
        } else if self.waiting.len() < MAX_WAITING
            && let Some((worker, _)) = self.workers.get_key_value(worker)
        {
            self.waiting.insert(task.to_owned(), worker.clone());
        }
    }

    /// Whether every worker has had a heartbeat, a poll and the results that waited accepted.
    pub(super) fn is_recovered(&self) -> bool {
        let recovered = |recovery: &Recovery| recovery.beat && recovery.poll;
        self.to.is_some() && self.workers.values().all(recovered) && self.waiting.is_empty()
    }

    /// The time at which the verdict is due, once the fault is off.
    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.to?.instant + self.fault.patience())
    }

    /// The time since the end of the fault.
    pub(super) fn recovered_after(&self, now: Now) -> Duration {
        self.to.map_or(Duration::ZERO, |to| now.instant.saturating_duration_since(to.instant))
    }

    /// Returns what is still missing, for people: one sentence for each worker, at most 5 of them.
    pub(super) fn missing(&self) -> Vec<String> {
        let waiting = |worker: &WorkerId| self.waiting.values().filter(|owner| *owner == worker).count();
        let missing = self.workers.iter().filter_map(|(worker, recovery)| {
            let what = match (recovery, waiting(worker)) {
                (Recovery { beat: false, .. }, _) => "no heartbeat was accepted".to_owned(),
                (Recovery { poll: false, .. }, _) => "no poll was accepted".to_owned(),
                (_, 0) => return None,
                (_, count) => format!("{count} of its results were not sent again"),
            };
            Some(format!("`{worker}`: {what}"))
        });
        missing.take(5).collect()
    }

    fn recovery(&mut self, worker: &str) -> Option<&mut Recovery> {
        // Before the end only the answers to results count.
        self.to?;
        self.workers.get_mut(worker)
    }
}
