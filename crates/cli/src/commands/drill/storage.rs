//! The faults of the storage.

use std::time::Duration;

use anyhow::Result;
use avtomatika_dev::{Fault, FaultSwitch};
use tokio::time::{Instant, sleep, sleep_until};

use super::finding::Finding;
use super::lane::{Lane, NEVER, unix_seconds};

/// The number of tasks.
const TASKS: usize = 3;

/// The time for which the fault is on.
const TIME: Duration = Duration::from_millis(2_000);

/// The time in which the worker asks the storage for something.
const ASKED: Duration = Duration::from_secs(5);

/// Takes the worker through a fault of the storage, while its tasks read or write files.
pub(super) async fn go_through(lane: &mut Lane<'_, '_>, fault: Fault) -> Result<Finding> {
    let Some(task) = lane.tasks.files.clone() else {
        return Ok(Finding::skipped(
            "no task that was tried reads or writes files; `--task` and `--params` name one",
        ));
    };
    if !task.uses_storage {
        return Ok(Finding::broken(format!(
            "the parameters of `{}` name a file of the storage, and the worker never asked the storage for it",
            task.name
        )));
    }
    let delay = Duration::from_secs(1);
    let switch =
        if fault == Fault::StorageSlow { FaultSwitch::on().with_delay(delay) } else { FaultSwitch::on() };
    let on = Instant::now();
    lane.orchestrator.set_fault(fault, switch)?;
    let mut jobs = lane.submit(&task, TASKS, NEVER)?;
    while hits(lane, fault) == 0 && on.elapsed() < task.takes + ASKED {
        sleep(Duration::from_millis(10)).await;
    }
    sleep_until(on + TIME).await;
    let (hits, since) = (lane.switch_off(fault)?, unix_seconds());
    jobs.extend(lane.submit(&task, 1, NEVER)?);
    let patience = lane.patience() + task.time_of(jobs.len());
    Ok(match lane.recover(&jobs, since, patience).await {
        Err(missing) => Finding::broken(missing.to_string()),
        Ok(_) if hits == 0 => Finding::skipped("the worker did not ask the storage for anything meanwhile"),
        Ok(recovered) => Finding::held(format!("{}; requests hit: {hits}", recovered.sentence())),
    })
}

fn hits(lane: &Lane<'_, '_>, fault: Fault) -> u64 {
    let states = lane.orchestrator.faults();
    states.iter().find(|state| state.fault == fault).map_or(0, |state| state.hits)
}
