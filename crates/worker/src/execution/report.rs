//! Turning outcomes into results.

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
        // Anybody may read the job's error, and the error may quote the task's parameters.
        Outcome::Failed(error) => ("failure".to_owned(), None, Some(error.without_secrets().into())),
        Outcome::Cancelled { .. } => ("cancelled".to_owned(), None, None),
    };
    // Only successful results have costs, as in the newer SDK.
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
