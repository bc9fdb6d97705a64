//! The configuration, by the names of its environment variables.
//!
//! The table of options belongs to the worker crate. Python makes an attribute of each row, and reads the values here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use avtomatika_worker::config::{OPTIONS, OptionValue, WITHOUT_EFFECT};
use avtomatika_worker::{WorkerConfig, WorkerId};

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString};

/// A row of the table: variable, group, default, accepted values, meaning.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// Returns all options.
#[pyfunction]
pub(crate) fn options() -> Vec<Row> {
    let row = |option: &avtomatika_worker::config::OptionInfo| -> Row {
        (option.variable, option.group, option.default, option.accepts, option.meaning)
    };
    OPTIONS.iter().map(row).collect()
}

/// Returns the options of the existing packages that have no effect: variable, and what to know instead.
#[pyfunction]
pub(crate) fn without_effect() -> Vec<(&'static str, &'static str)> {
    WITHOUT_EFFECT.to_vec()
}

/// A configuration: the values of the environment, overridden by the values set in code.
#[pyclass(module = "avtomatika_worker._native", frozen)]
pub(crate) struct Config(Mutex<Inner>);

#[derive(Clone)]
struct Inner {
    config: WorkerConfig,
    /// The generated id, for as long as `WORKER_ID` is not set: that of the worker built last, or the one that was
    /// read.
    generated: Option<WorkerId>,
    /// Whether the program has read the generated id, so that the next worker has to use it.
    is_known: bool,
}

impl Inner {
    fn new(config: WorkerConfig) -> Self {
        Self { config, generated: None, is_known: false }
    }

    fn generated(&mut self) -> WorkerId {
        self.generated.get_or_insert_with(WorkerId::random).clone()
    }
}

impl Config {
    /// A copy of the configuration to build a worker with. Each worker gets an id of its own, unless the id was set or
    /// read before.
    pub(crate) fn snapshot(&self) -> WorkerConfig {
        let mut inner = self.lock();
        if !inner.is_known {
            inner.generated = None;
        }
        let id = inner.generated();
        inner.config.clone().fallback_worker_id(id)
    }

    /// A copy of the configuration as it is.
    pub(crate) fn current(&self) -> WorkerConfig {
        self.lock().config.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No operation under the lock can leave the configuration half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Config {
    /// Reads the environment as Python sees it: the program may have changed it since the process started.
    #[new]
    fn new(variables: BTreeMap<String, String>) -> Self {
        Self(Mutex::new(Inner::new(WorkerConfig::from_variables(variables))))
    }

    /// The id that the worker has, or will have.
    fn worker_id(&self) -> String {
        let mut inner = self.lock();
        if let Some(id) = &inner.config.worker_id {
            return id.to_string();
        }
        inner.is_known = true;
        inner.generated().to_string()
    }

    /// The value of an option; a list or an object is returned as JSON in bytes.
    fn get<'py>(&self, py: Python<'py>, variable: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value =
            self.lock().config.get(variable).ok_or_else(|| PyKeyError::new_err(variable.to_owned()))?;
        Ok(match value {
            OptionValue::Boolean(value) => Some(PyBool::new(py, value).to_owned().into_any()),
            OptionValue::Whole(value) => Some(PyInt::new(py, value).into_any()),
            OptionValue::Number(value) => Some(PyFloat::new(py, value).into_any()),
            OptionValue::Text(value) => Some(PyString::new(py, &value).into_any()),
            OptionValue::Json(value) => Some(PyBytes::new(py, value.as_bytes()).into_any()),
            _ => None,
        })
    }

    /// Sets an option from the text its variable would have; an empty text restores the default.
    fn set(&self, variable: &str, text: &str) -> PyResult<()> {
        self.lock().config.set(variable, text).map_err(|problem| PyValueError::new_err(problem.to_string()))
    }

    /// The token for every orchestrator that has no token of its own.
    fn token(&self) -> String {
        self.lock().config.token_in_force().expose().to_owned()
    }

    /// The host name that is reported.
    fn hostname(&self) -> String {
        self.lock().config.reported_hostname()
    }

    /// The IP address that is reported.
    fn ip_address(&self) -> String {
        self.lock().config.reported_ip_address()
    }

    /// The resources that are reported, as JSON in bytes.
    fn resources<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let text = serde_json::to_vec(&self.lock().config.resources())
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &text))
    }

    /// Sets the resources that are reported, in place of those of the options; an empty text restores the latter.
    fn set_resources(&self, json: &str) -> PyResult<()> {
        let resources = if json.is_empty() {
            None
        } else {
            Some(serde_json::from_str(json).map_err(|error| {
                // The program has written no JSON, so the position says nothing.
                let error = error.to_string();
                let fault = error.split(" at line ").next().unwrap_or_default();
                PyValueError::new_err(format!("`RESOURCES` cannot be sent: {fault}"))
            })?)
        };
        self.lock().config.set_resources(resources);
        Ok(())
    }

    /// The additional capabilities that orchestrators are sent, as JSON in bytes.
    fn extra<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let text = serde_json::to_vec(self.lock().config.extra_capabilities())
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &text))
    }

    /// Replaces the additional capabilities that orchestrators are sent.
    fn set_extra(&self, json: &str) -> PyResult<()> {
        let extra = serde_json::from_str(json).map_err(|error| {
            PyValueError::new_err(format!("`EXTRA_CAPABILITIES` is not a JSON object: {error}"))
        })?;
        self.lock().config.set_extra_capabilities(extra);
        Ok(())
    }

    /// One sentence for each invalid option. Reads the files of certificates and keys.
    fn problems(&self, py: Python<'_>) -> Vec<String> {
        let config = self.lock().config.clone();
        // Reading files may be slow.
        py.detach(|| match config.check() {
            Ok(()) => Vec::new(),
            Err(error) => error.problems().iter().map(ToString::to_string).collect(),
        })
    }

    /// Warnings about options that do not prevent a start.
    fn warnings(&self) -> Vec<String> {
        self.lock().config.warnings()
    }

    /// Every option with its value (secrets masked) and the source of the value.
    fn effective(&self) -> Vec<(&'static str, Option<String>, String)> {
        let effective = self.lock().config.effective();
        effective.into_iter().map(|one| (one.option.variable, one.value, one.source.to_string())).collect()
    }

    /// An independent copy with the same values, except for a generated worker id.
    fn copy(&self) -> Self {
        Self(Mutex::new(Inner::new(self.lock().config.clone())))
    }
}
