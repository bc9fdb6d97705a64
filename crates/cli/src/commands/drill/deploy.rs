//! `deploy`: SIGTERM while tasks run, and a new start.

use std::time::Duration;

use anyhow::Result;
use avtomatika_dev::TaskStatus;
use tokio::time::Instant;

use super::finding::{Finding, count, ended};
use super::lane::{Lane, NEVER, unix_seconds};
use crate::supervision::{End, Order};

/// The reason of a drill whose tasks are too quick for it.
pub(super) const NOT_CAUGHT: &str =
    "no task could be caught while it ran; `--task` and `--params` name a longer task";

/// The time that a worker has beside its shutdown time.
const MORE: Duration = Duration::from_secs(3);

/// SIGTERM, as a number.
const TERM: i32 = 15;

/// Takes the worker through a deploy.
pub(super) async fn go_through(lane: &mut Lane<'_, '_>) -> Result<Finding> {
    let task = lane.tasks.longest().clone();
    let limit = lane.pace.shutdown + MORE;
    let ending = lane.end_in_task(&task, NEVER, async |process| {
        let began = Instant::now();
        process.order(Order::Terminate).await;
        let end = process.wait(limit).await;
        let took = began.elapsed();
        process.kill().await;
        (end, took)
    });
    let Some((mut jobs, (end, took))) = ending.await? else { return Ok(Finding::skipped(NOT_CAUGHT)) };
    let open = lane.count(&jobs, TaskStatus::Running);
    let unanswered = format!("{} got no answer", count(open, "running task"));

    let since = unix_seconds();
    if let Err(problem) = lane.start().await {
        return Ok(Finding::broken(problem.to_string()));
    }
    let problem = match end {
        None => Some(format!("it still ran {:.0} s after SIGTERM; {unanswered}", limit.as_secs_f64())),
        Some(End::Killed(TERM)) => Some(format!("SIGTERM ended it at once; {unanswered}")),
        Some(end) if open > 0 => Some(format!("it {}, but {unanswered}", ended(end))),
        Some(_) => None,
    };
    if let Some(problem) = problem {
        lane.give_up(&jobs);
        return Ok(Finding::broken(problem));
    }
    let end = end.map_or_else(String::new, ended);
    jobs.extend(lane.submit(&task, 1, NEVER)?);
    let patience = lane.patience() + task.time_of(jobs.len());
    Ok(match lane.recover(&jobs, since, patience).await {
        Err(missing) => Finding::broken(format!("after the new start: {missing}")),
        Ok(recovered) => Finding::held(format!(
            "it {end} after {:.1} s, every task was answered; after the new start it {}",
            took.as_secs_f64(),
            recovered.sentence()
        )),
    })
}
