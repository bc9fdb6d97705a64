//! The process in the middle: it starts a program, and ends all that descends from it.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use super::descendants::{Process, adopt_orphans, descendants};
use super::message::{End, Order};
use super::this_program;
use crate::args::Program;
use crate::exit::{Exit, Failure};
use crate::signals::Signals;

/// The time that the rest of a program gets when its first process has ended by itself.
const REST: Duration = Duration::from_secs(1);

/// The time between two looks at what still runs, while everything is to end.
const LOOK: Duration = Duration::from_millis(20);

/// Supervises a program until nothing of it is left.
pub(crate) fn run(program: &Program) -> Result<Exit, Failure> {
    adopt_orphans().context("cannot adopt orphans")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(supervise(program))
}

async fn supervise(program: &Program) -> Result<Exit, Failure> {
    let mut ended_child = signal(SignalKind::child()).context("cannot listen for signals")?;
    let mut signals = Signals::listen()?;
    let (orders, reports) = control().context("cannot use the standard input for orders")?.into_split();
    let mut orders = Some(BufReader::new(orders).lines());
    let grace = Duration::try_from_secs_f64(program.grace).unwrap_or(REST);
    // Held from the beginning: without any reader, what a program writes while it ends would kill it.
    let mut discarding = std::pin::pin!(discard([1, 2].map(output)));
    let mut has_discarded = false;
    let mut running = Running { main: start(program)?, end: None, stage: Stage::Running, reports };
    while !running.is_over().await {
        let is_ending = running.stage != Stage::Running;
        let until = match running.stage {
            Stage::Ending { until } => until,
            _ => None,
        };
        tokio::select! {
            _ = ended_child.recv() => {}
            () = sleep(LOOK), if is_ending => {}
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => running.kill(),
            order = next_order(&mut orders) => match order {
                Some(Order::Terminate) => running.terminate(None),
                Some(Order::Kill) => running.kill(),
                Some(Order::Suspend) => running.signal_all(Signal::STOP),
                Some(Order::Resume) => running.signal_all(Signal::CONT),
                None => running.terminate(Some(Instant::now() + grace)),
            },
            () = &mut discarding, if orders.is_none() && !has_discarded => has_discarded = true,
            _ = signals.next() => running.terminate(Some(Instant::now() + grace)),
        }
    }
    Ok(Exit::Success)
}

/// Returns the next order; `None`, once, when the process that gives them is gone.
async fn next_order(orders: &mut Option<Lines<BufReader<OwnedReadHalf>>>) -> Option<Order> {
    let Some(lines) = orders else { return std::future::pending().await };
    loop {
        let Ok(Some(line)) = lines.next_line().await else {
            *orders = None;
            return None;
        };
        if let Some(order) = Order::parse(&line) {
            return Some(order);
        }
    }
}

/// Returns the socket that is the standard input.
fn control() -> io::Result<UnixStream> {
    let stream = BlockingStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Opens the other end of a pipe that this process writes to. Other systems than Linux have no such name.
fn output(descriptor: u8) -> Option<Receiver> {
    OpenOptions::new().open_receiver(format!("/proc/self/fd/{descriptor}")).ok()
}

/// Reads what nobody else reads any more.
async fn discard(outputs: [Option<Receiver>; 2]) {
    let read = async |output: Option<Receiver>| {
        let Some(mut output) = output else { return };
        // Its end does not come before that of this process, which could write to it, too.
        let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    };
    let [stdout, stderr] = outputs;
    tokio::join!(read(stdout), read(stderr));
}

/// Starts the program in a process group of its own.
fn start(program: &Program) -> Result<Pid, Failure> {
    let mut command = this_program();
    command.args(["become", "--parent", &std::process::id().to_string(), "--"]).args(&program.command);
    let child = command.stdin(Stdio::null()).process_group(0).spawn().context("cannot start a process")?;
    // It is waited for with all others.
    Ok(Pid::from_child(&child))
}

/// A program, and what descends from it.
struct Running {
    /// The first process, and the group that it leads.
    main: Pid,
    /// The end of the first process.
    end: Option<End>,
    stage: Stage,
    reports: OwnedWriteHalf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The program runs.
    Running,
    /// The group was told to end, and the rest gets SIGKILL when it has, at this time at the latest.
    Ending { until: Option<Instant> },
    /// Everything gets SIGKILL.
    Killing,
}

impl Running {
    /// Takes note of what has ended, and returns whether nothing is left.
    async fn is_over(&mut self) -> bool {
        let is_empty = self.reap().await;
        if is_empty && self.end.is_some() {
            return true;
        }
        if let (Stage::Running, Some(_)) = (self.stage, self.end) {
            self.terminate(Some(Instant::now() + REST));
        }
        if matches!(self.stage, Stage::Ending { .. }) && !self.group_runs() {
            self.stage = Stage::Killing;
        }
        if self.stage == Stage::Killing {
            self.signal_all(Signal::KILL);
        }
        false
    }

    /// Waits for everything that has ended. Returns whether there are no children.
    async fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((process, status))) if process == self.main => {
                    let killed = status.terminating_signal().map(End::Killed);
                    let end = killed.or_else(|| status.exit_status().map(End::Exited));
                    if let Some(end) = end {
                        self.end = Some(end);
                        // Nobody may be left to read it.
                        let _ = self.reports.write_all(format!("{}\n", end.line()).as_bytes()).await;
                    }
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    /// Tells the group of the program to end.
    fn terminate(&mut self, until: Option<Instant>) {
        match self.stage {
            Stage::Running => {
                self.signal_group(Signal::TERM);
                self.stage = Stage::Ending { until };
            }
            Stage::Ending { until: None } => self.stage = Stage::Ending { until },
            Stage::Ending { .. } | Stage::Killing => {}
        }
    }

    fn kill(&mut self) {
        self.stage = Stage::Killing;
        self.signal_all(Signal::KILL);
    }

    /// Sends a signal to the group of the program. Once its first process is gone, another process may have its number, and
    /// a group with it: then only those that are known to be ours get the signal.
    fn signal_group(&self, signal: Signal) {
        if self.end.is_none() {
            // It may have ended just now.
            let _ = kill_process_group(self.main, signal);
            return;
        }
        let ours = descendants().into_iter().filter(|process| process.runs_in(self.main));
        for process in ours.filter_map(Process::id) {
            let _ = kill_process(process, signal);
        }
    }

    /// Sends a signal to everything that descends from the program.
    fn signal_all(&self, signal: Signal) {
        self.signal_group(signal);
        for process in descendants().into_iter().filter_map(Process::id) {
            let _ = kill_process(process, signal);
        }
    }

    fn group_runs(&self) -> bool {
        if cfg!(target_os = "linux") {
            return descendants().iter().any(|process| process.runs_in(self.main));
        }
        rustix::process::test_kill_process_group(self.main).is_ok()
    }
}
