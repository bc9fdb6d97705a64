//! The process of the worker: started, ended and watched, as often as the drill wants it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::time::Duration;

use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::commands::dev::lines;
use crate::output::Printer;
use crate::supervision::{End, Order, Progress, Supervised};

/// The time between SIGTERM and SIGKILL, if the drill itself is killed.
const GRACE: Duration = Duration::from_secs(2);

/// The number of lines of the worker that are kept.
const KEPT: usize = 20;

/// The time in which the last lines of a worker are read: something that escaped may hold its pipes open.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The end of a worker whose supervisor did not tell it.
const UNKNOWN: End = End::Killed(9);

/// The state of a run of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    /// Its first process has ended.
    Ended(End),
    /// Nothing of it is left.
    Gone(End),
}

impl State {
    fn end(self) -> Option<End> {
        match self {
            Self::Runs => None,
            Self::Ended(end) | Self::Gone(end) => Some(end),
        }
    }
}

#[derive(Debug)]
enum Request {
    Start,
    Order(Order),
}

/// The processes of the worker, one after the other.
#[derive(Debug)]
pub(super) struct Keeper<'a> {
    command: &'a [OsString],
    /// What is added to the environment.
    variables: Vec<(String, OsString)>,
    /// The beginning of each of its lines, if they are shown.
    prefix: Option<&'a str>,
    printer: &'a Printer,
    last_lines: &'a RefCell<VecDeque<String>>,
    requests: mpsc::Receiver<Request>,
    state: watch::Sender<(u64, State)>,
}

/// The handle of a [`Keeper`]. When it is dropped, the worker is killed, and the keeper ends.
#[derive(Debug)]
pub(super) struct Process<'a> {
    requests: mpsc::Sender<Request>,
    state: watch::Receiver<(u64, State)>,
    last_lines: &'a RefCell<VecDeque<String>>,
}

impl<'a> Keeper<'a> {
    /// Makes a keeper that has started nothing yet, and its handle. With a prefix, the lines of the worker are shown.
    pub(super) fn new(
        command: &'a [OsString],
        variables: Vec<(String, OsString)>,
        last_lines: &'a RefCell<VecDeque<String>>,
        prefix: Option<&'a str>,
        printer: &'a Printer,
    ) -> (Self, Process<'a>) {
        let (sender, requests) = mpsc::channel(8);
        let (state, receiver) = watch::channel((0, State::Gone(UNKNOWN)));
        let process = Process { requests: sender, state: receiver, last_lines };
        (Self { command, variables, prefix, printer, last_lines, requests, state }, process)
    }

    /// Starts the worker whenever the handle asks for it, until the handle is dropped and nothing of the worker is left.
    pub(super) async fn run(mut self) {
        let mut run = 0;
        while let Some(request) = self.requests.recv().await {
            if let Request::Order(_) = request {
                // There is nobody who could take it.
                continue;
            }
            run += 1;
            let end = match Supervised::start(
                self.command,
                self.variables.iter().map(|(name, value)| (name, value)),
                GRACE,
            ) {
                Ok((program, stdout, stderr)) => self.attend(run, program, stdout, stderr).await,
                Err(error) => {
                    self.keep(format!("cannot start a process: {error}"));
                    End::Exited(1)
                }
            };
            self.state.send_replace((run, State::Gone(end)));
        }
    }

    async fn attend(
        &mut self,
        run: u64,
        mut program: Supervised,
        stdout: ChildStdout,
        stderr: ChildStderr,
    ) -> End {
        self.state.send_replace((run, State::Runs));
        let (keep, prefix, printer) = (self.last_lines, self.prefix, self.printer);
        let mut reading = std::pin::pin!(read(stdout, stderr, keep, prefix, printer));
        let (mut has_read, mut is_owned, mut known) = (false, true, UNKNOWN);
        loop {
            tokio::select! {
                progress = program.next() => match progress {
                    Progress::Ended(end) => {
                        known = end;
                        self.state.send_replace((run, State::Ended(end)));
                    }
                    Progress::Gone => break,
                },
                () = &mut reading, if !has_read => has_read = true,
                request = self.requests.recv(), if is_owned => match request {
                    Some(Request::Order(order)) => program.order(order).await,
                    Some(Request::Start) => {}
                    None => {
                        is_owned = false;
                        program.order(Order::Kill).await;
                    }
                },
            }
        }
        if !has_read {
            let _ = timeout(LAST_LINES, reading).await;
        }
        known
    }

    fn keep(&self, line: String) {
        self.last_lines.borrow_mut().push_back(line);
    }
}

/// Reads everything that the worker writes, and keeps the last lines.
async fn read(
    stdout: ChildStdout,
    stderr: ChildStderr,
    last_lines: &RefCell<VecDeque<String>>,
    prefix: Option<&str>,
    printer: &Printer,
) {
    let keep = async |line: &[u8]| {
        let text = lines::shown(line);
        if let Some(prefix) = prefix {
            printer.room().await;
            printer.pass_on(prefix, &text);
        }
        let mut last_lines = last_lines.borrow_mut();
        last_lines.push_back(String::from_utf8_lossy(&text).into_owned());
        if last_lines.len() > KEPT {
            last_lines.pop_front();
        }
    };
    tokio::join!(lines::read(stdout, &keep), lines::read(stderr, &keep));
}

impl Process<'_> {
    /// Starts the worker. One that runs goes on.
    pub(super) async fn start(&mut self) {
        let before = self.state.borrow().0;
        if matches!(*self.state.borrow(), (_, State::Runs)) {
            return;
        }
        self.last_lines.borrow_mut().clear();
        let _ = self.requests.send(Request::Start).await;
        let _ = self.state.wait_for(|(run, _)| *run > before).await;
    }

    /// Gives an order. If nothing is left that could take it, nothing happens.
    pub(super) async fn order(&self, order: Order) {
        let _ = self.requests.send(Request::Order(order)).await;
    }

    /// The end of the worker, if it has ended.
    pub(super) fn end(&self) -> Option<End> {
        self.state.borrow().1.end()
    }

    /// Waits until nothing of the worker is left, and returns its end; `None` if something still runs after this time. A
    /// shell that started the worker may end long before it.
    pub(super) async fn gone(&self, limit: Duration) -> Option<End> {
        let mut state = self.state.clone();
        let gone = state.wait_for(|(_, state)| matches!(state, State::Gone(_)));
        timeout(limit, gone).await.ok()?.ok()?.1.end()
    }

    /// Ends the worker with SIGTERM, or with SIGKILL if it still runs after this time, and waits until nothing of it is left.
    pub(super) async fn terminate(&mut self, limit: Duration) {
        self.order(Order::Terminate).await;
        self.gone(limit).await;
        self.kill().await;
    }

    /// Kills everything of the worker, and waits until nothing of it is left.
    pub(super) async fn kill(&mut self) {
        self.order(Order::Kill).await;
        let _ = self.state.wait_for(|(_, state)| matches!(state, State::Gone(_))).await;
    }

    /// The last lines that the worker wrote.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.last_lines.borrow().iter().cloned().collect()
    }
}
