//! The result of a task, made from its outcome.

use std::time::Duration;

use rxon::model::{Costs, TaskResult};
use rxon::{JobId, TaskId};
use serde_json::value::RawValue;

use super::{Executor, Ran};
use crate::task::outcome::Outcome;

/// The task of a result, as the result names it.
pub(super) struct EndedTask {
    pub(super) job_id: JobId,
    pub(super) task_id: TaskId,
    pub(super) metadata: Option<Box<RawValue>>,
}

impl Executor {
    /// The result of a task, as sent.
    pub(super) fn result(&self, task: EndedTask, ran: Ran, duration: Duration) -> TaskResult {
        let costs = |further: Option<Box<RawValue>>| Costs {
            execution_time_seconds: (duration.as_secs_f64() * 10_000.0).round() / 10_000.0,
            further: further.and_then(|further| serde_json::from_str(further.get()).ok()).unwrap_or_default(),
        };
        let (status, data, error, metadata, costs) = match ran.outcome {
            Outcome::Completed { status, data, error, metadata, costs: further } => {
                (status, data, error.map(|error| *error), metadata, Some(costs(further)))
            }
            // As in the newer SDK, failures and cancelled tasks give the task's metadata back, and failures have costs
            // only where the handler gave some.
            Outcome::Failed(mut error) => {
                let extras = error.extras.take().unwrap_or_default();
                let metadata = extras.metadata.or(task.metadata);
                let costs = extras.costs.map(|further| costs(Some(further)));
                ("failure".to_owned(), extras.data, Some(error), metadata, costs)
            }
            Outcome::Cancelled { .. } => ("cancelled".to_owned(), None, None, task.metadata, None),
        };
        TaskResult {
            job_id: task.job_id,
            task_id: task.task_id,
            worker_id: self.worker_id.clone(),
            origin_worker_id: self.worker_id.clone(),
            status,
            data,
            // Anybody may read the job's error, and the error may quote the task's parameters.
            error: error.map(|error| error.without_secrets().into()),
            data_metadata: ran.uploaded,
            // The newer orchestrator fails on empty metadata (1.0b30).
            metadata: metadata.filter(|metadata| !is_empty_object(metadata)),
            costs,
        }
    }
}

pub(super) fn is_empty_object(object: &RawValue) -> bool {
    object.get().bytes().all(|byte| matches!(byte, b'{' | b'}') || byte.is_ascii_whitespace())
}
