//! `full_disk`: there is no room in the directories of the worker for a while.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::finding::Finding;
use super::lane::{Lane, NEVER, unix_seconds};

/// The time for which the disk is full.
const TIME: Duration = Duration::from_secs(3);

/// Fills the disk of the worker.
pub(super) async fn go_through(lane: &mut Lane<'_, '_>) -> Result<Finding> {
    let space = match lane.space {
        Ok(space) => space,
        Err(reason) => return Ok(Finding::skipped(reason)),
    };
    let task = lane.tasks.files.as_ref().unwrap_or(&lane.tasks.main).clone();
    let mut jobs = lane.submit(&task, task.batch(), NEVER)?;
    lane.until_underway(&jobs).await;
    space.fill()?;
    let more = lane.submit(&task, 2, NEVER);
    sleep(TIME).await;
    space.empty()?;
    jobs.extend(more?);
    lane.settle(&task, jobs, unix_seconds(), Duration::ZERO, |_, recovered| {
        if space.is_used() {
            Finding::held(recovered.sentence())
        } else {
            Finding::skipped(format!("the worker never wrote to its disk; {}", recovered.sentence()))
        }
    })
    .await
}
