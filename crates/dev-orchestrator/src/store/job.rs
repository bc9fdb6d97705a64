//! One submitted task with its history.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rxon::model::Failure;
use rxon::{TaskName, WorkerId};
use serde_json::value::RawValue;

use crate::clock::Now;
use crate::task::CheckedTask;
use crate::view::TaskStatus;

/// The number of abandoned tries of a job that workers can still be asked to stop; the oldest beyond it are dropped.
const MAX_ABANDONED: usize = 16;

/// The memory of a job without its texts, in bytes: the structure itself, and its entries in the indexes.
const OVERHEAD: usize = 1024;

#[derive(Debug)]
pub(crate) struct Job {
    /// The position in the order of arrival, and the key.
    pub(crate) number: u64,
    pub(crate) name: TaskName,
    pub(crate) params: Arc<RawValue>,
    pub(crate) priority: f64,
    pub(crate) timeout: Duration,
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
    pub(crate) result_status: Option<String>,
    pub(crate) payloads: Payloads,
    pub(crate) error: Option<Arc<Failure>>,
    pub(crate) submitted_at: f64,
    pub(crate) started_at: Option<f64>,
    pub(crate) ended_at: Option<f64>,
}

/// The objects in the last result of a job, unchanged.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    pub(crate) data: Option<Arc<RawValue>>,
    pub(crate) metadata: Option<Arc<RawValue>>,
    pub(crate) costs: Option<Arc<RawValue>>,
}

/// The stage of a job, with the data that only matters in it.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    Queued,
    /// Waits for the time of its retry.
    Resting {
        until: Instant,
        /// The same time, in seconds since 1970.
        retry_at: f64,
    },
    Running {
        worker_id: WorkerId,
        /// The time at which the try is given up.
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
    pub(crate) fn new(number: u64, task: CheckedTask, now: Now) -> Self {
        Self {
            number,
            name: task.name,
            params: task.params.into(),
            // Turns -0.0, which would sort below 0.0, into 0.0.
            priority: task.priority + 0.0,
            timeout: task.timeout,
            attempt: 1,
            attempts: 0,
            stage: Stage::Queued,
            cancel_requested: false,
            progress: None,
            progress_message: None,
            worker_id: None,
            abandoned: Vec::new(),
            result_status: None,
            payloads: Payloads::default(),
            error: None,
            submitted_at: now.unix,
            started_at: None,
            ended_at: None,
        }
    }

    pub(crate) fn position(&self) -> QueuePosition {
        QueuePosition { priority: self.priority, number: self.number }
    }

    /// Whether this worker runs the job now.
    pub(crate) fn runs_at(&self, worker: &WorkerId) -> bool {
        matches!(&self.stage, Stage::Running { worker_id, .. } if worker_id == worker)
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
        let error = self.error.as_ref().map_or(0, |error| {
            error.code.as_str().len()
                + error.message.len()
                + error.details.as_ref().map_or(0, |details| details.get().len())
        });
        let texts = [&self.progress_message, &self.result_status];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        OVERHEAD + self.params.get().len() + payloads + error + texts
    }
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
