//! The state in memory: jobs and workers, with indexes that make every decision fast.

mod job;
mod names;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use rxon::model::Failure;
use rxon::{JobId, TaskId, TaskName, WorkerId};
use serde_json::value::RawValue;

use self::job::QueuePosition;
pub(crate) use self::job::{Job, Payloads, Stage};
pub(crate) use self::names::Names;
pub(crate) use self::worker::{Beat, Introduction, Worker};
use crate::clock::Now;
use crate::task::CheckedTask;
use crate::view::{TaskView, WorkerView};

/// A task as it is handed to a worker.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) number: u64,
    pub(crate) attempt: u32,
    pub(crate) job_id: JobId,
    pub(crate) task_id: TaskId,
    pub(crate) name: TaskName,
    pub(crate) params: Arc<RawValue>,
    pub(crate) priority: f64,
    /// The deadline, in seconds since 1970.
    pub(crate) deadline: f64,
}

/// Jobs and workers. Keeps its indexes consistent; makes no decisions.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) names: Names,
    last: u64,
    jobs: BTreeMap<u64, Job>,
    /// The waiting jobs, by the name of their task.
    queues: HashMap<TaskName, BTreeSet<QueuePosition>>,
    /// The times of the retries of resting jobs.
    retries: BTreeSet<(Instant, u64)>,
    /// The times at which the tries of running jobs are given up.
    deadlines: BTreeSet<(Instant, u64)>,
    /// The ended jobs, in the order in which they ended.
    ended: VecDeque<u64>,
    /// The memory of all jobs, in bytes.
    weight: usize,
    pub(crate) workers: HashMap<WorkerId, Worker>,
    /// The time of the last contact with each worker.
    silence: BTreeSet<(Instant, WorkerId)>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            names: Names::new(),
            last: 0,
            jobs: BTreeMap::new(),
            queues: HashMap::new(),
            retries: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            ended: VecDeque::new(),
            weight: 0,
            workers: HashMap::new(),
            silence: BTreeSet::new(),
        }
    }

    /// Adds a waiting job.
    pub(crate) fn add(&mut self, task: CheckedTask, now: Now) -> u64 {
        self.last += 1;
        let job = Job::new(self.last, task, now);
        self.weight += job.weight();
        self.queues.entry(job.name.clone()).or_default().insert(job.position());
        self.jobs.insert(self.last, job);
        self.last
    }

    pub(crate) fn job(&self, number: u64) -> Option<&Job> {
        self.jobs.get(&number)
    }

    /// Returns all jobs, the newest first.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().rev()
    }

    /// Returns the running jobs.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Job> {
        self.deadlines.iter().filter_map(|(_, number)| self.jobs.get(number))
    }

    /// Changes the data of a job, except its stage.
    pub(crate) fn update(&mut self, number: u64, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.jobs.get_mut(&number) {
            let before = job.weight();
            change(job);
            self.weight = self.weight - before + job.weight();
        }
    }

    /// Moves a job to another stage. An ended job is not moved.
    pub(crate) fn move_to(&mut self, number: u64, stage: Stage) {
        let Some(job) = self.jobs.get_mut(&number) else { return };
        let position = job.position();
        match &job.stage {
            Stage::Ended(_) => {
                debug_assert!(false, "job {number} has ended already");
                return;
            }
            Stage::Queued => {
                if let Some(queue) = self.queues.get_mut(&job.name) {
                    queue.remove(&position);
                    if queue.is_empty() {
                        self.queues.remove(&job.name);
                    }
                }
            }
            Stage::Resting { until, .. } => {
                self.retries.remove(&(*until, number));
            }
            Stage::Running { worker_id, until, .. } => {
                self.deadlines.remove(&(*until, number));
                if let Some(worker) = self.workers.get_mut(worker_id) {
                    worker.running.remove(&number);
                }
            }
        }
        match &stage {
            Stage::Queued => {
                self.queues.entry(job.name.clone()).or_default().insert(position);
            }
            Stage::Resting { until, .. } => {
                self.retries.insert((*until, number));
            }
            Stage::Running { worker_id, until, .. } => {
                self.deadlines.insert((*until, number));
                if let Some(worker) = self.workers.get_mut(worker_id) {
                    worker.running.insert(number);
                }
            }
            Stage::Ended(_) => self.ended.push_back(number),
        }
        job.stage = stage;
    }

    /// Returns the next job for a worker.
    pub(crate) fn next_for(&self, worker: &WorkerId) -> Option<u64> {
        let worker = self.workers.get(worker)?;
        let first = worker.accepts().filter_map(|name| self.queues.get(name)?.first()).min()?;
        Some(first.number)
    }

    /// Returns the number of waiting and running jobs.
    pub(crate) fn unended(&self) -> usize {
        self.jobs.len() - self.ended.len()
    }

    /// Returns the memory of all jobs, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// Removes ended jobs, the first to end first, until at most `max_ended` are left and all jobs take at most
    /// `max_weight` bytes.
    pub(crate) fn forget(&mut self, max_ended: usize, max_weight: usize) {
        while self.ended.len() > max_ended || self.weight > max_weight {
            let Some(number) = self.ended.pop_front() else { return };
            if let Some(job) = self.jobs.remove(&number) {
                self.weight -= job.weight();
            }
        }
    }

    /// Records a contact with a worker.
    pub(crate) fn record_contact(&mut self, worker_id: &WorkerId, now: Now) {
        if let Some(worker) = self.workers.get_mut(worker_id) {
            self.silence.remove(&(worker.last_contact.instant, worker_id.clone()));
            worker.last_contact = now;
            self.silence.insert((now.instant, worker_id.clone()));
        }
    }

    /// Adds a worker, or replaces the data of a known one; that one keeps the tasks it was given.
    pub(crate) fn introduce(&mut self, hello: Introduction, now: Now) {
        let worker_id = hello.worker_id.clone();
        let mut worker = Worker::new(hello, now);
        if let Some(known) = self.workers.remove(&worker_id) {
            self.silence.remove(&(known.last_contact.instant, worker_id.clone()));
            worker.running = known.running;
        }
        self.silence.insert((now.instant, worker_id.clone()));
        self.workers.insert(worker_id, worker);
    }

    /// Removes a worker; returns the numbers of the jobs it was given.
    pub(crate) fn dismiss(&mut self, worker_id: &WorkerId) -> BTreeSet<u64> {
        let Some(worker) = self.workers.remove(worker_id) else { return BTreeSet::new() };
        self.silence.remove(&(worker.last_contact.instant, worker_id.clone()));
        worker.running
    }

    /// Returns the worker that has been silent longest, and the time of its last contact.
    pub(crate) fn most_silent(&self) -> Option<&(Instant, WorkerId)> {
        self.silence.first()
    }

    /// Returns the earliest deadline of running jobs, and the number of that job.
    pub(crate) fn first_deadline(&self) -> Option<(Instant, u64)> {
        self.deadlines.first().copied()
    }

    /// Returns the earliest retry of resting jobs, and the number of that job.
    pub(crate) fn first_retry(&self) -> Option<(Instant, u64)> {
        self.retries.first().copied()
    }

    /// Returns the job with this job or task id.
    pub(crate) fn find(&self, id: &str) -> Option<&Job> {
        let number = self.names.read_job(id).or_else(|| Some(self.names.read_task(id)?.0))?;
        self.jobs.get(&number)
    }

    pub(crate) fn assignment(&self, job: &Job, deadline: f64) -> Assignment {
        Assignment {
            number: job.number,
            attempt: job.attempt,
            job_id: self.names.job(job.number),
            task_id: self.names.task(job.number, job.attempt),
            name: job.name.clone(),
            params: job.params.clone(),
            priority: job.priority,
            deadline,
        }
    }

    pub(crate) fn view(&self, job: &Job) -> TaskView {
        TaskView {
            job_id: self.names.job(job.number),
            task_id: self.names.task(job.number, job.attempt),
            name: job.name.clone(),
            status: job.stage.status(),
            result_status: job.result_status.clone(),
            priority: job.priority,
            attempts: job.attempts,
            cancel_requested: job.cancel_requested && !job.stage.status().is_ended(),
            progress: job.progress,
            progress_message: job.progress_message.clone(),
            worker_id: job.worker_id.clone(),
            params: Some(job.params.clone()),
            data: job.payloads.data.clone(),
            metadata: job.payloads.metadata.clone(),
            costs: job.payloads.costs.clone(),
            error: job.error.clone(),
            submitted_at: job.submitted_at,
            started_at: job.started_at,
            deadline: match job.stage {
                Stage::Running { deadline, .. } => Some(deadline),
                _ => None,
            },
            retry_at: match job.stage {
                Stage::Resting { retry_at, .. } => Some(retry_at),
                _ => None,
            },
            ended_at: job.ended_at,
        }
    }

    pub(crate) fn worker_view(
        &self,
        worker_id: &WorkerId,
        worker: &Worker,
        polls: usize,
        now: Now,
    ) -> WorkerView {
        WorkerView {
            worker_id: worker_id.clone(),
            worker_type: worker.label.clone(),
            status: worker.status.clone(),
            tasks: worker.tasks.iter().cloned().collect(),
            accepts: worker.accepts().cloned().collect(),
            running: worker.running.iter().map(|number| self.names.job(*number)).collect(),
            open_polls: polls,
            last_heard: now.instant.saturating_duration_since(worker.last_contact.instant).as_secs_f64(),
        }
    }
}

/// Returns a failure that the orchestrator has detected itself.
pub(crate) fn own_failure(code: rxon::model::ErrorCode, message: String) -> Failure {
    Failure { code, message, details: None }
}
