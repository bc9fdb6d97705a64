//! A task, as Python sees it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use avtomatika_worker::extract::Outside;
use avtomatika_worker::{EventError, EventOptions, Outcome, TaskContext, TaskError, WorkerId};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};
use rxon::json::restored;
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

/// A call of a skill that is under way.
#[pyclass(frozen, module = "avtomatika_worker._native")]
pub(crate) struct SkillCall(avtomatika_worker::SkillCall);

/// A failure as Python gives it: code, message, details as JSON text.
pub(crate) type FailedTuple<'py> = (String, String, Option<Bound<'py, PyBytes>>);

/// The further members of a result as Python gives them, as JSON text: metadata, costs.
type FurtherTuple<'py> = (Option<Bound<'py, PyBytes>>, Option<Bound<'py, PyBytes>>);

impl Task {
    pub(crate) fn new(outside: Outside, on_loop: bool) -> Self {
        Self { context: outside.context().clone(), on_loop, outside: Mutex::new(Some(outside)) }
    }

    /// A property of the task by the name that handlers know it by.
    fn value<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let text = |text: &str| PyString::new(py, text).into_any();
        let json = |json: &str| PyBytes::new(py, restored(json).as_bytes()).into_any();
        let none = || py.None().into_bound(py);
        Ok(match name {
            "task_id" => text(self.task_id()),
            "job_id" => text(self.job_id()),
            "task_name" => text(self.name()),
            "priority" => self.priority(py)?,
            "tracing_context" => self.context.tracing_context().into_pyobject(py)?.into_any(),
            "deadline" => self.deadline(py)?.unwrap_or_else(none),
            "metadata" => match self.context.metadata() {
                // Most tasks of the newer generation have this, which needs no reading.
                Some("{}") => PyDict::new(py).into_any(),
                given => given.map_or_else(none, json),
            },
            "security" => self.context.security().map_or_else(none, json),
            _ => return Err(PyValueError::new_err(format!("a task has no `{name}`"))),
        })
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
        whole_or_float(py, self.context.priority())
    }

    /// The W3C trace context that the orchestrator sent.
    #[getter]
    fn tracing_context(&self) -> BTreeMap<String, String> {
        self.context.tracing_context().clone()
    }

    /// The time after which the result is of no use, in seconds since 1970: an `int` when it is whole, else a `float`.
    #[getter]
    fn deadline<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let since = self.context.deadline().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        since.map(|since| whole_or_float(py, since.as_secs_f64())).transpose()
    }

    /// Whether the task was cancelled.
    #[getter]
    fn is_cancelled(&self) -> bool {
        self.context.is_cancelled()
    }

    /// The arguments that a handler asks for, by name: `values` are properties of the task, of which `metadata` and
    /// `security` are JSON text, or empty; `names` are attributes of `calls`.
    fn offer<'py>(
        &self,
        py: Python<'py>,
        values: &Bound<'py, PyTuple>,
        calls: &Bound<'py, PyAny>,
        names: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let offered = PyDict::new(py);
        for name in values {
            let name = name.cast_into::<PyString>()?;
            let value = self.value(py, name.to_str()?)?;
            offered.set_item(name, value)?;
        }
        for name in names {
            let name = name.cast_into::<PyString>()?;
            offered.set_item(&name, calls.getattr(&name)?)?;
        }
        Ok(offered)
    }

    /// Sends the progress of the task. Never blocks.
    fn send_progress(&self, progress: f64, message: String) {
        self.context.send_progress(progress, message);
    }

    /// Sends an event of the task; the payload, the metadata and the security context are JSON text. Returns false if too
    /// many events of the task wait already. Never blocks.
    fn send_event(
        &self,
        event_type: &str,
        payload: &[u8],
        priority: f64,
        security: Option<&[u8]>,
        metadata: Option<&[u8]>,
        origin_worker_id: Option<&str>,
    ) -> PyResult<bool> {
        let payload = json(payload).map_err(PyValueError::new_err)?;
        let mut options = EventOptions::new().priority(priority);
        if let Some(security) = security {
            options = options.security(json(security).map_err(PyValueError::new_err)?);
        }
        if let Some(metadata) = metadata {
            options = options.metadata(json(metadata).map_err(PyValueError::new_err)?);
        }
        if let Some(origin) = origin_worker_id {
            let origin = WorkerId::new(origin).map_err(|error| PyValueError::new_err(error.to_string()))?;
            options = options.origin_worker_id(origin);
        }
        match self.context.send_event_with(event_type, &payload, options) {
            Ok(()) => Ok(true),
            Err(EventError::TooMany(_)) => Ok(false),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }

    /// Begins to call a skill of another worker; the parameters are JSON text.
    fn call_skill(&self, name: &str, params: &[u8]) -> PyResult<SkillCall> {
        let params = json(params).map_err(PyValueError::new_err)?;
        let call = self.context.begin_skill_call(name, &params);
        call.map(SkillCall).map_err(|error| PyValueError::new_err(error.to_string()))
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

#[pymethods]
impl SkillCall {
    /// Blocks until the answer is here, and returns it as JSON text.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyBytes>> {
        let answer =
            py.detach(|| self.0.wait()).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, answer.get().as_bytes()).unbind())
    }

    /// Ends the call: `wait` returns at once.
    fn cancel(&self) {
        self.0.cancel();
    }
}

/// A number as Python's JSON has it: an `int` when it is whole, else a `float`.
fn whole_or_float(py: Python<'_>, value: f64) -> PyResult<Bound<'_, PyAny>> {
    if value.fract() == 0.0 && value.abs() < LARGE {
        return Ok((value as i64).into_pyobject(py)?.into_any());
    }
    let number = value.into_pyobject(py)?.into_any();
    // Python's own conversion has no limit: a float may be larger than any integer type of Rust.
    if value.fract() == 0.0 { number.call_method0(intern!(py, "__int__")) } else { Ok(number) }
}

/// Whole numbers below this, whatever their sign, are exact as floats and as 64-bit integers: 2 to the power of 53.
const LARGE: f64 = 9_007_199_254_740_992.0;

/// The status of a failure.
const FAILURE: &str = "failure";

/// The status of a task whose handler ended as if it had been told to stop.
const CANCELLED: &str = "cancelled";

/// Reads an outcome from Python's tuple: the task, a status, data as JSON text, an error or `None`, and the further
/// members or `None`.
pub(crate) fn outcome(ended: &Bound<'_, PyTuple>) -> PyResult<Outcome> {
    let status: String = ended.get_item(1)?.extract()?;
    let data: Option<Bound<'_, PyBytes>> = ended.get_item(2)?.extract()?;
    let error: Option<FailedTuple<'_>> = ended.get_item(3)?.extract()?;
    let further: Option<FurtherTuple<'_>> = ended.get_item(4)?.extract()?;
    let data = match data.map(|data| json(data.as_bytes())).transpose() {
        Ok(data) => data,
        Err(problem) => {
            let problem = format!("the handler's data is not JSON: {problem}");
            return Ok(Outcome::Failed(TaskError::permanent(problem)));
        }
    };
    let error = error.map(|(code, message, details)| {
        let failed = TaskError::new(code.as_str(), message);
        match details.and_then(|details| json(details.as_bytes()).ok()) {
            Some(details) => failed.with_details(details),
            None => failed,
        }
    });
    let outcome = match error {
        None if further.is_none() && data.is_none() && status == CANCELLED => {
            return Ok(Outcome::Cancelled { reason: "cancelled by its own handler".to_owned() });
        }
        None => Outcome::status(status, data),
        Some(error) if status == FAILURE => Outcome::Failed(match data {
            Some(data) => error.with_data(data),
            None => error,
        }),
        Some(error) => Outcome::status(status, data).with_error(error),
    };
    let Some((metadata, costs)) = further else { return Ok(outcome) };
    let read = |text: Option<Bound<'_, PyBytes>>| text.and_then(|text| json(text.as_bytes()).ok());
    Ok(outcome.with_metadata(read(metadata)).with_costs(read(costs)))
}

/// The outcome that is reported in place of an unreadable one.
pub(crate) fn unreadable(error: &PyErr) -> Outcome {
    Outcome::Failed(TaskError::permanent(format!("the handler's outcome cannot be read: {error}")))
}

pub(crate) fn json(text: &[u8]) -> Result<Box<RawValue>, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}
