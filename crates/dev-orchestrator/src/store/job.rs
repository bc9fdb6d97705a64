//! One submitted task with its history.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rxon::model::Failure;
use rxon::{TaskName, WorkerId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::blueprint::{Course, Step};
use crate::clock::Now;
use crate::story::{Entry, Story, What};
use crate::task::CheckedTask;
use crate::view::TaskStatus;

/// The number of abandoned tries of a job that workers can still be asked to stop; the oldest beyond it are dropped.
const MAX_ABANDONED: usize = 16;

/// The number of earlier tries that are shown; the oldest beyond it are dropped.
const MAX_TRIES: usize = 100;

/// The number of retries of an ended job that it names; the oldest beyond it are dropped.
const MAX_RETRIED_AS: usize = 100;

/// The memory of a job without its texts and its story, in bytes: the structure itself, its entries in the indexes, and
/// what the allocator adds. Measured with 100,000 ended jobs, of which each took 1,170 bytes with 380 in texts and story.
const OVERHEAD: usize = 800;

/// The memory of an earlier try without its failure, in bytes.
const TRY_OVERHEAD: usize = 64;

/// A task. Its row in the database has all fields but those that are skipped, which have rows of their own or follow from
/// others.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The position in the order of arrival, and the key.
    #[serde(skip)]
    pub(crate) number: u64,
    pub(crate) name: TaskName,
    #[serde(skip, default = "no_params")]
    pub(crate) params: Arc<RawValue>,
    pub(crate) priority: f64,
    pub(crate) timeout: Duration,
    /// The way through a blueprint, if the job has one.
    pub(crate) course: Option<Course>,
    /// The first job of those that were retried by a person, if this job is a retry.
    pub(crate) of: Option<u64>,
    /// The jobs that retry this one, the oldest first.
    retried_as: Vec<u64>,
    /// The number of the current try, part of its task id.
    pub(crate) attempt: u32,
    /// The number of times that a worker was given the job.
    pub(crate) attempts: u32,
    pub(crate) stage: Stage,
    pub(crate) cancel_requested: bool,
    pub(crate) progress: Option<f64>,
    pub(crate) progress_message: Option<String>,
    /// The worker that has the job, or had it last.
    pub(crate) worker_id: Option<WorkerId>,
    /// Tries that were given up although a worker may still be busy with them.
    abandoned: Vec<u32>,
    /// The tries before the current one.
    tries: Vec<Try>,
    pub(crate) result_status: Option<String>,
    pub(crate) payloads: Payloads,
    pub(crate) error: Option<Arc<Failure>>,
    #[serde(skip, default = "Story::new")]
    pub(crate) story: Story,
    #[serde(skip, default = "Instant::now")]
    pub(crate) submitted: Instant,
    pub(crate) submitted_at: f64,
    pub(crate) started_at: Option<f64>,
    pub(crate) ended_at: Option<f64>,
}

/// A try that failed, and was followed by another one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Try {
    pub(crate) attempt: u32,
    pub(crate) worker_id: Option<WorkerId>,
    pub(crate) started_at: Option<f64>,
    pub(crate) ended_at: f64,
    pub(crate) error: Option<Arc<Failure>>,
}

/// The objects in the last result of a job, unchanged.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Payloads {
    pub(crate) data: Option<Arc<RawValue>>,
    pub(crate) metadata: Option<Arc<RawValue>>,
    pub(crate) costs: Option<Arc<RawValue>>,
}

/// The stage of a job, with the data that only matters in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Stage {
    Queued,
    /// Waits for the time of its retry.
    Resting {
        #[serde(skip, default = "Instant::now")]
        until: Instant,
        /// The same time, in seconds since 1970.
        retry_at: f64,
    },
    Running {
        worker_id: WorkerId,
        /// The time at which the try is given up.
        #[serde(skip, default = "Instant::now")]
        until: Instant,
        /// The deadline that the worker was sent, in seconds since 1970.
        deadline: f64,
    },
    Ended(TaskStatus),
}

impl Stage {
    pub(crate) fn status(&self) -> TaskStatus {
        match self {
            Self::Queued | Self::Resting { .. } => TaskStatus::Queued,
            Self::Running { .. } => TaskStatus::Running,
            Self::Ended(status) => *status,
        }
    }
}

/// The position of a job in its queue: higher priority first, then the order of arrival.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuePosition {
    priority: f64,
    pub(crate) number: u64,
}

impl Ord for QueuePosition {
    fn cmp(&self, other: &Self) -> Ordering {
        other.priority.total_cmp(&self.priority).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for QueuePosition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for QueuePosition {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for QueuePosition {}

impl Job {
    pub(crate) fn new(number: u64, task: CheckedTask, of: Option<u64>, now: Now) -> Self {
        let mut job = Self {
            number,
            name: task.name,
            params: task.params,
            // Turns -0.0, which would sort below 0.0, into 0.0.
            priority: task.priority + 0.0,
            timeout: task.timeout,
            course: task.course,
            of,
            retried_as: Vec::new(),
            attempt: 1,
            attempts: 0,
            stage: Stage::Queued,
            cancel_requested: false,
            progress: None,
            progress_message: None,
            worker_id: None,
            abandoned: Vec::new(),
            tries: Vec::new(),
            result_status: None,
            payloads: Payloads::default(),
            error: None,
            story: Story::new(),
            submitted: now.instant,
            submitted_at: now.unix,
            started_at: None,
            ended_at: None,
        };
        if let Some(course) = &mut job.course {
            course.arrive(job.attempt, now.unix);
        }
        job.record(What::Submitted, now);
        job
    }

    pub(crate) fn position(&self) -> QueuePosition {
        QueuePosition { priority: self.priority, number: self.number }
    }

    /// Whether this worker runs the job now.
    pub(crate) fn runs_at(&self, worker: &WorkerId) -> bool {
        matches!(&self.stage, Stage::Running { worker_id, .. } if worker_id == worker)
    }

    /// Whether a worker has this try now.
    pub(crate) fn is_running(&self, attempt: u32) -> bool {
        self.attempt == attempt && matches!(self.stage, Stage::Running { .. })
    }

    /// Adds an event of the current try to the story.
    pub(crate) fn record(&mut self, what: What, now: Now) {
        self.record_of(self.attempt, what, now);
    }

    /// Adds an event of a try to the story.
    pub(crate) fn record_of(&mut self, attempt: u32, what: What, now: Now) {
        let worker_id = self.worker_id.clone().filter(|_| what.has_worker());
        let at = now.instant.saturating_duration_since(self.submitted);
        self.story.add(Entry::new(at, attempt, worker_id, what));
    }

    /// Ends the current try, and begins the next one.
    pub(crate) fn begin_next_try(&mut self, now: Now) {
        if self.tries.len() == MAX_TRIES {
            self.tries.remove(0);
        }
        self.tries.push(Try {
            attempt: self.attempt,
            worker_id: self.worker_id.clone(),
            started_at: self.started_at,
            ended_at: now.unix,
            error: self.error.clone(),
        });
        self.attempt += 1;
        self.progress = None;
        self.progress_message = None;
    }

    /// Begins the next step of a blueprint with its first try.
    pub(crate) fn begin_step(&mut self, step: Step, now: Now) {
        self.attempt += 1;
        self.name = step.name;
        self.params = step.params;
        self.cancel_requested = false;
        self.progress = None;
        self.progress_message = None;
        self.result_status = None;
        self.payloads = Payloads::default();
        self.error = None;
        if let Some(course) = &self.course {
            let entered = What::entered(&course.state);
            self.record(entered, now);
        }
    }

    /// The number of the current try, counted from the begin of the present step.
    pub(crate) fn tries_of_step(&self) -> u32 {
        self.course.as_ref().map_or(self.attempt, |course| course.tries(self.attempt))
    }

    /// Goes back to the try before, as if it had not been given up.
    pub(crate) fn return_to_last_try(&mut self) {
        let Some(last) = self.tries.pop() else { return };
        self.attempt = last.attempt;
        self.worker_id = last.worker_id;
        self.started_at = last.started_at;
        self.error = None;
        self.abandoned.retain(|attempt| *attempt != last.attempt);
    }

    pub(crate) fn tries(&self) -> &[Try] {
        &self.tries
    }

    /// Records that a person has retried the job as another one.
    pub(crate) fn retried_as(&mut self, number: u64, now: Now) {
        if self.retried_as.len() == MAX_RETRIED_AS {
            self.retried_as.remove(0);
        }
        self.retried_as.push(number);
        self.record(What::Retried(number), now);
    }

    pub(crate) fn retries(&self) -> &[u64] {
        &self.retried_as
    }

    /// Records that a worker may still be busy with the current try, although its result no longer counts.
    pub(crate) fn abandon(&mut self) {
        if self.abandoned.len() == MAX_ABANDONED {
            self.abandoned.remove(0);
        }
        self.abandoned.push(self.attempt);
    }

    /// Whether a worker that is busy with this try should stop.
    pub(crate) fn is_abandoned(&self, attempt: u32) -> bool {
        self.abandoned.contains(&attempt)
    }

    /// The approximate memory of the job, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let Payloads { data, metadata, costs } = &self.payloads;
        let payloads: usize =
            [data, metadata, costs].into_iter().flatten().map(|payload| payload.get().len()).sum();
        let texts = [&self.progress_message, &self.result_status];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let tries: usize =
            self.tries.iter().map(|earlier| TRY_OVERHEAD + failure_weight(earlier.error.as_ref())).sum();
        let course = self.course.as_ref().map_or(0, Course::weight);
        let history = self.story.weight() + tries + self.retried_as.len() * size_of::<u64>() + course;
        OVERHEAD + self.params.get().len() + payloads + failure_weight(self.error.as_ref()) + texts + history
    }
}

/// Stands for parameters until their own row is read.
fn no_params() -> Arc<RawValue> {
    RawValue::NULL.to_owned().into()
}

fn failure_weight(failure: Option<&Arc<Failure>>) -> usize {
    failure.map_or(0, |failure| {
        failure.code.as_str().len()
            + failure.message.len()
            + failure.details.as_ref().map_or(0, |details| details.get().len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_by_priority_and_then_by_arrival() {
        let at = |priority, number| QueuePosition { priority, number };
        let mut positions = [at(0.0, 1), at(5.0, 3), at(-1.0, 0), at(5.0, 2), at(f64::MAX, 9)];
        positions.sort();
        assert_eq!(positions.map(|position| position.number), [9, 2, 3, 1, 0]);
    }
}
