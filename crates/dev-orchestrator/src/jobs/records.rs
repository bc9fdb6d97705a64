//! What is recorded of jobs beside their scheduling, and read from them.

use std::time::Instant;

use super::Jobs;
use crate::clock::Now;
use crate::stats::Second;
use crate::story::{StoryView, Way, What};

impl Jobs {
    /// Handles a task of which the worker has all bytes.
    pub(crate) fn on_delivered(&mut self, number: u64, attempt: u32, now: Now) {
        self.store.update(number, |job| {
            if job.is_running(attempt) {
                job.record(What::Delivered, now);
            }
        });
    }

    /// Handles a request to the storage that has ended well: a read is a way to the worker, a write one from it.
    pub(crate) fn on_transfer(&mut self, way: Way, bucket: &str, key: &str, began: Instant, now: Now) {
        for number in self.store.jobs_of_object(bucket, key) {
            self.store.update(number, |job| {
                let began = began.saturating_duration_since(job.submitted);
                job.record(What::transfer(way, began), now);
            });
        }
    }

    /// Handles a fault that has hit a message about a task, by job or task id. Unknown ids are ignored.
    pub(crate) fn on_fault(&mut self, id: &str, name: &str, now: Now) {
        let Some(job) = self.store.find(id) else { return };
        let attempt = self.store.names.read_task(id).map_or(job.attempt, |(_, attempt)| attempt);
        self.store.update(job.number, |job| job.record_of(attempt, What::fault(name), now));
    }

    /// Returns the story of a task, by job or task id.
    pub(crate) fn story(&self, id: &str) -> Option<StoryView> {
        self.store.find(id).map(|job| StoryView::new(job, &self.store.names))
    }

    /// Returns the present time, and the whole seconds that began at `since` or later.
    pub(crate) fn seconds(&mut self, since: f64, now: Now) -> (f64, Vec<Second>) {
        self.count_time(now);
        (self.stats.time(now), self.stats.since(since))
    }
}
