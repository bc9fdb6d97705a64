//! Commands of the user's own.

use avtomatika_worker as core;
use pyo3::prelude::*;
use serde_json::value::RawValue;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

use crate::bridge::{Bridge, Record};

/// A command, and who waits for it to be obeyed before the next is handed over.
pub(crate) struct Waiting {
    pub(crate) command: core::Command,
    pub(crate) obeyed: oneshot::Sender<()>,
}

/// Hands a command over, and waits until it was obeyed.
pub(crate) async fn obey(bridge: Arc<Bridge>, command: core::Command) {
    let (obeyed, wait) = oneshot::channel();
    bridge.push(Record::Command(Waiting { command, obeyed }), 0);
    // Obeyed, or forgotten.
    let _ = wait.await;
}

/// A command from an orchestrator's websocket. The next comes after `done()`, or when this is forgotten.
#[pyclass(frozen, module = "avtomatika_worker._native")]
pub(crate) struct Command {
    command: core::Command,
    obeyed: Mutex<Option<oneshot::Sender<()>>>,
}

impl From<Waiting> for Command {
    fn from(waiting: Waiting) -> Self {
        Self { command: waiting.command, obeyed: Mutex::new(Some(waiting.obeyed)) }
    }
}

#[pymethods]
impl Command {
    /// Its name, as the orchestrator sent it.
    #[getter]
    fn name(&self) -> &str {
        &self.command.name
    }

    /// The task it is about, if it is about one.
    #[getter]
    fn task_id(&self) -> Option<&str> {
        self.command.task_id.as_ref().map(core::TaskId::as_str)
    }

    /// The job it is about, if it is about one.
    #[getter]
    fn job_id(&self) -> Option<&str> {
        self.command.job_id.as_ref().map(core::JobId::as_str)
    }

    /// Its arguments as JSON text.
    #[getter]
    fn params(&self) -> Option<&str> {
        self.command.params.as_deref().map(RawValue::get)
    }

    /// What the sender says about it, as JSON text.
    #[getter]
    fn metadata(&self) -> Option<&str> {
        self.command.metadata.as_deref().map(RawValue::get)
    }

    /// The address of the orchestrator it came from, without credentials.
    #[getter]
    fn orchestrator(&self) -> &str {
        &self.command.orchestrator
    }

    /// It was obeyed: the next may come.
    fn done(&self) {
        let obeyed = self.obeyed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(obeyed) = obeyed {
            let _ = obeyed.send(());
        }
    }
}
