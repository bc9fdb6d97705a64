//! The end of the process: exit codes and error messages.

use std::process::ExitCode;

use crate::output::{Printer, StdoutClosed};
use crate::signals::Signal;

/// The way the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command succeeded.
    Success,
    /// The command failed.
    Failure,
    /// The arguments or the configuration are wrong.
    Usage,
    /// A signal ended the command early.
    Interrupted(Signal),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            // The convention of shells: 128 plus the number of the signal.
            Exit::Interrupted(Signal::Interrupt) => 130,
            Exit::Interrupted(Signal::Terminate) => 143,
        })
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
}

/// Makes any error a failure without a hint. This is possible because `Failure` does not implement `Error` itself.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), hint: None, exit: Exit::Failure }
    }
}

/// Prints the error of a failed command. A closed standard output counts as success.
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
        let printer = Printer::new();
        let closed = anyhow::Error::from(StdoutClosed).context("cannot print the results");
        assert_eq!(from_result(Err(closed.into()), &printer), Exit::Success);
        let other = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(from_result(Err(other.into()), &printer), Exit::Failure);
    }
}
