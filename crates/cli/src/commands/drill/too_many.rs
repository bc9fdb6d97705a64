//! `too_many`: a refusal without a time to wait, after which a good worker is silent for a minute.

use std::time::Duration;

use anyhow::Result;
use avtomatika_dev::{Fault, FaultSwitch, TaskStatus};
use tokio::time::{Instant, sleep_until};

use super::finding::Finding;
use super::knocks;
use super::lane::{Lane, NEVER, result_hit, unix_seconds};
use crate::exit::Failure;

/// The time for which it is on.
const TIME: Duration = Duration::from_secs(3);

/// The time in which heartbeats and results come again: their refusals say when.
const SOON: Duration = Duration::from_secs(15);

/// The time in which polls come again: those whose refusal did not say when wait for over a minute.
const LATER: Duration = Duration::from_secs(75);

/// The longest silence of a good worker.
const SILENCE: Duration = Duration::from_secs(67);

/// The time in which the verdict is found out.
const REST: Duration = Duration::from_secs(1);

/// The most requests that may be refused in that time.
const MAX_HITS: u64 = 100;

/// Takes the worker through refusals for their number.
pub(super) async fn go_through(lane: &mut Lane<'_, '_>) -> Result<Finding> {
    const FAULT: Fault = Fault::TooMany;
    let task = lane.tasks.main.clone();
    let batch = lane.submit(&task, task.batch(), NEVER)?;
    lane.until_underway(&batch).await;
    let (on, on_at) = (Instant::now(), unix_seconds());
    let running = lane.running(&batch);
    let mut feed = lane.switch_on(FAULT, FaultSwitch::on())?;
    result_hit(&mut feed, FAULT, &running, on + TIME + task.takes).await;
    sleep_until(on + TIME).await;
    let (hits, since) = (lane.switch_off(FAULT)?, unix_seconds());

    let is_running = |job: &&String| {
        lane.orchestrator.task(job.as_str()).is_some_and(|view| view.status == TaskStatus::Running)
    };
    let taken: Vec<String> = batch.iter().filter(is_running).cloned().collect();
    let patience = SOON + task.time_of(taken.len());
    if let Err(missing) = lane.recover(&taken, since, patience).await {
        lane.give_up(&batch);
        return Ok(Finding::broken(missing.to_string()));
    }
    let mut jobs = batch;
    jobs.extend(lane.submit(&task, 1, NEVER)?);
    let left = lane.pace.until.saturating_duration_since(Instant::now());
    let patience = left.saturating_sub(REST).min(LATER);
    let recovered = lane.recover(&jobs, since, patience).await;
    if let Some(problem) = knocks::too_soon(lane.orchestrator, on_at).await.map_err(Failure::into_error)? {
        return Ok(Finding::broken(problem));
    }
    Ok(match recovered {
        Err(_) if patience < SILENCE && lane.process.end().is_none() => Finding::skipped(format!(
            "heartbeats and results came again, but {} s are too few to wait for polls",
            patience.as_secs()
        )),
        Err(missing) => Finding::broken(missing.to_string()),
        Ok(_) if hits > MAX_HITS => Finding::broken(format!(
            "{hits} requests in {} s, although each of them was refused for their number",
            TIME.as_secs()
        )),
        Ok(recovered) => Finding::held(format!("{}; requests refused: {hits}", recovered.sentence())),
    })
}
