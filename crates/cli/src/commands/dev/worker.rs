//! One worker: started, started again when it has ended or a file has changed, and ended.

use std::ffi::OsString;
use std::time::Duration;

use avtomatika_dev::DevOrchestrator;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until, timeout};

use super::lines::{self, Source};
use super::restarts::{Next, Restarts};
use super::{Stop, logbook};
use crate::output::Printer;
use crate::supervision::{End, Order, Progress, Supervised};

/// The time that a worker has to end when the server ends.
const AT_THE_END: Duration = Duration::from_secs(4);

/// The time that a worker has left when a second file changes while it ends.
const IN_A_HURRY: Duration = Duration::from_secs(1);

/// The time in which the last lines of a worker are read: something that escaped may hold its pipes open.
const LAST_LINES: Duration = Duration::from_millis(300);

/// The end of a worker whose supervisor did not tell it, because it was killed itself.
const UNKNOWN: End = End::Killed(9);

/// A worker.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    pub(super) command: &'a [OsString],
    /// What is added to the environment.
    pub(super) variables: Vec<(String, OsString)>,
    /// The time between SIGTERM and SIGKILL when it is restarted.
    pub(super) grace: Duration,
    /// The beginning of each of its lines.
    pub(super) prefix: String,
    pub(super) id: String,
    pub(super) orchestrator: &'a DevOrchestrator,
    pub(super) printer: &'a Printer,
}

/// The reason why a run of a worker is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// The server ends.
    Stopped,
    /// A file changed.
    Changed,
    /// It ended by itself.
    Ended(End),
}

impl Worker<'_> {
    /// Runs the worker, again and again, until it is told to stop and nothing of it is left.
    pub(super) async fn run(&self, mut changes: Receiver<()>, stop: &Stop) {
        let mut restarts = Restarts::new();
        while !stop.terminate.is_cancelled() {
            let started_at = Instant::now();
            let over = match Supervised::start(
                self.command,
                self.variables.iter().map(|(name, value)| (name, value)),
                self.grace,
            ) {
                Ok((program, stdout, stderr)) => {
                    self.attend(program, (stdout, stderr), &mut changes, stop).await
                }
                Err(error) => {
                    self.say(&format!("cannot start a process: {error}"));
                    Over::Ended(End::Exited(1))
                }
            };
            let Over::Ended(end) = over else { continue };
            let next = restarts.after(end, started_at.elapsed());
            self.say(&next.sentence(end));
            let until = match next {
                Next::After(delay) => Some(Instant::now() + delay),
                Next::OnChange(_) => None,
            };
            tokio::select! {
                () = stop.terminate.cancelled() => {}
                Ok(()) = changes.changed() => {}
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
                else => stop.terminate.cancelled().await,
            }
        }
    }

    /// Attends a run until nothing of it is left.
    async fn attend(
        &self,
        mut program: Supervised,
        (stdout, stderr): (ChildStdout, ChildStderr),
        changes: &mut Receiver<()>,
        stop: &Stop,
    ) -> Over {
        let mut reading = std::pin::pin!(self.pass_on(stdout, stderr));
        let mut has_read = false;
        let mut over = Over::Ended(UNKNOWN);
        // From when on everything gets SIGKILL.
        let mut until = None;
        let mut was_killed = false;
        loop {
            tokio::select! {
                progress = program.next() => match progress {
                    Progress::Ended(end) if until.is_none() => over = Over::Ended(end),
                    Progress::Ended(_) => {}
                    Progress::Gone => break,
                },
                () = &mut reading, if !has_read => has_read = true,
                () = stop.kill.cancelled(), if !was_killed => {
                    (over, was_killed) = (Over::Stopped, true);
                    program.order(Order::Kill).await;
                }
                () = stop.terminate.cancelled(), if over != Over::Stopped => {
                    over = Over::Stopped;
                    let at = Instant::now() + AT_THE_END;
                    until = Some(until.map_or(at, |known: Instant| known.min(at)));
                    program.order(Order::Terminate).await;
                }
                Ok(()) = changes.changed(), if over != Over::Stopped => {
                    let grace = if over == Over::Changed { IN_A_HURRY } else { self.grace };
                    let at = Instant::now() + grace;
                    until = Some(until.map_or(at, |known: Instant| known.min(at)));
                    over = Over::Changed;
                    program.order(Order::Terminate).await;
                }
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() && !was_killed => {
                    was_killed = true;
                    program.order(Order::Kill).await;
                }
            }
        }
        if !has_read {
            let _ = timeout(LAST_LINES, reading).await;
        }
        over
    }

    /// Shows and keeps everything that the worker writes.
    async fn pass_on(&self, stdout: ChildStdout, stderr: ChildStderr) {
        let pass_on = async |source: Source, line: &[u8]| {
            logbook::keep(self.orchestrator, &self.id, source, line);
            for shown in lines::shown(line).split(|byte| *byte == b'\n') {
                self.printer.room().await;
                self.printer.pass_on(&self.prefix, shown);
            }
        };
        tokio::join!(
            lines::read(stdout, async |line: &[u8]| pass_on(Source::Stdout, line).await),
            lines::read(stderr, async |line: &[u8]| pass_on(Source::Stderr, line).await),
        );
    }

    /// Says something about the worker.
    fn say(&self, sentence: &str) {
        self.printer.pass_on(&self.prefix, sentence.as_bytes());
    }
}
