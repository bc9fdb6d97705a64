//! The configuration, by the names of its variables.
//!
//! The table of options is the worker crate's: Python makes its attributes of it, and asks here for their values.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use avtomatika_worker::config::{OPTIONS, OptionValue};
use avtomatika_worker::{WorkerConfig, WorkerId};

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString};

/// A row of the table: variable, group, default, what is accepted, meaning.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// All options.
#[pyfunction]
pub(crate) fn options() -> Vec<Row> {
    let row = |option: &avtomatika_worker::config::OptionInfo| -> Row {
        (option.variable, option.group, option.default, option.accepts, option.meaning)
    };
    OPTIONS.iter().map(row).collect()
}

/// A configuration: the environment first, then what is set.
#[pyclass(module = "avtomatika_worker._native", frozen)]
pub(crate) struct Config(Mutex<Inner>);

#[derive(Clone)]
struct Inner {
    config: WorkerConfig,
    /// The name of the worker that was built last, or that was asked for, while `WORKER_ID` says none.
    made_up: Option<WorkerId>,
    /// Somebody knows that name, and will look for it.
    is_known: bool,
}

impl Inner {
    fn new(config: WorkerConfig) -> Self {
        Self { config, made_up: None, is_known: false }
    }

    fn made_up(&mut self) -> WorkerId {
        self.made_up.get_or_insert_with(WorkerId::random).clone()
    }
}

impl Config {
    /// The configuration as it is now, for a worker to be built with: each of several has a name of its own, unless
    /// one was set or asked for.
    pub(crate) fn snapshot(&self) -> WorkerConfig {
        let mut inner = self.lock();
        if !inner.is_known {
            inner.made_up = None;
        }
        let id = inner.made_up();
        inner.config.clone().fallback_worker_id(id)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that is done under the lock can leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Config {
    /// Reads the environment as Python sees it, which may have been changed since the process began.
    #[new]
    fn new(variables: BTreeMap<String, String>) -> Self {
        Self(Mutex::new(Inner::new(WorkerConfig::from_variables(variables))))
    }

    /// The name that the worker has, or will have.
    fn worker_id(&self) -> String {
        let mut inner = self.lock();
        if let Some(id) = &inner.config.worker_id {
            return id.to_string();
        }
        inner.is_known = true;
        inner.made_up().to_string()
    }

    /// The value of an option; a list or an object comes as JSON in bytes.
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

    /// Sets an option to what its variable would say; an empty text gives it its default.
    fn set(&self, variable: &str, text: &str) -> PyResult<()> {
        self.lock().config.set(variable, text).map_err(|problem| PyValueError::new_err(problem.to_string()))
    }

    /// The orchestrators that are used, as JSON in bytes; they have their tokens.
    fn orchestrators<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let entries = self.lock().config.orchestrators();
        let listed = WorkerConfig::defaults().orchestrators_config(entries);
        match listed.get("ORCHESTRATORS_CONFIG") {
            Some(OptionValue::Json(text)) => PyBytes::new(py, text.as_bytes()),
            _ => PyBytes::new(py, b"[]"),
        }
    }

    /// What orchestrators are told besides, as JSON in bytes.
    fn extra<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let text = serde_json::to_vec(self.lock().config.extra_capabilities())
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &text))
    }

    /// Replaces what orchestrators are told besides.
    fn set_extra(&self, json: &str) -> PyResult<()> {
        let extra = serde_json::from_str(json).map_err(|error| {
            PyValueError::new_err(format!("`EXTRA_CAPABILITIES` is no JSON object: {error}"))
        })?;
        self.lock().config.set_extra_capabilities(extra);
        Ok(())
    }

    /// One sentence for each option that is wrong. Reads the files of certificates and keys.
    fn problems(&self, py: Python<'_>) -> Vec<String> {
        let config = self.lock().config.clone();
        // Files may be slow.
        py.detach(|| match config.check() {
            Ok(()) => Vec::new(),
            Err(error) => error.problems().iter().map(ToString::to_string).collect(),
        })
    }

    /// What is worth a warning but no reason not to start.
    fn warnings(&self) -> Vec<String> {
        self.lock().config.warnings()
    }

    /// Every option with its value, secrets masked, and who set it.
    fn effective(&self) -> Vec<(&'static str, Option<String>, String)> {
        let effective = self.lock().config.effective();
        effective.into_iter().map(|one| (one.option.variable, one.value, one.source.to_string())).collect()
    }

    /// Another that is equal now, but for a name that was made up.
    fn copy(&self) -> Self {
        Self(Mutex::new(Inner::new(self.lock().config.clone())))
    }
}
