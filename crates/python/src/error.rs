//! The errors of a worker that did not run, for Python.

use std::error::Error as _;

use avtomatika_worker::{Error, Exit};
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
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Self { problems, message, exit_code: Exit::from(Err(error)).code() }
    }
}

/// A `RuntimeError` for a failure that is not caused by the arguments.
pub(crate) fn unexpected(what: &str, error: impl std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(format!("{what}: {error}"))
}
