//! Submitting tasks.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::{Desk, body};
use crate::refusal::{self, Refusal};
use crate::store::Job;
use crate::task::{NewTask, Submitted};
use crate::view::TaskStatus;

/// The number of tasks that one request submits.
const MAX_COUNT: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submission {
    #[serde(rename = "type")]
    name: Option<String>,
    /// The name of a blueprint, instead of the type.
    job: Option<String>,
    params: Option<Box<RawValue>>,
    priority: Option<f64>,
    timeout: Option<f64>,
    count: Option<usize>,
}

#[derive(Serialize)]
struct Accepted {
    #[serde(flatten)]
    ids: Submitted,
    status: TaskStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Serialize)]
struct AllAccepted {
    tasks: Vec<Accepted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// `POST /api/tasks`
pub(super) async fn submit(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let body = body::read_submission(request.into_body(), &desk.hub).await?;
    let submission: Submission = body::parse(&body, "a task")?;
    let count = submission.count;
    if let Some(count) = count.filter(|count| !(1..=MAX_COUNT).contains(count)) {
        return Err(Refusal::bad_request(format!("`count` is `{count}`, expected 1 to {MAX_COUNT}")));
    }
    let submitted = desk.hub.submit_many(submission.task()?, count.unwrap_or(1))?;
    let (statuses, hint) = desk.hub.inspect(|jobs, _| {
        let store = jobs.store();
        let job = |ids: &Submitted| store.find(ids.job_id.as_str());
        let waiting = submitted.iter().filter_map(job).find(|job| job.stage.status() == TaskStatus::Queued);
        let is_known = |job: &Job| store.workers.values().any(|worker| worker.tasks.contains(&job.name));
        let hint = waiting
            .filter(|job| !is_known(job))
            .map(|job| format!("no worker has registered the task `{}`: it waits until one does", job.name));
        let status = |ids| job(ids).map(|job| job.stage.status());
        (submitted.iter().map(status).collect::<Vec<_>>(), hint)
    });
    let accepted = |(ids, status): (_, Option<TaskStatus>)| {
        let status = status.unwrap_or(TaskStatus::Queued);
        Accepted { ids, status, hint: None }
    };
    let mut tasks: Vec<Accepted> = submitted.into_iter().zip(statuses).map(accepted).collect();
    if count.is_none()
        && let Some(task) = tasks.pop()
    {
        return Ok(refusal::json(StatusCode::ACCEPTED, &Accepted { hint, ..task }));
    }
    Ok(refusal::json(StatusCode::ACCEPTED, &AllAccepted { tasks, hint }))
}

impl Submission {
    fn task(self) -> Result<NewTask, Refusal> {
        let task = match (self.name, self.job) {
            (Some(name), None) => NewTask::new(name),
            (None, Some(job)) => NewTask::job(job),
            (Some(_), Some(_)) => {
                let text = "the body has `type` and `job`, expected one of them";
                return Err(Refusal::bad_request(text));
            }
            (None, None) => {
                let text = "the body is not a task: missing field `type`, or `job` for a job of a blueprint";
                return Err(Refusal::bad_request(text));
            }
        };
        let mut task = task.with_priority(self.priority.unwrap_or(0.0));
        if let Some(params) = self.params {
            task = task.with_raw_params(params);
        }
        if let Some(seconds) = self.timeout {
            let timeout = Duration::try_from_secs_f64(seconds).map_err(|_| {
                Refusal::bad_request(format!(
                    "`timeout` is `{seconds}`, expected a number of seconds above 0"
                ))
            })?;
            task = task.with_timeout(timeout);
        }
        Ok(task)
    }
}
