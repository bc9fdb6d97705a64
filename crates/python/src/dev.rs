//! The development orchestrator, inside the Python process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use avtomatika_dev as dev;
use dev::{NewTask, Settings};
use pyo3::exceptions::{PyOSError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::runtime::Handle;

use crate::error::unexpected;
use crate::hosted::Hosted;

/// An orchestrator for tests and development, on a thread of its own. Its state is lost when it ends.
#[pyclass(frozen, module = "avtomatika_worker._native")]
pub(crate) struct DevOrchestrator {
    hosted: Hosted<dev::DevOrchestrator>,
    url: String,
}

#[pymethods]
impl DevOrchestrator {
    /// Starts an orchestrator; port 0 takes any free port.
    #[new]
    #[pyo3(signature = (address = "127.0.0.1:0", *, token = None, poll_hold = None, worker_ttl = None, max_retries = None, retry_delay = None, task_timeout = None))]
    #[expect(clippy::too_many_arguments, reason = "each is a keyword argument of Python")]
    fn new(
        py: Python<'_>,
        address: &str,
        token: Option<String>,
        poll_hold: Option<f64>,
        worker_ttl: Option<f64>,
        max_retries: Option<u32>,
        retry_delay: Option<f64>,
        task_timeout: Option<f64>,
    ) -> PyResult<Self> {
        let expected =
            format!("the address is `{address}`, expected an IP address and a port, such as `127.0.0.1:0`");
        let address: SocketAddr = address.parse().map_err(|_| PyValueError::new_err(expected))?;
        let mut settings = Settings::new().with_address(address);
        if let Some(token) = token {
            settings = settings.with_token(token);
        }
        if let Some(hold) = seconds("poll_hold", poll_hold)? {
            settings = settings.with_poll_hold(hold);
        }
        if let Some(ttl) = seconds("worker_ttl", worker_ttl)? {
            settings = settings.with_worker_ttl(ttl);
        }
        if let Some(retries) = max_retries {
            settings = settings.with_max_retries(retries);
        }
        if let Some(delay) = seconds("retry_delay", retry_delay)? {
            settings = settings.with_retry_delay(delay);
        }
        if let Some(timeout) = seconds("task_timeout", task_timeout)? {
            settings = settings.with_task_timeout(timeout);
        }
        py.detach(|| start(settings)).map_err(PyOSError::new_err)
    }

    /// The address for workers and browsers.
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    /// Submits a task with parameters as JSON text, and returns the id of its job.
    #[pyo3(signature = (name, params, *, priority = None, timeout = None))]
    fn submit(
        &self,
        name: &str,
        params: &[u8],
        priority: Option<f64>,
        timeout: Option<f64>,
    ) -> PyResult<String> {
        let params: Box<RawValue> = serde_json::from_slice(params)
            .map_err(|error| PyValueError::new_err(format!("the params are not JSON: {error}")))?;
        let mut task = NewTask::new(name).with_raw_params(params);
        if let Some(priority) = priority {
            task = task.with_priority(priority);
        }
        if let Some(timeout) = seconds("timeout", timeout)? {
            task = task.with_timeout(timeout);
        }
        let (orchestrator, _) = self.running()?;
        Ok(orchestrator.submit(task).map_err(|error| value_error(&error))?.job_id.to_string())
    }

    /// The current state of a task, by job or task id, as JSON text.
    fn task(&self, id: &str) -> PyResult<Option<String>> {
        self.running()?.0.task(id).map(|view| text(&view)).transpose()
    }

    /// Waits until a task has ended, and returns its state as JSON text.
    fn wait(&self, py: Python<'_>, id: &str, seconds: f64) -> PyResult<String> {
        let (orchestrator, runtime) = self.running()?;
        let limit = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let waited = py
            .detach(|| runtime.block_on(async { tokio::time::timeout(limit, orchestrator.wait(id)).await }));
        let Ok(view) = waited else {
            let now = orchestrator.task(id).map(|view| view.status.to_string()).unwrap_or_default();
            let message = format!("the task `{id}` has not ended in {seconds} s: it is `{now}`");
            return Err(PyTimeoutError::new_err(message));
        };
        text(&view.map_err(|error| value_error(&error))?)
    }

    /// Cancels a waiting task; asks the worker to stop a running one.
    fn cancel(&self, id: &str) -> PyResult<()> {
        self.running()?.0.cancel(id).map_err(|error| value_error(&error))?;
        Ok(())
    }

    /// The workers that are registered and not silent, as JSON text.
    fn workers(&self) -> PyResult<String> {
        text(&self.running()?.0.workers())
    }

    /// Stops the orchestrator, in 3 s at most. Does nothing the second time.
    fn shutdown(&self, py: Python<'_>) {
        self.hosted.shutdown(py);
    }
}

impl DevOrchestrator {
    fn running(&self) -> PyResult<(Arc<dev::DevOrchestrator>, Handle)> {
        self.hosted.running()
    }
}

fn start(settings: Settings) -> Result<DevOrchestrator, String> {
    let begin = move || async {
        let started = dev::DevOrchestrator::start(settings).await;
        started.map_err(|error| format!("the orchestrator cannot listen: {error}"))
    };
    let (hosted, orchestrator) =
        Hosted::start("orchestrator", begin, |orchestrator| async move { orchestrator.shutdown().await })?;
    Ok(DevOrchestrator { url: orchestrator.url(), hosted })
}

fn seconds(name: &str, value: Option<f64>) -> PyResult<Option<Duration>> {
    let wrong =
        |seconds| PyValueError::new_err(format!("`{name}` is `{seconds}`, expected seconds, at least 0"));
    value.map(|seconds| Duration::try_from_secs_f64(seconds).map_err(|_| wrong(seconds))).transpose()
}

fn value_error(error: &dev::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn text(value: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(value)
        .map_err(|error| unexpected("the orchestrator's answer cannot be written as JSON", error))
}
