//! Registrations and heartbeats of workers, and the consequences of their silence.

use std::collections::HashMap;

use rxon::WorkerId;
use rxon::model::ErrorCode;

use super::{Action, Jobs};
use crate::clock::Now;
use crate::events::Event;
use crate::store::{Beat, Introduction, own_failure};
use crate::view::WorkerView;

/// The number of registered workers: far more than one process serves in a test.
pub(crate) const MAX_WORKERS: usize = 10_000;

impl Jobs {
    /// Handles the registration of a worker, its first or a later one. Returns `false` when there are too many workers.
    pub(crate) fn on_register(&mut self, hello: Introduction, now: Now) -> bool {
        let worker = hello.worker_id.clone();
        let is_new = !self.store.workers.contains_key(&worker);
        if is_new && self.store.workers.len() >= MAX_WORKERS {
            return false;
        }
        self.store.introduce(hello, now);
        if is_new {
            self.readopt(&worker);
        }
        self.on_said_to_run(&worker, &[], now);
        self.actions.push(Action::Publish(Event::WorkerRegistered { worker_id: worker.clone() }));
        self.feed(&worker, now);
        true
    }

    /// Handles a heartbeat. Returns the tasks that the worker has to stop, or `None` for an unknown worker.
    pub(crate) fn on_heartbeat(
        &mut self,
        worker: &WorkerId,
        beat: Option<Beat>,
        now: Now,
    ) -> Option<Vec<String>> {
        self.store.record_contact(worker, now);
        let current = beat.as_ref().map(|beat| beat.current.clone());
        if !self.store.apply(worker, beat, now) {
            return None;
        }
        self.actions.push(Action::Publish(Event::WorkerChanged { worker_id: worker.clone() }));
        let Some(current) = current else { return Some(Vec::new()) };
        self.on_said_to_run(worker, &current, now);
        self.feed(worker, now);
        Some(self.to_stop(worker, &current))
    }

    /// Returns the registered workers, in order of their ids.
    pub(crate) fn workers(&self, now: Now) -> Vec<WorkerView> {
        let mut polls: HashMap<&WorkerId, usize> = HashMap::new();
        for worker in self.waiting.values() {
            *polls.entry(worker).or_default() += 1;
        }
        let polls_of = |id| polls.get(id).copied().unwrap_or_default();
        let view = |(id, worker)| self.store.worker_view(id, worker, polls_of(id), now);
        let mut views: Vec<_> = self.store.workers.iter().map(view).collect();
        views.sort_by(|one, other| one.worker_id.cmp(&other.worker_id));
        views
    }

    /// Returns a worker; one that was given up, too, for an hour.
    pub(crate) fn worker(&self, worker: &WorkerId, now: Now) -> Option<WorkerView> {
        let known = self.store.workers.get(worker);
        let view = known.map(|known| self.store.worker_view(worker, known, self.polls_of(worker), now));
        view.or_else(|| self.store.gone_view(worker, now))
    }

    /// Handles the begin or the end of a worker's websocket.
    pub(crate) fn on_websocket(&mut self, worker: &WorkerId, is_open: bool) {
        self.store.set_websocket(worker, is_open);
        if self.store.workers.contains_key(worker) {
            self.actions.push(Action::Publish(Event::WorkerChanged { worker_id: worker.clone() }));
        }
    }

    /// Removes a worker that was silent for too long, and gives its tasks to others.
    pub(super) fn expire(&mut self, worker: &WorkerId, now: Now) {
        let running = self.store.dismiss(worker, now);
        tracing::info!(worker_id = %worker, tasks = running.len(), "worker removed: silent for too long");
        self.actions.push(Action::Publish(Event::WorkerExpired { worker_id: worker.clone() }));
        if self.settings.imitation.is_some() {
            return;
        }
        self.on_unheard(worker, now);
        let message =
            format!("the worker `{worker}` was silent for {} s", self.settings.worker_ttl.as_secs_f64());
        for number in running {
            if !self.store.job(number).is_some_and(|job| job.runs_at(worker)) {
                continue;
            }
            self.abandon_try(number, own_failure(ErrorCode::Transient, message.clone()), now);
        }
    }

    /// Returns the tasks that a worker has to stop: those to be cancelled, and tries that were given up.
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
