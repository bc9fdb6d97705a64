//! The states that events and snapshots show.

use std::collections::BTreeMap;
use std::sync::Arc;

use rxon::model::Failure;
use rxon::{JobId, WorkerId};
use serde::Serialize;

use crate::clock::Now;
use crate::faults::FaultStates;
use crate::hub::Hub;
use crate::jobs::Jobs;
use crate::store::Job;
use crate::view::{TaskStatus, TaskView, WorkerView};

/// The number of tasks in a snapshot, besides those that run.
const NEWEST: usize = 100;

/// The longest message of an error, in characters: events are kept, so that a long one would take much memory.
const MAX_MESSAGE: usize = 4000;

/// The state of everything at one moment.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    counts: BTreeMap<&'static str, usize>,
    /// The newest tasks, and all that run; the newest first.
    tasks: Vec<TaskView>,
    workers: Vec<WorkerView>,
    faults: FaultStates,
}

impl Snapshot {
    pub(super) fn of(hub: &Hub) -> Self {
        let faults = FaultStates(hub.faults());
        hub.inspect(|jobs, now| {
            let store = jobs.store();
            let counts = TaskStatus::ALL.into_iter().map(|status| (status.as_str(), store.count(status)));
            let shown = store.jobs().take(NEWEST).chain(store.running()).map(|job| (job.number, job));
            let shown: BTreeMap<_, _> = shown.collect();
            let tasks = shown.into_values().rev().map(|job| task_view(jobs, job)).collect();
            Self { counts: counts.collect(), tasks, workers: jobs.workers(now), faults }
        })
    }
}

/// Returns the state of a task, unless it was removed.
pub(super) fn task(jobs: &Jobs, id: &JobId) -> Option<TaskView> {
    jobs.store().find(id.as_str()).map(|job| task_view(jobs, job))
}

/// Returns the state of a worker, unless it was removed.
pub(super) fn worker(jobs: &Jobs, id: &WorkerId, now: Now) -> Option<WorkerView> {
    let store = jobs.store();
    Some(store.worker_view(id, store.workers.get(id)?, jobs.polls_of(id), now))
}

fn task_view(jobs: &Jobs, job: &Job) -> TaskView {
    let mut view = jobs.store().view(job).without_payloads();
    if let Some(error) = &view.error
        && (error.details.is_some() || error.message.len() > MAX_MESSAGE)
    {
        let message = crate::text::cut(&error.message, MAX_MESSAGE);
        view.error = Some(Arc::new(Failure { code: error.code.clone(), message, details: None }));
    }
    view
}
