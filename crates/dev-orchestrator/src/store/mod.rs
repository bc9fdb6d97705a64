//! The state in memory: jobs and workers, with indexes that make every decision fast.

mod job;
mod kept;
mod names;
mod skills;
mod views;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rxon::model::Failure;
use rxon::{JobId, TaskId, TaskName, WorkerId};
use serde_json::value::RawValue;

use self::job::QueuePosition;
pub(crate) use self::job::{Job, Payloads, Stage};
pub(crate) use self::kept::KeptStore;
use self::kept::Ledger;
pub(crate) use self::names::Names;
pub(crate) use self::skills::About;
use self::skills::Skills;
pub(crate) use self::worker::{Beat, Equipment, Hot, Introduction, Worker};
use crate::clock::Now;
use crate::story::Inputs;
use crate::task::CheckedTask;
use crate::view::TaskStatus;

/// The time for which a worker that was given up can be looked at.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// The number of workers that were given up and can be looked at; the oldest beyond it are forgotten.
const MAX_GONE: usize = 1000;

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
    /// Boxed, because half of the places in a tree are empty.
    jobs: BTreeMap<u64, Box<Job>>,
    /// The number of jobs in each status, in the order of [`TaskStatus::ALL`].
    counts: [usize; TaskStatus::ALL.len()],
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
    /// The workers that were given up, with the time.
    gone: HashMap<WorkerId, (Now, Worker)>,
    /// The workers with a websocket, registered or not.
    websockets: HashSet<WorkerId>,
    skills: Skills,
    /// The objects that the parameters of running jobs name.
    inputs: Inputs,
    /// What has changed since the last [`Store::hand_over`]; `None` if nothing is kept.
    ledger: Option<Ledger>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            names: Names::new(),
            last: 0,
            jobs: BTreeMap::new(),
            counts: [0; TaskStatus::ALL.len()],
            queues: HashMap::new(),
            retries: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            ended: VecDeque::new(),
            weight: 0,
            workers: HashMap::new(),
            silence: BTreeSet::new(),
            gone: HashMap::new(),
            websockets: HashSet::new(),
            skills: Skills::default(),
            inputs: Inputs::default(),
            ledger: None,
        }
    }

    /// Adds a waiting job; `of` is the first job of those that it retries.
    pub(crate) fn add(&mut self, task: CheckedTask, of: Option<u64>, now: Now) -> u64 {
        self.last += 1;
        let mut job = Job::new(self.last, task, of, now);
        if let Some(ledger) = &mut self.ledger {
            ledger.add(&mut job);
        }
        self.weight += job.weight();
        self.counts[TaskStatus::Queued as usize] += 1;
        self.queues.entry(job.name.clone()).or_default().insert(job.position());
        self.jobs.insert(self.last, Box::new(job));
        self.last
    }

    pub(crate) fn job(&self, number: u64) -> Option<&Job> {
        self.jobs.get(&number).map(|job| &**job)
    }

    /// Returns all jobs, the newest first.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs_below(u64::MAX)
    }

    /// Returns the jobs that were submitted before this one, the newest first.
    pub(crate) fn jobs_below(&self, number: u64) -> impl Iterator<Item = &Job> {
        self.jobs.range(..number).rev().map(|(_, job)| &**job)
    }

    /// Returns the number of jobs in a status.
    pub(crate) fn count(&self, status: TaskStatus) -> usize {
        self.counts[status as usize]
    }

    /// Returns the running jobs.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Job> {
        self.deadlines.iter().filter_map(|(_, number)| self.job(*number))
    }

    /// Changes the data of a job, except its stage.
    pub(crate) fn update(&mut self, number: u64, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.jobs.get_mut(&number) {
            let before = job.weight();
            change(job);
            self.weight = self.weight - before + job.weight();
            self.note(number);
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
                self.inputs.forget(number);
                if let Some(worker) = self.workers.get_mut(worker_id) {
                    worker.running.remove(&number);
                }
            }
        }
        if let Stage::Ended(_) = stage {
            self.ended.push_back(number);
        }
        self.counts[job.stage.status() as usize] -= 1;
        self.counts[stage.status() as usize] += 1;
        job.stage = stage;
        self.index(number);
        self.note(number);
    }

    /// Adds a job that has not ended to the indexes of its stage.
    fn index(&mut self, number: u64) {
        let Some(job) = self.jobs.get(&number) else { return };
        match &job.stage {
            Stage::Queued => {
                self.queues.entry(job.name.clone()).or_default().insert(job.position());
            }
            Stage::Resting { until, .. } => {
                self.retries.insert((*until, number));
            }
            Stage::Running { worker_id, until, .. } => {
                self.deadlines.insert((*until, number));
                self.inputs.watch(number, job.params.get());
                if let Some(worker) = self.workers.get_mut(worker_id) {
                    worker.running.insert(number);
                }
            }
            Stage::Ended(_) => {}
        }
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
                self.counts[job.stage.status() as usize] -= 1;
                self.weight -= job.weight();
                if let Some(ledger) = &mut self.ledger {
                    ledger.remove(&job);
                }
            }
        }
    }

    /// Records a contact with a worker.
    pub(crate) fn record_contact(&mut self, worker_id: &WorkerId, now: Now) {
        if let Some(worker) = self.workers.get_mut(worker_id) {
            self.silence.remove(&(worker.last_contact.instant, worker_id.clone()));
            worker.last_contact = now;
            worker.is_heard = true;
            self.silence.insert((now.instant, worker_id.clone()));
        }
    }

    /// Adds a worker, or replaces the data of a known one; that one keeps the tasks it was given.
    pub(crate) fn introduce(&mut self, hello: Introduction, now: Now) {
        let worker_id = hello.worker_id.clone();
        self.learn(&hello.tasks, &hello.skills);
        self.gone.remove(&worker_id);
        let mut worker = Worker::new(hello, now);
        if let Some(known) = self.workers.remove(&worker_id) {
            self.silence.remove(&(known.last_contact.instant, worker_id.clone()));
            worker.running = known.running;
        }
        self.silence.insert((now.instant, worker_id.clone()));
        self.note_worker(&worker_id);
        self.workers.insert(worker_id, worker);
    }

    /// Applies a heartbeat. Returns `false` for an unknown worker.
    pub(crate) fn apply(&mut self, worker_id: &WorkerId, beat: Option<Beat>, now: Now) -> bool {
        let Some(worker) = self.workers.get_mut(worker_id) else { return false };
        worker.last_heartbeat_at = Some(now.unix);
        if let Some(beat) = beat {
            let (tasks, skills) = (beat.tasks.clone().unwrap_or_default(), beat.skills.clone());
            worker.apply(beat);
            self.learn(&tasks, &skills);
        }
        self.note_worker(worker_id);
        true
    }

    /// Remembers the tasks of a worker, and their descriptions.
    fn learn<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a TaskName>,
        descriptions: &[(TaskName, About)],
    ) {
        for name in names {
            self.skills.name(name);
            self.note_skill(name);
        }
        for (name, about) in descriptions {
            self.skills.describe(name, about.clone());
            self.note_skill(name);
        }
    }

    /// Removes a worker; returns the numbers of the jobs it was given.
    pub(crate) fn dismiss(&mut self, worker_id: &WorkerId, now: Now) -> BTreeSet<u64> {
        let Some(mut worker) = self.workers.remove(worker_id) else { return BTreeSet::new() };
        self.note_worker(worker_id);
        self.silence.remove(&(worker.last_contact.instant, worker_id.clone()));
        let running = std::mem::take(&mut worker.running);
        if self.gone.len() >= MAX_GONE {
            let oldest = self.gone.iter().min_by_key(|(_, (since, _))| since.instant);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.gone.remove(&oldest);
            }
        }
        self.gone.insert(worker_id.clone(), (now, worker));
        running
    }

    /// Records whether a worker has a websocket.
    pub(crate) fn set_websocket(&mut self, worker_id: &WorkerId, is_open: bool) {
        if is_open {
            self.websockets.insert(worker_id.clone());
        } else {
            self.websockets.remove(worker_id);
        }
    }

    /// Returns the running jobs that an object of the storage belongs to: it is below their job id or the task id of
    /// their current try, or their parameters name it.
    pub(crate) fn jobs_of_object(&self, bucket: &str, key: &str) -> BTreeSet<u64> {
        let mut jobs = self.inputs.jobs(bucket, key);
        let folder = key.split_once('/').map_or("", |(folder, _)| folder);
        let owner = match self.names.read_task(folder) {
            Some((number, attempt)) => self.job(number).filter(|job| job.attempt == attempt),
            None => self.names.read_job(folder).and_then(|number| self.job(number)),
        };
        jobs.extend(owner.filter(|job| job.is_running(job.attempt)).map(|job| job.number));
        jobs
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
        self.job(self.names.read_job(id).or_else(|| Some(self.names.read_task(id)?.0))?)
    }
}

/// Returns a failure that the orchestrator has detected itself.
pub(crate) fn own_failure(code: rxon::model::ErrorCode, message: String) -> Failure {
    Failure { code, message, details: None }
}
