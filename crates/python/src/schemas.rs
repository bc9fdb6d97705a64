//! The schemas of a task that are enforced, for tests without a worker.

use avtomatika_worker::TaskError;
use avtomatika_worker::middleware::enforce_schemas::EnforceSchemasLayer;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use rxon::json::mended;

use crate::task::{FailedTuple, json, outcome};
use crate::worker::{TaskSpec, options};

/// The schemas of a task that are enforced.
#[pyclass(frozen, module = "avtomatika_worker._native")]
pub(crate) struct EnforcedSchemas(Option<EnforceSchemasLayer>);

#[pymethods]
impl EnforcedSchemas {
    /// Takes the options of a task.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "arguments of Python are extracted by value")]
    fn new(task: TaskSpec) -> PyResult<Self> {
        Ok(Self(options(&task)?.enforced_schemas(&task.name)))
    }

    /// Returns the error that a task with these parameters, JSON text, fails with; none if they fit.
    fn check_params<'py>(&self, py: Python<'py>, params: &[u8]) -> Option<FailedTuple<'py>> {
        // Schemas know no `NaN`: they find a number out of range.
        let params = json(params).ok().or_else(|| json(mended(params)?.as_bytes()).ok())?;
        failed(py, self.0.as_ref()?.check_params(&params))
    }

    /// Returns the error that a task fails with whose outcome does not fit; none if it fits. The outcome is a tuple as for
    /// `Worker.complete`.
    fn check_outcome<'py>(&self, ended: &Bound<'py, PyTuple>) -> PyResult<Option<FailedTuple<'py>>> {
        let Some(layer) = &self.0 else { return Ok(None) };
        Ok(failed(ended.py(), layer.check_outcome(&outcome(ended)?)))
    }
}

fn failed(py: Python<'_>, checked: Result<(), TaskError>) -> Option<FailedTuple<'_>> {
    let error = checked.err()?;
    let details = error.details().map(|details| PyBytes::new(py, details.as_bytes()));
    Some((error.code().as_str().to_owned(), error.message().to_owned(), details))
}
