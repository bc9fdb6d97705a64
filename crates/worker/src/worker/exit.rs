//! How a process ends that ran a worker.

use std::process::{ExitCode, Termination};

use crate::worker::error::Error;
use crate::worker::shutdown::Stopped;

/// How a worker ended, to be returned from `main`.
///
/// | exit code | meaning |
/// |---|---|
/// | 0 | everything that was begun was finished, and acknowledged or on disk |
/// | 1 | tasks were cancelled, results not acknowledged and lost, or the worker could not start |
/// | 2 | the configuration or the code is wrong |
#[derive(Debug)]
#[must_use = "return it from `main`, so that the process has its exit code"]
pub struct Exit(Result<Stopped, Error>);

impl Exit {
    /// How it ended, for code of one's own.
    ///
    /// # Errors
    /// Why it did not run.
    pub fn into_result(self) -> Result<Stopped, Error> {
        self.0
    }

    /// The process's exit code.
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
    /// Says on standard error what went wrong, as `main` does for any other error.
    #[expect(clippy::print_stderr, reason = "the last words of a process, whether or not it has a log")]
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
