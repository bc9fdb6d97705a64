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
            let mut counts: BTreeMap<_, _> =
                TaskStatus::ALL.into_iter().map(|status| (status.as_str(), 0)).collect();
            let mut tasks = Vec::new();
            for (position, job) in jobs.store().jobs().enumerate() {
                let status = job.stage.status();
                *counts.entry(status.as_str()).or_default() += 1;
                if position < NEWEST || status == TaskStatus::Running {
                    tasks.push(task_view(jobs, job));
                }
            }
            Self { counts, tasks, workers: jobs.workers(now), faults }
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
