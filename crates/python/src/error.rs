//! The errors of a worker that did not run, for Python.

use avtomatika_worker::{Error, ErrorChain, Exit};
use pyo3::PyErr;
use pyo3::exceptions::PyRuntimeError;

/// The reason why a worker did not run.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One text for each invalid option; empty when the configuration is not the cause.
    pub(crate) problems: Vec<String>,
    pub(crate) message: String,
    pub(crate) exit_code: u8,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let problems = match &error {
            Error::Config(config) => config.problems().iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        let message = ErrorChain(&error).to_string();
        Self { problems, message, exit_code: Exit::from(Err(error)).code() }
    }
}

/// A `RuntimeError` for a failure that is not caused by the arguments.
pub(crate) fn unexpected(what: &str, error: impl std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(format!("{what}: {error}"))
}
