//! New jobs: submitted ones, and those that repeat a job that has ended.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Jobs;
use crate::clock::Now;
use crate::error::Error;
use crate::settings::Settings;
use crate::store::Stage;
use crate::task::{CheckedTask, blueprint};

/// A job that repeats an ended one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeat {
    pub(crate) number: u64,
    /// The first of all jobs that were repeated.
    pub(crate) of: u64,
}

impl Jobs {
    pub(crate) fn submit(&mut self, task: CheckedTask, now: Now) -> Result<u64, Error> {
        self.make_room(task.weight(), 1)?;
        Ok(self.add(task, None, now))
    }

    /// Submits the same task several times: all of them, or none.
    pub(crate) fn submit_many(
        &mut self,
        task: &CheckedTask,
        count: usize,
        now: Now,
    ) -> Result<Vec<u64>, Error> {
        self.make_room(task.weight(), count)?;
        Ok((0..count).map(|_| self.add(task.clone(), None, now)).collect())
    }

    /// Submits an ended job again, with its parameters or with other ones.
    pub(crate) fn repeat(
        &mut self,
        id: &str,
        params: Option<Arc<RawValue>>,
        now: Now,
    ) -> Result<Repeat, Error> {
        let job = self.store.find(id).ok_or_else(|| Error::UnknownTask(crate::text::cut(id, 200)))?;
        if !matches!(job.stage, Stage::Ended(_)) {
            let (job_id, status) = (self.store.names.job(job.number), job.stage.status());
            return Err(Error::NotEnded { job_id, status });
        }
        let (repeated, of) = (job.number, job.of.unwrap_or(job.number));
        let task = match &job.course {
            Some(course) => {
                let params = params.unwrap_or_else(|| course.params.clone());
                let blueprint = blueprint(&self.settings, &course.blueprint)?;
                CheckedTask::first_step(blueprint, params, job.priority, job.timeout)?
            }
            None => CheckedTask {
                name: job.name.clone(),
                params: params.unwrap_or_else(|| job.params.clone()),
                priority: job.priority,
                timeout: job.timeout,
                course: None,
            },
        };
        self.make_room(task.weight(), 1)?;
        let number = self.add(task, Some(of), now);
        // The repeated job may have been removed to make room.
        self.store.update(repeated, |job| job.retried_as(number, now));
        self.publish_change(repeated);
        Ok(Repeat { number, of })
    }

    fn make_room(&mut self, bytes: usize, count: usize) -> Result<(), Error> {
        let Settings { queue_limit, history_limit, memory_limit, .. } = self.settings;
        if self.store.unended().saturating_add(count) > queue_limit {
            return Err(Error::QueueFull { limit: queue_limit });
        }
        let room = memory_limit.checked_sub(bytes.saturating_mul(count));
        let room = room.ok_or(Error::OutOfMemory { limit: memory_limit })?;
        self.store.forget(history_limit, room);
        if self.store.weight() > room {
            return Err(Error::OutOfMemory { limit: memory_limit });
        }
        Ok(())
    }

    fn add(&mut self, task: CheckedTask, of: Option<u64>, now: Now) -> u64 {
        self.count_time(now);
        self.stats.count_submitted();
        let number = self.store.add(task, of, now);
        self.publish_change(number);
        self.dispatch(number, now);
        number
    }
}
