//! `drill`: takes a worker through disasters, and says which promises it keeps.
//!
//! ```text
//! course ──lane (a development server with a copy of the worker)──▸ faults, storage, too_many, deploy, kill, cancel, …
//!    │                  └──process: starts and ends the worker
//!    └──choice: the tasks, with params made from a schema            report: the verdicts
//! ```

mod cancel;
mod choice;
mod course;
mod deploy;
mod disaster;
mod disk;
mod environment;
mod faults;
mod finding;
mod kill;
mod knocks;
mod lane;
mod params;
mod pauses;
mod process;
mod recovery;
mod report;
mod space;
mod storage;
mod too_many;

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::course::Course;
use self::disaster::Disaster;
use self::lane::Pace;
use self::report::{Report, Tested};
use self::space::Space;
use crate::args::Drill;
use crate::exit::{Exit, Failure};
use crate::output::Printer;
use crate::signals::Signals;

/// Takes a worker through the disasters.
pub(crate) fn run(drill: &Drill, printer: &Printer) -> Result<Exit, Failure> {
    let disasters = Disaster::chosen(&drill.only)?;
    drill.params.as_deref().map(choice::object).transpose()?;
    let seconds = |option: &str, seconds: f64| {
        let time = Duration::try_from_secs_f64(seconds);
        time.map_err(|error| Failure::usage(anyhow!("`{option}` is `{seconds}`: {error}")))
    };
    let register = seconds("--register-within", drill.register_within)?;
    let within = seconds("--within", drill.within)?;
    let space = Space::new(disasters.contains(&Disaster::FullDisk))?;
    // A terminal that takes nothing must not hold up the drill.
    let printer = &printer.in_background().context("cannot start a thread")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(go(
        drill,
        &disasters,
        (register, within),
        &space,
        printer,
    ))
}

async fn go(
    drill: &Drill,
    disasters: &[Disaster],
    (register, within): (Duration, Duration),
    space: &Space,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    let began = Instant::now();
    let variable = |name: &str| std::env::var_os(name);
    let (shutdown, slowness) = (environment::shutdown_time(variable), environment::slowness(variable));
    let course = Course {
        drill,
        pace: Pace { until: began + within, register, shutdown, slowness },
        space,
        printer,
        stop: CancellationToken::new(),
        tasks: watch::Sender::new(None),
        tested: RefCell::new(Tested::default()),
        promises: RefCell::default(),
    };
    let mut running = std::pin::pin!(course.run(disasters));
    let result = tokio::select! {
        biased;
        signal = signals.next() => {
            course.stop.cancel();
            // Whatever was started ends first. A second signal does not wait for it.
            tokio::select! {
                _ = signals.next() => {}
                _ = running => {}
            }
            return Ok(Exit::Interrupted(signal));
        }
        result = &mut running => result,
    };
    result?;
    let (tested, promises) = (course.tested.take(), course.promises.take());
    let task = course.tasks.borrow().as_ref().map(|tasks| tasks.main.name.clone()).unwrap_or_default();
    let report = Report::new(tested, task, promises, began.elapsed());
    report.print(printer)?;
    Ok(if report.passed() { Exit::Success } else { Exit::Failure })
}
