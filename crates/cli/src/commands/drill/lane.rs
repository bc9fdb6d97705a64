//! A development server with one copy of the worker, and what every disaster needs of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use avtomatika_dev::{DevOrchestrator, Event, Fault, FaultSwitch, Feed, TaskStatus, WorkerView};
use rxon::TaskId;
use tokio::time::{Instant, sleep, timeout_at};

use super::choice::{Task, Tasks};
use super::finding::ended;
use super::process::Process;
use super::space::Space;

/// The time between two looks at tasks and workers.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// The same while something short is to be caught.
const SHORT_LOOK: Duration = Duration::from_millis(1);

/// The most time that a task runs before something happens in its middle.
const MIDDLE: Duration = Duration::from_millis(500);

/// The time limit of tasks, beyond that of the drill: a result that does not come again is not covered up by another try.
pub(super) const NEVER: Duration = Duration::from_secs(600);

/// The time in which tasks are given to a worker that has recovered.
const UNDERWAY: Duration = Duration::from_secs(5);

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
        // One that has ended takes none.
        while Instant::now() < until && self.process.end().is_none() {
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
        let hits = hits(self.orchestrator, fault);
        self.orchestrator.set_fault(fault, FaultSwitch::off())?;
        Ok(hits)
    }

    /// Ends everything that a disaster left behind which could not be gone through.
    pub(super) async fn clear(&mut self) {
        for fault in Fault::ALL {
            let _ = self.orchestrator.set_fault(fault, FaultSwitch::off());
        }
        self.orchestrator.suspend_tokens(false);
        if let Ok(space) = self.space {
            let _ = space.empty();
        }
        self.process.kill().await;
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

/// The number of times that a fault has hit something since it was switched on.
pub(super) fn hits(orchestrator: &DevOrchestrator, fault: Fault) -> u64 {
    let states = orchestrator.faults();
    states.iter().find(|state| state.fault == fault).map_or(0, |state| state.hits)
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
