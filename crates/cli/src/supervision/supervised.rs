//! A supervised program, as it is seen by the process that started it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::message::{End, Order};
use super::this_program;

/// A program that runs under supervision. If this is dropped, the program gets SIGTERM, and SIGKILL after its grace.
#[derive(Debug)]
pub(crate) struct Supervised {
    child: Child,
    orders: OwnedWriteHalf,
    reports: Lines<BufReader<OwnedReadHalf>>,
}

/// A step towards the end of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Its first process has ended; others that descend from it may still run.
    Ended(End),
    /// Nothing of it is left.
    Gone,
}

impl Supervised {
    /// Starts a program with these variables in addition to the environment. `grace` is the time between SIGTERM and SIGKILL
    /// if this process dies.
    pub(crate) fn start(
        command: &[OsString],
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
        grace: Duration,
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        let (ours, theirs) = BlockingStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut supervisor = this_program();
        supervisor.args(["supervise", "--grace", &grace.as_secs_f64().to_string(), "--"]).args(command);
        supervisor.envs(variables);
        let mut supervisor = Command::from(supervisor);
        supervisor.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
        // So that Ctrl-C in the terminal reaches this process only.
        let mut child = supervisor.process_group(0).spawn()?;
        let missing = || io::Error::other("the process has no output");
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let (reports, orders) = UnixStream::from_std(ours)?.into_split();
        Ok((Self { child, orders, reports: BufReader::new(reports).lines() }, stdout, stderr))
    }

    /// Gives an order. If nothing is left that could take it, nothing happens.
    pub(crate) async fn order(&mut self, order: Order) {
        let _ = self.orders.write_all(format!("{}\n", order.as_str()).as_bytes()).await;
    }

    /// Waits for the next step.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub(crate) async fn next(&mut self) -> Progress {
        while let Ok(Some(line)) = self.reports.next_line().await {
            if let Some(end) = End::parse(&line) {
                return Progress::Ended(end);
            }
        }
        let _ = self.child.wait().await;
        Progress::Gone
    }
}
