//! One submitted task, with everything that has happened to it.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rxon::model::Failure;
use rxon::{TaskName, WorkerId};
use serde_json::value::RawValue;

use crate::TaskStatus;
use crate::clock::Now;
use crate::task::CheckedTask;

/// Tries of which a worker may still be told to stop; more than this many at once nobody is told of.
const MOST_ABANDONED: usize = 16;

/// What a job takes beside its texts: the structure itself, and its places in the indexes.
const OVERHEAD: usize = 1024;

#[derive(Debug)]
pub(crate) struct Job {
    /// Its place in the order of arrival, and its key.
    pub(crate) number: u64,
    pub(crate) name: TaskName,
    pub(crate) params: Arc<RawValue>,
    pub(crate) priority: f64,
    pub(crate) timeout: Duration,
    /// The number of the present try, part of its task id.
    pub(crate) attempt: u32,
    /// How often a worker was given it.
    pub(crate) attempts: u32,
    pub(crate) stage: Stage,
    pub(crate) cancel_requested: bool,
    pub(crate) progress: Option<f64>,
    pub(crate) progress_message: Option<String>,
    /// Who has it, or had it last.
    pub(crate) worker_id: Option<WorkerId>,
    /// Tries that were given up while a worker may have gone on with them.
    abandoned: Vec<u32>,
    pub(crate) result_status: Option<String>,
    pub(crate) data: Option<Arc<RawValue>>,
    pub(crate) error: Option<Arc<Failure>>,
    pub(crate) submitted_at: f64,
    pub(crate) started_at: Option<f64>,
    pub(crate) ended_at: Option<f64>,
}

/// Where a job is, with what only matters there.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    Queued,
    Running {
        worker_id: WorkerId,
        /// When the try is given up.
        until: Instant,
        /// What the worker was told, in seconds since 1970.
        deadline: f64,
    },
    Ended(TaskStatus),
}

impl Stage {
    pub(crate) fn status(&self) -> TaskStatus {
        match self {
            Self::Queued => TaskStatus::Queued,
            Self::Running { .. } => TaskStatus::Running,
            Self::Ended(status) => *status,
        }
    }
}

/// Where a job stands in its queue: higher priority first, then arrival.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    priority: f64,
    pub(crate) number: u64,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        other.priority.total_cmp(&self.priority).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Place {}

impl Job {
    pub(crate) fn new(number: u64, task: CheckedTask, now: Now) -> Self {
        Self {
            number,
            name: task.name,
            params: task.params.into(),
            // -0.0 sorts below 0.0, and nobody would guess why.
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
            data: None,
            error: None,
            submitted_at: now.unix,
            started_at: None,
            ended_at: None,
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place { priority: self.priority, number: self.number }
    }

    /// Whether this worker has it now.
    pub(crate) fn runs_at(&self, worker: &WorkerId) -> bool {
        matches!(&self.stage, Stage::Running { worker_id, .. } if worker_id == worker)
    }

    /// Notes that a worker may still be busy with the present try, although nobody waits for it.
    pub(crate) fn abandon(&mut self) {
        if self.abandoned.len() == MOST_ABANDONED {
            self.abandoned.remove(0);
        }
        self.abandoned.push(self.attempt);
    }

    /// Whether a worker that is busy with this try should stop.
    pub(crate) fn is_abandoned(&self, attempt: u32) -> bool {
        self.abandoned.contains(&attempt)
    }

    /// About how many bytes it takes.
    pub(crate) fn weight(&self) -> usize {
        let data = self.data.as_ref().map_or(0, |data| data.get().len());
        let error = self.error.as_ref().map_or(0, |error| {
            error.code.as_str().len()
                + error.message.len()
                + error.details.as_ref().map_or(0, |details| details.get().len())
        });
        let texts = [&self.progress_message, &self.result_status];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        OVERHEAD + self.params.get().len() + data + error + texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ordered_by_priority_and_then_by_arrival() {
        let place = |priority, number| Place { priority, number };
        let mut places = [place(0.0, 1), place(5.0, 3), place(-1.0, 0), place(5.0, 2), place(f64::MAX, 9)];
        places.sort();
        assert_eq!(places.map(|place| place.number), [9, 2, 3, 1, 0]);
    }
}
