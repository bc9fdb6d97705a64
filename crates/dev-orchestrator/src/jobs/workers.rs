//! What workers say of themselves, and what is made of their silence.

use rxon::WorkerId;
use rxon::model::ErrorCode;

use super::{Action, Jobs};
use crate::Event;
use crate::clock::Now;
use crate::store::{Beat, Introduction, noticed};

/// As many workers as anybody runs beside one process; a limit all the same.
pub(crate) const MOST_WORKERS: usize = 10_000;

impl Jobs {
    /// A worker introduces itself, perhaps not for the first time. `false` when there are too many already.
    pub(crate) fn on_register(&mut self, hello: Introduction, now: Now) -> bool {
        let worker = hello.worker_id.clone();
        if self.store.workers.len() >= MOST_WORKERS && !self.store.workers.contains_key(&worker) {
            return false;
        }
        self.store.introduce(hello, now);
        self.actions.push(Action::Tell(Event::WorkerRegistered { worker_id: worker.clone() }));
        self.feed(&worker, now);
        true
    }

    /// A worker lives. Returns the tasks it should stop, or `None` for a stranger.
    pub(crate) fn on_heartbeat(
        &mut self,
        worker: &WorkerId,
        beat: Option<Beat>,
        now: Now,
    ) -> Option<Vec<String>> {
        self.store.heard(worker, now);
        let known = self.store.workers.get_mut(worker)?;
        let Some(mut beat) = beat else { return Some(Vec::new()) };
        let current = std::mem::take(&mut beat.current);
        known.hear(beat);
        self.feed(worker, now);
        Some(self.to_stop(worker, &current))
    }

    /// Known workers, by name.
    pub(crate) fn workers(&self, now: Now) -> Vec<crate::WorkerView> {
        let view = |(id, worker)| self.store.worker_view(id, worker, self.polls_of(id), now);
        let mut views: Vec<_> = self.store.workers.iter().map(view).collect();
        views.sort_by(|one, other| one.worker_id.cmp(&other.worker_id));
        views
    }

    /// A worker was silent for too long: what it was given goes to others.
    pub(super) fn expire(&mut self, worker: &WorkerId, now: Now) {
        let running = self.store.dismiss(worker);
        tracing::info!(worker_id = %worker, tasks = running.len(), "worker silent for too long, given up");
        self.actions.push(Action::Tell(Event::WorkerExpired { worker_id: worker.clone() }));
        let message =
            format!("worker `{worker}` was not heard for {} s", self.settings.worker_ttl.as_secs_f64());
        for number in running {
            self.give_up(number, noticed(ErrorCode::Transient, message.clone()), now);
        }
    }

    /// What a worker has that nobody wants any more: tasks to be cancelled, and tries that were given up.
    fn to_stop(&self, worker: &WorkerId, current: &[String]) -> Vec<String> {
        let names = &self.store.names;
        let running = self.store.workers.get(worker).into_iter().flat_map(|worker| &worker.running);
        let cancelled = running
            .filter_map(|number| self.store.job(*number))
            .filter(|job| job.cancel_requested)
            .map(|job| names.task(job.number, job.attempt).as_str().to_owned());
        let given_up = current.iter().filter(|id| {
            let Some((number, attempt)) = names.read_task(id) else { return false };
            self.store.job(number).is_some_and(|job| job.is_abandoned(attempt))
        });
        cancelled.chain(given_up.cloned()).collect()
    }
}
