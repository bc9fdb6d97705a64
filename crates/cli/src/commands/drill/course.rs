//! The course of a drill: workers beside each other, each of which goes through its disasters one after the other.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use avtomatika_dev::{DevOrchestrator, Fault, S3Settings, Settings, WorkerView};
use futures_util::future::join;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::choice::{Offer, Task, Tasks, watch_storage};
use super::disaster::Disaster;
use super::finding::{Finding, Verdict, ended};
use super::lane::{Lane, Pace, registered, unix_seconds};
use super::process::{Keeper, Process};
use super::report::{Promise, Tested};
use super::space::Space;
use super::{cancel, deploy, disk, environment, faults, kill, pauses, storage, too_many};
use crate::args::Drill;
use crate::commands::dev::random;
use crate::commands::dev::server::Server;
use crate::exit::Failure;
use crate::output::Printer;
use crate::supervision::End;

/// Fewer disasters than this are left to one worker.
const FOR_TWO: usize = 5;

/// The least time that a disaster needs, beside that of its tasks.
const LEAST: Duration = Duration::from_secs(5);

/// The time that a worker has to end after the last disaster.
const AT_THE_END: Duration = Duration::from_secs(2);

/// The time in which the last lines of a worker that has ended are read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The time for which the server holds a poll: short, so that polls fall into every fault.
const POLL_HOLD: Duration = Duration::from_secs(2);

/// The delay before a task is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(300);

/// The tries of a task, of which none is lost to a fault.
const RETRIES: u32 = 10;

/// The file that tasks with files are given.
const SAMPLE: &str = "drill/sample.txt";

/// What all workers of a drill share.
pub(super) struct Course<'a> {
    pub(super) drill: &'a Drill,
    pub(super) pace: Pace,
    pub(super) space: &'a Space,
    pub(super) printer: &'a Printer,
    /// Ends everything.
    pub(super) stop: CancellationToken,
    /// The tasks, once they are chosen.
    pub(super) tasks: watch::Sender<Option<Tasks>>,
    pub(super) tested: RefCell<Tested>,
    pub(super) promises: RefCell<Vec<Promise>>,
}

impl Course<'_> {
    /// Takes the worker through these disasters.
    pub(super) async fn run(&self, disasters: &[Disaster]) -> Result<(), Failure> {
        let is_for_two = disasters.len() >= FOR_TWO;
        let (mut first, mut second): (Vec<Disaster>, Vec<Disaster>) =
            disasters.iter().partition(|disaster| !is_for_two || disaster.is_of_server());
        if first.is_empty() {
            std::mem::swap(&mut first, &mut second);
        }
        let (first, beside) = join(Box::pin(self.lane(0, &first)), Box::pin(self.lane(1, &second))).await;
        first?;
        if let Err(problem) = beside {
            // It may hold something that there is only once.
            self.printer.warning(format_args!("a second worker beside the first one does not work"));
            problem.print(self.printer);
            return self.lane(0, &second).await;
        }
        Ok(())
    }

    /// Starts a server and a worker, goes through the disasters, and ends both.
    async fn lane(&self, number: usize, disasters: &[Disaster]) -> Result<(), Failure> {
        if disasters.is_empty() {
            return Ok(());
        }
        let token = random()?;
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on a port")?;
        // Next to all else, so that what is left after SIGKILL is removed with it.
        let storage = S3Settings::new().with_directory(self.space.directory("storage")?);
        let settings = Settings::new()
            .with_token(&token)
            .with_storage(storage)
            .with_poll_hold(POLL_HOLD)
            .with_retry_delay(RETRY_DELAY)
            .with_max_retries(RETRIES);
        let server = Server::start(listener, settings).context("cannot start a development server")?;
        let variables = environment::variables(
            server.orchestrator(),
            &token,
            (self.space, number, disasters.contains(&Disaster::FullDisk)),
            |name| std::env::var_os(name),
        )?;
        let lines = RefCell::new(VecDeque::new());
        let prefix = format!("[{}] ", number + 1);
        let (keeper, process) = Keeper::new(
            &self.drill.command,
            variables,
            &lines,
            self.drill.verbose.then_some(prefix.as_str()),
            self.printer,
        );
        let going = async {
            let mut process = process;
            let going = self.go(number, server.orchestrator(), disasters, &mut process);
            let result = self.stop.run_until_cancelled(going).await;
            match result {
                Some(_) => process.terminate(AT_THE_END).await,
                None => process.kill().await,
            }
            result.unwrap_or(Ok(()))
        };
        let (result, ()) = tokio::join!(going, keeper.run());
        server.shutdown().await;
        if result.is_err() && number == 0 {
            self.stop.cancel();
        }
        result
    }

    /// Starts the worker, and takes it through the disasters.
    async fn go(
        &self,
        number: usize,
        orchestrator: &DevOrchestrator,
        disasters: &[Disaster],
        process: &mut Process<'_>,
    ) -> Result<(), Failure> {
        if number > 0 {
            // Where there can only be one worker, it has to be the first.
            self.chosen().await?;
        }
        let since = unix_seconds();
        process.start().await;
        let worker = registered(orchestrator, process, since, self.pace.register).await;
        let worker = match worker {
            Ok(worker) => worker,
            Err(problem) => return Err(useless(problem, process).await),
        };
        let file = put_sample(orchestrator).await?;
        let chooses = number == 0 && self.tasks.borrow().is_none();
        let tasks = if chooses {
            match (self.choose(orchestrator, process, &worker, &file).await, process.end()) {
                (Ok(tasks), _) => tasks,
                (Err(_), Some(end)) => {
                    let problem = anyhow!("the worker {} when its tasks were tried", ended(end));
                    return Err(useless(problem, process).await);
                }
                (Err(problem), None) => return Err(problem),
            }
        } else {
            self.chosen().await?
        };
        let (pace, space) = (self.pace, self.space.disk());
        let mut lane = Lane { orchestrator, process, tasks, pace, left: 0, space };
        for (index, disaster) in disasters.iter().enumerate() {
            lane.left = u32::try_from(disasters.len() - index - 1).unwrap_or_default();
            let began = Instant::now();
            let finding = face(&mut lane, *disaster).await;
            if finding.verdict == Verdict::Broken && lane.left > 0 {
                // The next one begins with a worker that is well.
                lane.process.kill().await;
            }
            let promise = Promise::new(*disaster, finding, began.elapsed());
            promise.announce(self.printer);
            self.promises.borrow_mut().push(promise);
        }
        Ok(())
    }

    /// Chooses the tasks, for all workers.
    async fn choose(
        &self,
        orchestrator: &DevOrchestrator,
        process: &Process<'_>,
        worker: &WorkerView,
        file: &str,
    ) -> Result<Tasks, Failure> {
        let skills = orchestrator.skills();
        let names = skills.iter().map(|skill| skill.name.as_str().to_owned()).collect();
        self.tested.replace(Tested { software: worker.software.clone(), skills: names });
        watch_storage(orchestrator, true)?;
        let offer = Offer { orchestrator, skills, process, file };
        let tasks = offer.choose(self.drill).await?;
        watch_storage(orchestrator, false)?;
        let Task { name, takes, .. } = &tasks.main;
        self.printer.note(format_args!("the tasks are `{name}`, which takes {:.3} s", takes.as_secs_f64()));
        self.tasks.send_replace(Some(tasks.clone()));
        Ok(tasks)
    }

    /// Waits until the tasks are chosen.
    async fn chosen(&self) -> Result<Tasks> {
        let mut tasks = self.tasks.subscribe();
        let chosen = tasks.wait_for(Option::is_some).await?.clone();
        chosen.context("no task was chosen")
    }
}

/// Takes the worker through one disaster, within the time of the drill.
async fn face(lane: &mut Lane<'_, '_>, disaster: Disaster) -> Finding {
    let (until, needed) = (lane.pace.until, needed(disaster, lane.pace.shutdown, lane.tasks.longest().takes));
    let left = until.saturating_duration_since(Instant::now());
    if left < needed {
        return Finding::skipped(format!(
            "it may take {:.0} s, and {:.0} s were left; `--only` leaves others out",
            needed.as_secs_f64().ceil(),
            left.as_secs_f64().floor()
        ));
    }
    match timeout_at(until, Box::pin(go_through(lane, disaster))).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(problem)) => {
            lane.clear().await;
            Finding::skipped(format!("it could not be made: {problem:#}"))
        }
        Err(_) => {
            lane.clear().await;
            Finding::skipped(
                "the time of the drill was over before this could be judged; `--only` leaves others out",
            )
        }
    }
}

/// The time that has to be left for a disaster.
fn needed(disaster: Disaster, shutdown: Duration, takes: Duration) -> Duration {
    let end = if disaster == Disaster::Deploy { shutdown + deploy::MORE } else { Duration::ZERO };
    LEAST + takes * 2 + end
}

async fn go_through(lane: &mut Lane<'_, '_>, disaster: Disaster) -> Result<Finding> {
    if let Err(problem) = lane.ensure().await {
        return Ok(Finding::skipped(format!("the worker could not be started again: {problem}")));
    }
    match disaster {
        Disaster::Fault(Fault::TooMany) => too_many::go_through(lane).await,
        Disaster::Fault(fault) if fault.is_of_storage() => storage::go_through(lane, fault).await,
        Disaster::Fault(fault) => faults::go_through(lane, fault).await,
        Disaster::Deploy => deploy::go_through(lane).await,
        Disaster::KillInTask => kill::in_task(lane).await,
        Disaster::KillBeforeAck => kill::before_ack(lane).await,
        Disaster::Cancel => cancel::go_through(lane).await,
        Disaster::ExpiredToken => pauses::expired_token(lane).await,
        Disaster::Stopped => pauses::stopped(lane).await,
        Disaster::FullDisk => disk::go_through(lane).await,
    }
}

/// The error for a worker that cannot be tested, with its last lines: wrong arguments if there is no such program.
async fn useless(problem: anyhow::Error, process: &Process<'_>) -> Failure {
    if process.end().is_some() {
        process.gone(LAST_LINES).await;
    }
    let lines = process.last_lines();
    let lines =
        if lines.is_empty() { String::new() } else { format!("; its last lines:\n  {}", lines.join("\n  ")) };
    let error = anyhow!("{problem}{lines}");
    match process.end() {
        // The codes of shells, and of `avtomatika become`, for what is not executable and what is not there.
        Some(End::Exited(126 | 127)) => Failure::usage(error),
        _ => error.into(),
    }
}

/// Stores the file that tasks are given, and returns its address.
async fn put_sample(orchestrator: &DevOrchestrator) -> Result<String> {
    let storage = orchestrator.storage().context("there is no storage")?;
    let bucket = storage.bucket();
    storage
        .put(bucket, SAMPLE, "a file of the drill\n".repeat(1_000))
        .await
        .context("cannot store a file")?;
    Ok(format!("s3://{bucket}/{SAMPLE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deploy_begins_only_if_its_shutdown_time_is_left() {
        let seconds = Duration::from_secs;
        assert_eq!(needed(Disaster::Deploy, seconds(60), seconds(1)), seconds(5 + 2 + 60 + 3));
        assert_eq!(needed(Disaster::Stopped, seconds(60), seconds(1)), seconds(5 + 2));
    }
}
