//! How the process ends, and what is said about it.

use std::process::ExitCode;

use crate::output::{Printer, StdoutClosed};
use crate::signals::Signal;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Success,
    /// It is not.
    Failure,
    /// It was asked for in a wrong way.
    Usage,
    /// A signal came before it was done.
    Interrupted(Signal),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            // As shells have it: 128 and the number of the signal.
            Exit::Interrupted(Signal::Interrupt) => 130,
            Exit::Interrupted(Signal::Terminate) => 143,
        })
    }
}

/// Why a command failed, and perhaps a way out.
#[derive(Debug)]
pub(crate) struct Failure {
    error: anyhow::Error,
    hint: Option<String>,
    exit: Exit,
}

impl Failure {
    /// Adds a way out: it is printed on a line of its own.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The user has to ask in another way: exit code 2.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Usage, ..Self::from(error) }
    }
}

/// Any error is a failure without a hint. `Failure` is no error itself, which is what allows this.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), hint: None, exit: Exit::Failure }
    }
}

/// Says what went wrong, if anything did. That nobody reads standard output any more is no failure.
pub(crate) fn from_result(result: Result<Exit, Failure>, printer: &Printer) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(failure) if failure.error.is::<StdoutClosed>() => Exit::Success,
        Err(failure) => {
            printer.error(&failure.error);
            if let Some(hint) = failure.hint {
                printer.hint(&hint);
            }
            failure.exit
        }
    }
}

/// Prints help, version, or what is wrong with the arguments.
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
    fn nobody_reading_is_success_whatever_was_being_done() {
        let printer = Printer::new();
        let closed = anyhow::Error::from(StdoutClosed).context("cannot print the results");
        assert_eq!(from_result(Err(closed.into()), &printer), Exit::Success);
        let other = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(from_result(Err(other.into()), &printer), Exit::Failure);
    }
}
