//! From outcomes to results.

use std::collections::BTreeMap;
use std::time::Duration;

use rxon::model::{Costs, TaskResult};
use rxon::{JobId, TaskId, WorkerId};

use crate::task::outcome::Outcome;

/// The result of a task, as sent.
pub(super) fn result(
    worker_id: &WorkerId,
    job_id: JobId,
    task_id: TaskId,
    outcome: Outcome,
    duration: Duration,
) -> TaskResult {
    let (status, data, error) = match outcome {
        Outcome::Completed { status, data } => (status, data, None),
        // Whoever reads the job's error may be anybody, and the error may quote what the task asked for.
        Outcome::Failed(error) => ("failure".to_owned(), None, Some(error.without_secrets().into())),
        Outcome::Cancelled { .. } => ("cancelled".to_owned(), None, None),
    };
    // Costs are part of the success path only, as the newer SDK has it.
    let costs = (error.is_none() && !matches!(status.as_str(), "failure" | "cancelled"))
        .then(|| Costs { execution_time_seconds: (duration.as_secs_f64() * 10_000.0).round() / 10_000.0 });
    TaskResult {
        job_id,
        task_id,
        worker_id: worker_id.clone(),
        origin_worker_id: worker_id.clone(),
        status,
        data,
        error,
        data_metadata: BTreeMap::new(),
        costs,
    }
}
