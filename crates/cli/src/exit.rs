//! The end of the process: exit codes and error messages.

use std::panic::{self, AssertUnwindSafe};

use crate::output::{Printer, StdoutClosed};
use crate::signals::Signal;

/// The table of the exit codes, as `avtomatika help exit-codes` prints it.
pub(crate) const CODES: [(u8, &str); 7] = [
    (0, "done; also servers and workers that a signal ended cleanly"),
    (1, "the task, check or drill failed, or the server refused"),
    (2, "wrong arguments or configuration"),
    (69, "nobody is there, or a port or state directory is taken"),
    (70, "a bug of this program"),
    (130, "Ctrl-C, for commands that were waiting"),
    (143, "SIGTERM or SIGHUP, for commands that were waiting"),
];

/// The way the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command succeeded.
    Success,
    /// The command failed.
    Failure,
    /// The arguments or the configuration are wrong.
    Usage,
    /// No server answers, or a port is taken.
    Unavailable,
    /// This program has a bug.
    Bug,
    /// A signal ended the command early.
    Interrupted(Signal),
    /// The exit code of a program that could not be started, as shells have it.
    NotStarted(u8),
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            // The conventions of `sysexits.h`.
            Exit::Unavailable => 69,
            Exit::Bug => 70,
            // The convention of shells: 128 plus the number of the signal.
            Exit::Interrupted(Signal::Interrupt) => 130,
            Exit::Interrupted(Signal::Terminate) => 143,
            Exit::NotStarted(code) => code,
        }
    }
}

/// The error of a failed command, with an optional hint.
#[derive(Debug)]
pub(crate) struct Failure {
    error: anyhow::Error,
    hint: Option<String>,
    exit: Exit,
}

impl Failure {
    /// Adds a hint, which is printed on a line of its own.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A failure caused by wrong arguments: exit code 2.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Usage, ..Self::from(error) }
    }

    /// A failure because nobody answers, or a port is taken: exit code 69.
    pub(crate) fn unavailable(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Unavailable, ..Self::from(error) }
    }

    /// Whether going on makes no sense: nobody answers, or nobody reads what is printed.
    pub(crate) fn is_fatal(&self) -> bool {
        self.exit == Exit::Unavailable || self.error.is::<StdoutClosed>()
    }

    /// The error without its hint, for what goes on all the same.
    pub(crate) fn into_error(self) -> anyhow::Error {
        self.error
    }

    /// Prints the error and its hint, and returns the way the process ends.
    pub(crate) fn print(&self, printer: &Printer) -> Exit {
        printer.error(&self.error);
        if let Some(hint) = &self.hint {
            printer.hint(hint);
        }
        self.exit
    }
}

/// Makes any error a failure without a hint. This is possible because `Failure` does not implement `Error` itself.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), hint: None, exit: Exit::Failure }
    }
}

/// Runs a command, and prints its error. A panic is a bug of ours, and has an exit code of its own.
pub(crate) fn of(printer: &Printer, command: impl FnOnce() -> Result<Exit, Failure>) -> Exit {
    if let Ok(result) = panic::catch_unwind(AssertUnwindSafe(command)) {
        return from_result(result, printer);
    }
    let version = env!("CARGO_PKG_VERSION");
    printer.note(format_args!("error: this is a bug of avtomatika {version}; the lines above say where"));
    Exit::Bug
}

/// Prints the error of a failed command. A closed standard output counts as success.
fn from_result(result: Result<Exit, Failure>, printer: &Printer) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(failure) if failure.error.is::<StdoutClosed>() => Exit::Success,
        Err(failure) => failure.print(printer),
    }
}

/// Prints the help, the version, or the error in the arguments.
pub(crate) fn from_clap(answer: &clap::Error, printer: &Printer) -> Exit {
    match printer.clap(answer) {
        Ok(()) if answer.exit_code() == 0 => Exit::Success,
        Ok(()) => Exit::Usage,
        Err(error) => from_result(Err(error.into()), printer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_standard_output_counts_as_success() {
        let printer = Printer::plain();
        let closed = anyhow::Error::from(StdoutClosed).context("cannot print the results");
        assert_eq!(from_result(Err(closed.into()), &printer), Exit::Success);
        let other = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(from_result(Err(other.into()), &printer), Exit::Failure);
    }

    #[test]
    fn a_panic_is_a_bug() {
        let exit = of(&Printer::plain(), || panic!("this line is expected"));
        assert_eq!(exit, Exit::Bug);
        assert!(CODES.iter().any(|(code, _)| *code == u8::from(exit)));
    }
}
