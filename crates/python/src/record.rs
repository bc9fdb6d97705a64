//! The messages that the runtime's threads send to Python's event loop.

use avtomatika_worker::extract::Outside;
use avtomatika_worker::{Command, IgnoredResult, Stopped};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::error::Failure;

/// A message to the event loop.
pub(crate) enum Record {
    Task(ArrivedTask),
    /// Asks the task of this number to stop.
    Cancel(u64),
    Command(PendingCommand),
    Ignored(IgnoredResult),
    Ended(Ended),
}

/// A task on its way to its handler.
pub(crate) struct ArrivedTask {
    pub(crate) number: u64,
    /// The index of its name in the list of tasks.
    pub(crate) route: usize,
    /// Whether its handler, or its middleware, runs on the loop.
    pub(crate) on_loop: bool,
    pub(crate) outside: Outside,
    pub(crate) params: Box<RawValue>,
}

/// A command, and the signal that Python has obeyed it. The next command waits for that signal.
pub(crate) struct PendingCommand {
    pub(crate) command: Command,
    pub(crate) obeyed: oneshot::Sender<()>,
}

/// How a worker ended, or why it did not run.
pub(crate) type Ended = Result<Stopped, Failure>;
