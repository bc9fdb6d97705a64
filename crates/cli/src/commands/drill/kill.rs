//! `kill_in_task` and `kill_before_ack`: SIGKILL, and a new start.

use std::time::Duration;

use anyhow::Result;
use avtomatika_dev::{Fault, FaultSwitch, TaskStatus};
use tokio::time::Instant;

use super::choice::Task;
use super::deploy::NOT_CAUGHT;
use super::finding::{Finding, Verdict};
use super::lane::{Lane, result_hit, unix_seconds};
use super::recovery::Recovered;

/// The least time limit of a task: the try of a worker that is gone is given up after it.
const LIMIT: Duration = Duration::from_secs(3);

/// The time between the time limit of a try and the next one.
const NEXT_TRY: Duration = Duration::from_secs(3);

/// The time in which a result is sent, beside that of its task.
const SENT: Duration = Duration::from_secs(1);

/// The number of tries to catch a result.
const TRIES: u32 = 3;

/// Kills the worker while tasks run.
pub(super) async fn in_task(lane: &mut Lane<'_, '_>) -> Result<Finding> {
    let task = lane.tasks.longest().clone();
    let killed = lane.end_in_task(&task, limit(&task), async |process| process.kill().await).await?;
    let Some((jobs, ())) = killed else { return Ok(Finding::skipped(NOT_CAUGHT)) };
    let cut_off = lane.count(&jobs, TaskStatus::Running);
    let finding = lane.start_again(&task, jobs, more(&task), |_, recovered| {
        format!("{}; tasks cut off: {cut_off}", recovered.sentence())
    });
    let finding = finding.await?;
    Ok(if cut_off == 0 && finding.verdict == Verdict::Held { Finding::skipped(NOT_CAUGHT) } else { finding })
}

/// Kills the worker when it has sent a result, and before that is acknowledged.
pub(super) async fn before_ack(lane: &mut Lane<'_, '_>) -> Result<Finding> {
    let task = lane.tasks.main.clone();
    let mut jobs = Vec::new();
    for _ in 0..TRIES {
        if lane.process.end().is_some() {
            break;
        }
        let batch = lane.submit(&task, task.batch(), limit(&task))?;
        lane.until_underway(&batch).await;
        jobs.extend(batch);
        let running = lane.running(&jobs);
        let mut feed = lane.switch_on(Fault::Hang, FaultSwitch::on())?;
        let until = Instant::now() + task.takes + SENT;
        let is_caught = result_hit(&mut feed, Fault::Hang, &running, until).await;
        if is_caught {
            lane.process.kill().await;
        }
        lane.switch_off(Fault::Hang)?;
        if is_caught {
            let open = |job: &&String| lane.count(std::slice::from_ref(*job), TaskStatus::Running) > 0;
            let unacknowledged: Vec<String> = jobs.iter().filter(open).cloned().collect();
            let reason = |lane: &Lane<'_, '_>, recovered: Recovered| {
                let tries = |job: &String| lane.orchestrator.task(job).map_or(0, |view| view.attempts);
                let again = unacknowledged.iter().filter(|job| tries(job) == 1).count();
                let rest = unacknowledged.len() - again;
                format!(
                    "{}; results that came again: {again}, tasks that another try ended: {rest}",
                    recovered.sentence()
                )
            };
            return lane.start_again(&task, jobs, more(&task), reason).await;
        }
    }
    let skipped =
        |_: &Lane<'_, '_>, _| Finding::skipped("no result could be caught before its acknowledgement");
    lane.settle(&task, jobs, unix_seconds(), Duration::ZERO, skipped).await
}

fn limit(task: &Task) -> Duration {
    LIMIT.max(task.takes * 3 + Duration::from_secs(1))
}

/// The time until the next try of a task that was cut off.
fn more(task: &Task) -> Duration {
    limit(task) + NEXT_TRY
}
