//! `cancel`: a task is cancelled while it runs.

use std::time::Duration;

use anyhow::Result;
use avtomatika_dev::TaskStatus;
use tokio::time::{Instant, sleep};

use super::finding::Finding;
use super::lane::{Lane, NEVER};

/// A worker without a websocket is told with the answer to its next heartbeat. A task that ends before says nothing.
const BY_HEARTBEAT: Duration = Duration::from_secs(3);

/// The time in which the worker answers, beside that of the task.
const ANSWER: Duration = Duration::from_secs(8);

/// Cancels a running task.
pub(super) async fn go_through(lane: &mut Lane<'_, '_>) -> Result<Finding> {
    let task = lane.tasks.longest().clone();
    let takes = task.takes.as_secs_f64();
    if !task.is_long() {
        return Ok(Finding::skipped(format!(
            "`{}` ends in {takes:.3} s, too quickly to be cancelled; `--task` and `--params` name a longer task",
            task.name
        )));
    }
    let jobs = lane.submit(&task, 1, NEVER)?;
    if !lane.until_underway(&jobs).await {
        lane.give_up(&jobs);
        return Ok(Finding::broken("the worker took no task"));
    }
    sleep(task.takes / 3).await;
    lane.give_up(&jobs);
    let began = Instant::now();
    let status = loop {
        let status = lane.orchestrator.task(&jobs[0]).map(|view| view.status);
        if status.is_none_or(TaskStatus::is_ended) || began.elapsed() > task.takes + ANSWER {
            break status;
        }
        sleep(Duration::from_millis(5)).await;
    };
    let took = began.elapsed().as_secs_f64();
    let has_websocket = lane.worker().is_some_and(|worker| worker.websocket);
    Ok(match status {
        Some(TaskStatus::Cancelled) => Finding::held(format!("the task was stopped after {took:.1} s")),
        Some(TaskStatus::Finished) if !has_websocket && task.takes < BY_HEARTBEAT => {
            Finding::skipped(format!(
                "the worker has no websocket, and the task ended after {took:.1} s; name one that takes {} s or longer",
                BY_HEARTBEAT.as_secs()
            ))
        }
        Some(TaskStatus::Finished) => {
            Finding::broken(format!("the task ran to its end, {took:.1} s after the cancellation"))
        }
        Some(status) if status.is_ended() => {
            Finding::broken(format!("the task ended as {status} instead of `cancelled`"))
        }
        _ => Finding::broken(format!("the worker did not answer within {took:.1} s of the cancellation")),
    })
}
