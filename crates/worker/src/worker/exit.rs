//! The exit of a process that ran a worker.

use std::process::{ExitCode, Termination};

use crate::worker::error::Error;
use crate::worker::shutdown::Stopped;

/// The end of a worker, to be returned from `main`.
///
/// | exit code | meaning |
/// |---|---|
/// | 0 | all tasks finished, and their results are acknowledged or on disk |
/// | 1 | tasks were cancelled, results were lost unacknowledged, or the worker could not start |
/// | 2 | the configuration or the code is wrong |
#[derive(Debug)]
#[must_use = "return it from `main`, so that the process has its exit code"]
pub struct Exit(Result<Stopped, Error>);

impl Exit {
    /// Returns how the worker ended, for programs that do more than exit.
    ///
    /// # Errors
    /// The reason why the worker did not run.
    pub fn into_result(self) -> Result<Stopped, Error> {
        self.0
    }

    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match &self.0 {
            Ok(stopped) => u8::from(!stopped.is_clean()),
            Err(error) => error.exit_code(),
        }
    }
}

impl<E: Into<Error>> From<Result<Stopped, E>> for Exit {
    fn from(result: Result<Stopped, E>) -> Self {
        Self(result.map_err(Into::into))
    }
}

impl Termination for Exit {
    /// Prints the error and its causes to standard error, as `main` does for any other error.
    #[expect(clippy::print_stderr, reason = "the last output of the process, with or without a log")]
    fn report(self) -> ExitCode {
        if let Err(error) = &self.0 {
            eprintln!("error: {error}");
            for cause in std::iter::successors(std::error::Error::source(error), |&cause| cause.source()) {
                eprintln!("  caused by: {cause}");
            }
        }
        self.code().into()
    }
}
