//! Workers that become unknown although they live, as after a restart of an orchestrator without state.

use rxon::WorkerId;

use super::{Action, Jobs};
use crate::clock::Now;
use crate::events::Event;

impl Jobs {
    /// Forgets a worker. Its tries go on: their results count, and it gets them back when it registers again.
    pub(crate) fn forget(&mut self, worker: &WorkerId, now: Now) {
        if self.store.workers.contains_key(worker) {
            self.store.dismiss(worker, now);
            self.actions.push(Action::Publish(Event::WorkerExpired { worker_id: worker.clone() }));
        }
    }

    /// Returns the workers with an open poll, once for each poll.
    pub(crate) fn polling(&self) -> impl Iterator<Item = &WorkerId> {
        self.waiting.values()
    }

    /// Gives a worker that has registered the tries that it was given before it was forgotten.
    pub(super) fn readopt(&mut self, worker: &WorkerId) {
        let tries: Vec<u64> =
            self.store.running().filter(|job| job.runs_at(worker)).map(|job| job.number).collect();
        if let Some(worker) = self.store.workers.get_mut(worker) {
            worker.running.extend(tries);
        }
    }
}
