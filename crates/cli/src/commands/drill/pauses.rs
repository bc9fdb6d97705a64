//! `expired_token` and `stopped`: some seconds in which the worker cannot do anything, while tasks run.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::finding::Finding;
use super::lane::{Lane, NEVER, unix_seconds};
use crate::supervision::Order;

/// The time of the pause.
const PAUSE: Duration = Duration::from_secs(5);

/// Refuses the token of the worker for a while.
pub(super) async fn expired_token(lane: &mut Lane<'_, '_>) -> Result<Finding> {
    let jobs = begin(lane).await?;
    lane.orchestrator.suspend_tokens(true);
    let jobs = pause(lane, jobs).await;
    lane.orchestrator.suspend_tokens(false);
    end(lane, jobs?).await
}

/// Stops all processes of the worker for a while.
pub(super) async fn stopped(lane: &mut Lane<'_, '_>) -> Result<Finding> {
    let jobs = begin(lane).await?;
    lane.process.order(Order::Suspend).await;
    let jobs = pause(lane, jobs).await;
    lane.process.order(Order::Resume).await;
    end(lane, jobs?).await
}

async fn begin(lane: &Lane<'_, '_>) -> Result<Vec<String>> {
    let task = &lane.tasks.main;
    let jobs = lane.submit(task, task.batch(), NEVER)?;
    lane.until_underway(&jobs).await;
    Ok(jobs)
}

async fn pause(lane: &Lane<'_, '_>, mut jobs: Vec<String>) -> Result<Vec<String>> {
    let more = lane.submit(&lane.tasks.main, 2, NEVER);
    sleep(PAUSE).await;
    jobs.extend(more?);
    Ok(jobs)
}

async fn end(lane: &mut Lane<'_, '_>, jobs: Vec<String>) -> Result<Finding> {
    let task = lane.tasks.main.clone();
    lane.settle(&task, jobs, unix_seconds(), Duration::ZERO, |_, recovered| {
        Finding::held(recovered.sentence())
    })
    .await
}
