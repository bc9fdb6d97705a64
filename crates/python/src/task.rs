//! A task, as Python sees it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use avtomatika_worker::extract::Outside;
use avtomatika_worker::{Outcome, TaskContext, TaskError};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use serde_json::value::RawValue;

use crate::files::TaskFiles;

/// One task: its properties, and the messages it can send.
#[pyclass(frozen, module = "avtomatika_worker._native")]
pub(crate) struct Task {
    context: TaskContext,
    on_loop: bool,
    /// `None` once the task has ended.
    outside: Mutex<Option<Outside>>,
}

/// A failure as Python gives it: code, message, details as JSON text.
type FailedTuple<'py> = (String, String, Option<Bound<'py, PyBytes>>);

impl Task {
    pub(crate) fn new(outside: Outside, on_loop: bool) -> Self {
        Self { context: outside.context().clone(), on_loop, outside: Mutex::new(Some(outside)) }
    }

    pub(crate) fn is_on_loop(&self) -> bool {
        self.on_loop
    }

    /// Takes the runtime's end of the task; `None` if it was taken before.
    pub(crate) fn take(&self) -> Option<Outside> {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl Task {
    /// The id of the task.
    #[getter]
    fn task_id(&self) -> &str {
        self.context.task_id().as_str()
    }

    /// The id of its job.
    #[getter]
    fn job_id(&self) -> &str {
        self.context.job_id().as_str()
    }

    /// The name that its handler is registered under.
    #[getter]
    fn name(&self) -> &str {
        self.context.name().as_str()
    }

    /// The priority, higher is more urgent: an `int` when it is whole, else a `float`; 0 when the orchestrator gave
    /// none.
    #[getter]
    fn priority<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let priority = self.context.priority();
        let number = priority.into_pyobject(py)?.into_any();
        // Python's own conversion has no limit: a float may be larger than any integer type of Rust.
        if priority.fract() == 0.0 { number.call_method0(intern!(py, "__int__")) } else { Ok(number) }
    }

    /// The W3C trace context that the orchestrator sent.
    #[getter]
    fn tracing_context(&self) -> BTreeMap<String, String> {
        self.context.tracing_context().clone()
    }

    /// The time after which the result is of no use, in seconds since 1970.
    #[getter]
    fn deadline(&self) -> Option<f64> {
        self.context
            .deadline()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .map(|since| since.as_secs_f64())
    }

    /// Whether the task was cancelled.
    #[getter]
    fn is_cancelled(&self) -> bool {
        self.context.is_cancelled()
    }

    /// The values that a handler may ask for, by name.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let values = PyDict::new(py);
        values.set_item(intern!(py, "task_id"), self.task_id())?;
        values.set_item(intern!(py, "job_id"), self.job_id())?;
        values.set_item(intern!(py, "task_name"), self.name())?;
        values.set_item(intern!(py, "priority"), self.priority(py)?)?;
        values.set_item(intern!(py, "tracing_context"), self.context.tracing_context())?;
        values.set_item(intern!(py, "deadline"), self.deadline())?;
        Ok(values)
    }

    /// Sends the progress of the task. Never blocks.
    fn send_progress(&self, progress: f64, message: String) {
        self.context.send_progress(progress, message);
    }

    /// Sends an event of the task; the payload is JSON text. Never blocks.
    fn send_event(&self, event_type: &str, payload: &[u8], priority: f64) -> PyResult<()> {
        let payload = json(payload).map_err(PyValueError::new_err)?;
        self.context
            .send_event_with_priority(event_type, &payload, priority)
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// The files of the task. Their directory is created on first use.
    fn files(&self) -> TaskFiles {
        TaskFiles::new(self.context.files().blocking())
    }

    /// Reports that a model is loaded.
    fn add_to_hot_cache(&self, model: String) {
        self.context.add_to_hot_cache(model);
    }

    /// Reports that a model is no longer loaded.
    fn remove_from_hot_cache(&self, model: &str) {
        self.context.remove_from_hot_cache(model);
    }
}

/// Reads an outcome from Python's tuple: the task, a status, data as JSON text, and an error or `None`.
pub(crate) fn outcome(ended: &Bound<'_, PyTuple>) -> PyResult<Outcome> {
    let error: Option<FailedTuple<'_>> = ended.get_item(3)?.extract()?;
    if let Some((code, message, details)) = error {
        let failed = TaskError::new(code.as_str(), message);
        return Ok(Outcome::Failed(match details.and_then(|details| json(details.as_bytes()).ok()) {
            Some(details) => failed.with_details(details),
            None => failed,
        }));
    }
    let status: String = ended.get_item(1)?.extract()?;
    let data: Option<Bound<'_, PyBytes>> = ended.get_item(2)?.extract()?;
    Ok(match data.map(|data| json(data.as_bytes())).transpose() {
        Ok(data) => Outcome::status(status, data),
        Err(problem) => {
            Outcome::Failed(TaskError::permanent(format!("the handler's data is not JSON: {problem}")))
        }
    })
}

/// The outcome that is reported in place of an unreadable one.
pub(crate) fn unreadable(error: &PyErr) -> Outcome {
    Outcome::Failed(TaskError::permanent(format!("the handler's outcome cannot be read: {error}")))
}

fn json(text: &[u8]) -> Result<Box<RawValue>, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}
