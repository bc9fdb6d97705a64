//! The faults of the storage.

use std::time::Duration;

use anyhow::Result;
use avtomatika_dev::{Fault, FaultSwitch};
use tokio::time::{Instant, sleep, sleep_until};

use super::finding::Finding;
use super::lane::{Lane, NEVER, hits, unix_seconds};

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
            "`--params` name a file of the storage for `{}`, and the worker never asked the storage for it",
            task.name
        )));
    }
    let delay = Duration::from_secs(1);
    let switch =
        if fault == Fault::StorageSlow { FaultSwitch::on().with_delay(delay) } else { FaultSwitch::on() };
    let on = Instant::now();
    lane.orchestrator.set_fault(fault, switch)?;
    let jobs = lane.submit(&task, TASKS, NEVER)?;
    while hits(lane.orchestrator, fault) == 0 && on.elapsed() < task.takes + ASKED {
        sleep(Duration::from_millis(10)).await;
    }
    sleep_until(on + TIME).await;
    let (hits, since) = (lane.switch_off(fault)?, unix_seconds());
    lane.settle(&task, jobs, since, Duration::ZERO, |_, recovered| match hits {
        0 => Finding::skipped("the worker did not ask the storage for anything meanwhile"),
        _ => Finding::held(format!("{}; requests hit: {hits}", recovered.sentence())),
    })
    .await
}
