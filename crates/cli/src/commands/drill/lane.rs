//! A development server with one copy of the worker, and what every disaster needs of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use avtomatika_dev::{DevOrchestrator, Event, Fault, FaultSwitch, Feed, TaskStatus, WorkerView};
use rxon::TaskId;
use tokio::time::{Instant, sleep, timeout_at};

use super::choice::{Task, Tasks};
use super::finding::{count, ended};
use super::process::Process;
use super::space::Space;

/// The time between two looks at tasks and workers.
const LOOK: Duration = Duration::from_millis(5);

/// The same while something short is to be caught.
const SHORT_LOOK: Duration = Duration::from_millis(1);

/// A recovery that takes longer says why.
const LONG: Duration = Duration::from_secs(3);

/// The most time that a task runs before something happens in its middle.
const MIDDLE: Duration = Duration::from_millis(500);

/// The time limit of tasks, beyond that of the drill: a result that does not come again is not covered up by another try.
pub(super) const NEVER: Duration = Duration::from_secs(600);

/// The time in which tasks are given to a worker that has recovered.
const UNDERWAY: Duration = Duration::from_secs(5);

/// The least and the most time that a worker gets to recover.
const PATIENCE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(20)];

/// The time of one disaster, if its promise is broken.
const SHARE: Duration = Duration::from_secs(13);

/// A server with a worker.
pub(super) struct Lane<'a, 'p> {
    pub(super) orchestrator: &'a DevOrchestrator,
    pub(super) process: &'a mut Process<'p>,
    pub(super) tasks: Tasks,
    pub(super) pace: Pace,
    /// The number of disasters that follow the present one.
    pub(super) left: u32,
    /// The disk of the worker, or the reason why it has none of its own.
    pub(super) space: std::result::Result<&'a Space, &'a str>,
}

/// The times of the drill.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The time at which everything has to be over.
    pub(super) until: Instant,
    /// The time that the worker has to register.
    pub(super) register: Duration,
    /// The shutdown time of the worker.
    pub(super) shutdown: Duration,
    /// The time that the worker waits longer than it has to, since its environment says so.
    pub(super) slowness: Duration,
}

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
    /// Starts the worker, if it does not run, and waits until it is registered.
    pub(super) async fn start(&mut self) -> Result<WorkerView> {
        let since = unix_seconds();
        self.process.start().await;
        registered(self.orchestrator, self.process, since, self.pace.register).await
    }

    /// Makes sure that the worker takes tasks, before a disaster.
    pub(super) async fn ensure(&mut self) -> Result<()> {
        if self.process.end().is_none() && self.worker().is_some() {
            return Ok(());
        }
        self.process.kill().await;
        self.start().await.map(drop)
    }

    /// The worker, as it registered last.
    pub(super) fn worker(&self) -> Option<WorkerView> {
        latest(self.orchestrator)
    }

    /// Submits this number of tasks.
    pub(super) fn submit(&self, task: &Task, count: usize, limit: Duration) -> Result<Vec<String>> {
        submit(self.orchestrator, task, count, limit)
    }

    /// Ends the worker in some way while tasks run: a long task is in its middle, and of quick ones there are always more.
    /// Returns the tasks; `None` if none could be caught.
    pub(super) async fn end_in_task<T>(
        &mut self,
        task: &Task,
        limit: Duration,
        end: impl AsyncFnOnce(&mut Process<'_>) -> T,
    ) -> Result<Option<(Vec<String>, T)>> {
        let mut jobs = self.submit(task, task.crowd(), limit)?;
        if !self.until_underway(&jobs).await {
            self.give_up(&jobs);
            return Ok(None);
        }
        if task.is_long() {
            sleep((task.takes / 3).min(MIDDLE)).await;
            let ended = end(self.process).await;
            return Ok(Some((jobs, ended)));
        }
        let orchestrator = self.orchestrator;
        let status = |job: &String| orchestrator.task(job).map(|view| view.status);
        let mut ending = std::pin::pin!(end(self.process));
        loop {
            tokio::select! {
                biased;
                ended = &mut ending => return Ok(Some((jobs, ended))),
                () = sleep(SHORT_LOOK) => {}
            }
            if jobs.last().and_then(status) != Some(TaskStatus::Queued) {
                jobs.extend(submit(orchestrator, task, task.crowd(), limit)?);
            }
        }
    }

    /// Waits until some of the tasks run: one is seen to run, or the first ones have ended and others have not.
    pub(super) async fn until_underway(&self, jobs: &[String]) -> bool {
        let until = Instant::now() + UNDERWAY;
        while Instant::now() < until {
            let first = jobs.first().and_then(|job| self.status(job));
            if self.count(jobs, TaskStatus::Running) > 0 {
                return true;
            }
            if first.is_some_and(TaskStatus::is_ended) {
                return !jobs.last().and_then(|job| self.status(job)).is_none_or(TaskStatus::is_ended);
            }
            sleep(SHORT_LOOK).await;
        }
        false
    }

    /// The ids of those that run.
    pub(super) fn running(&self, jobs: &[String]) -> Vec<TaskId> {
        let views = jobs.iter().filter_map(|job| self.orchestrator.task(job));
        views.filter(|view| view.status == TaskStatus::Running).map(|view| view.task_id).collect()
    }

    /// The number of tasks in this status.
    pub(super) fn count(&self, jobs: &[String], status: TaskStatus) -> usize {
        jobs.iter().filter(|job| self.status(job) == Some(status)).count()
    }

    fn status(&self, job: &str) -> Option<TaskStatus> {
        self.orchestrator.task(job).map(|view| view.status)
    }

    /// Switches a fault on, and returns a feed of what it hits.
    pub(super) fn switch_on(&self, fault: Fault, switch: FaultSwitch) -> Result<Feed> {
        let feed = self.orchestrator.subscribe();
        self.orchestrator.set_fault(fault, switch)?;
        Ok(feed)
    }

    /// Switches a fault off. Returns the number of times that it has hit something.
    pub(super) fn switch_off(&self, fault: Fault) -> Result<u64> {
        let states = self.orchestrator.faults();
        let hits = states.iter().find(|state| state.fault == fault).map_or(0, |state| state.hits);
        self.orchestrator.set_fault(fault, FaultSwitch::off())?;
        Ok(hits)
    }

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

    /// Cancels tasks that have not ended.
    pub(super) fn give_up(&self, jobs: &[String]) {
        for job in jobs {
            // One that has just ended needs no end.
            let _ = self.orchestrator.cancel(job);
        }
    }
}

/// Waits until a worker has registered after `since`.
pub(super) async fn registered(
    orchestrator: &DevOrchestrator,
    process: &Process<'_>,
    since: f64,
    limit: Duration,
) -> Result<WorkerView> {
    let until = Instant::now() + limit;
    loop {
        if let Some(worker) = latest(orchestrator).filter(|worker| worker.registered_at >= since) {
            return Ok(worker);
        }
        if let Some(end) = process.end() {
            return Err(anyhow!("the worker {} before it registered", ended(end)));
        }
        if Instant::now() > until {
            return Err(anyhow!("the worker did not register within {} s", limit.as_secs_f64()));
        }
        sleep(LOOK).await;
    }
}

/// Waits until a fault hits the result of one of these tasks. Returns whether it did.
pub(super) async fn result_hit(feed: &mut Feed, fault: Fault, running: &[TaskId], until: Instant) -> bool {
    let hit = async {
        loop {
            match feed.next().await {
                Some(Event::FaultHit { name, task_id: Some(id), is_result: true, .. })
                    if name == fault && running.contains(&id) =>
                {
                    return true;
                }
                Some(_) => {}
                None => return false,
            }
        }
    };
    timeout_at(until, hit).await.unwrap_or(false)
}

fn submit(orchestrator: &DevOrchestrator, task: &Task, count: usize, limit: Duration) -> Result<Vec<String>> {
    let one = || {
        let submitted = orchestrator.submit(task.new_task().with_timeout(limit))?;
        Ok(submitted.job_id.as_str().to_owned())
    };
    (0..count).map(|_| one()).collect()
}

/// The time, in seconds since 1970.
pub(super) fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

fn latest(orchestrator: &DevOrchestrator) -> Option<WorkerView> {
    orchestrator.workers().into_iter().max_by(|one, other| one.registered_at.total_cmp(&other.registered_at))
}
