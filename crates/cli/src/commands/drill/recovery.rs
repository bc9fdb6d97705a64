//! The recovery of a worker after a disaster.

use std::time::Duration;

use anyhow::{Result, anyhow};
use avtomatika_dev::TaskStatus;
use tokio::time::{Instant, sleep};

use super::choice::Task;
use super::finding::{Finding, Verdict, count, ended};
use super::lane::{LOOK, Lane, NEVER, unix_seconds};

/// A recovery that takes longer says why.
const LONG: Duration = Duration::from_secs(3);

/// The least and the most time that a worker gets to recover.
const PATIENCE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(20)];

/// The time of one disaster, if its promise is broken.
const SHARE: Duration = Duration::from_secs(13);

/// What recovered how.
#[derive(Debug, Clone)]
pub(super) struct Recovered {
    /// The time since the end of the disaster.
    pub(super) after: Duration,
    /// The number of tasks.
    pub(super) tasks: usize,
    /// The number of them that were run more than once.
    pub(super) again: usize,
    /// What was missing last, if it took long.
    pub(super) last: Option<String>,
}

impl Recovered {
    /// The same in words.
    pub(super) fn sentence(&self) -> String {
        let after = self.after.as_secs_f64();
        let last = self.last.as_ref().map_or_else(String::new, |last| format!(" (until then, {last})"));
        let again = match self.again {
            0 => String::new(),
            again => format!(", {again} of them run again"),
        };
        format!("recovered after {after:.1} s{last}; {} ended{again}", count(self.tasks, "task"))
    }
}

impl Lane<'_, '_> {
    /// The time that the worker gets to recover, beside that of its tasks: more while there is enough left for what follows.
    pub(super) fn patience(&self) -> Duration {
        let [least, most] = PATIENCE;
        let left = self.pace.until.saturating_duration_since(Instant::now());
        left.saturating_sub(SHARE * self.left).clamp(least, most) + self.pace.slowness
    }

    /// Waits until all tasks have ended with success, and a heartbeat came after `since`. The problems are what is missing.
    pub(super) async fn recover(
        &mut self,
        jobs: &[String],
        since: f64,
        patience: Duration,
    ) -> Result<Recovered> {
        let (began, tasks) = (Instant::now(), jobs.len());
        let (mut open, mut again, mut last) = (jobs.to_vec(), 0, None);
        loop {
            // In this order: a worker that ends after its last answer has recovered all the same.
            let end = self.process.end();
            let mut failures = Vec::new();
            open.retain(|job| {
                let Some(view) = self.orchestrator.task(job) else { return false };
                if view.status == TaskStatus::Finished {
                    again += usize::from(view.attempts > 1);
                } else if view.status.is_ended() {
                    let error = view.error.as_ref();
                    let error = error.map_or_else(String::new, |error| {
                        format!(": {}: {}", error.code.as_str(), error.message)
                    });
                    failures.push(format!("a task ended as {}{error}", view.status));
                }
                !view.status.is_ended()
            });
            let mut missing = Vec::new();
            match self.worker() {
                None => missing.push("it did not register again".to_owned()),
                Some(worker) if worker.last_heartbeat_at.is_none_or(|at| at < since) => {
                    missing.push("no heartbeat was accepted".to_owned());
                }
                Some(_) => {}
            }
            missing.extend(self.unended(&open, tasks));
            if let Some(failure) = failures.first() {
                self.give_up(&open);
                return Err(anyhow!("{failure}"));
            }
            if missing.is_empty() {
                let after = began.elapsed();
                return Ok(Recovered { after, tasks, again, last: last.filter(|_| after > LONG) });
            }
            if let Some(end) = end {
                self.give_up(&open);
                return Err(anyhow!("the worker {}; {}", ended(end), missing.join("; ")));
            }
            if began.elapsed() > patience {
                self.give_up(&open);
                return Err(anyhow!("within {} s, {}", patience.as_secs(), missing.join("; ")));
            }
            last = Some(missing.join("; "));
            sleep(LOOK).await;
        }
    }

    /// Says which tasks have not ended.
    fn unended(&self, open: &[String], tasks: usize) -> Option<String> {
        let (running, all) = (self.count(open, TaskStatus::Running), count(tasks, "task"));
        match (open.len(), running) {
            (0, _) => None,
            (waiting, 0) => Some(format!("{waiting} of {all} were not taken")),
            (_, running) => Some(format!("{running} of {all} got no result")),
        }
    }

    /// Submits one more task, and waits until all of them have ended, for `more` longer than usual. Returns the finding of a
    /// worker that has recovered; else what is missing breaks its promise.
    pub(super) async fn settle(
        &mut self,
        task: &Task,
        mut jobs: Vec<String>,
        since: f64,
        more: Duration,
        found: impl FnOnce(&Self, Recovered) -> Finding,
    ) -> Result<Finding> {
        jobs.extend(self.submit(task, 1, NEVER)?);
        let patience = self.patience() + more + task.time_of(jobs.len());
        Ok(match self.recover(&jobs, since, patience).await {
            Err(missing) => Finding::broken(missing.to_string()),
            Ok(recovered) => found(self, recovered),
        })
    }

    /// The same after a new start of the worker. A worker that has recovered keeps its promise, with this reason.
    pub(super) async fn start_again(
        &mut self,
        task: &Task,
        jobs: Vec<String>,
        more: Duration,
        reason: impl FnOnce(&Self, Recovered) -> String,
    ) -> Result<Finding> {
        let since = unix_seconds();
        if let Err(problem) = self.start().await {
            self.give_up(&jobs);
            return Ok(Finding::broken(problem.to_string()));
        }
        let held = |lane: &Self, recovered| Finding::held(reason(lane, recovered));
        let mut finding = self.settle(task, jobs, since, more, held).await?;
        if finding.verdict == Verdict::Broken {
            finding.reason = format!("after the new start: {}", finding.reason);
        }
        Ok(finding)
    }
}
