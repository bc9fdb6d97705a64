//! What the real orchestrators decide otherwise, if one of them is imitated.

use std::sync::Arc;

use rxon::WorkerId;
use rxon::model::ErrorCode;

use super::Jobs;
use crate::clock::Now;
use crate::imitate::Imitation;
use crate::store::{Stage, own_failure};
use crate::story::What;
use crate::view::TaskStatus;

impl Jobs {
    /// Gives up a waiting job if no worker could be given it now.
    pub(super) fn give_up_without_idle_worker(&mut self, number: u64, now: Now) {
        let Some(job) = self.store.job(number).filter(|_| self.settings.imitation.is_some()) else { return };
        let is_waiting = matches!(job.stage, Stage::Queued);
        if !is_waiting || self.store.workers.values().any(|worker| worker.accepts_task(&job.name)) {
            return;
        }
        let message = format!("no suitable workers: none that is idle accepts `{}`", job.name);
        let failure = own_failure(ErrorCode::Transient, message);
        self.store.update(number, |job| {
            job.record(What::result("failure", Some(&failure), true), now);
            job.error = Some(Arc::new(failure));
        });
        self.end(number, TaskStatus::Quarantined, now);
    }

    /// Whether a result counts for the present try, whatever try and worker it names.
    pub(super) fn takes_any_try(&self) -> bool {
        self.settings.imitation == Some(Imitation::Older)
    }

    /// Makes a worker whose result counts the one that has the job, if it waits for another one.
    pub(super) fn adopt(&mut self, number: u64, worker: &WorkerId, now: Now) {
        if self.store.job(number).is_none_or(|job| matches!(job.stage, Stage::Running { .. })) {
            return;
        }
        self.store.update(number, |job| job.worker_id = Some(worker.clone()));
        let stage = Stage::Running { worker_id: worker.clone(), until: now.instant, deadline: now.unix };
        self.move_to(number, stage, now);
    }
}
