//! Commands that an orchestrator sends to hooks of the user.

use avtomatika_worker as core;
use pyo3::prelude::*;
use serde_json::value::RawValue;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

use crate::bridge::Bridge;
use crate::record::{PendingCommand, Record};

/// Sends a command to the event loop, and waits until Python has obeyed it.
pub(crate) async fn obey(bridge: Arc<Bridge>, command: core::Command) {
    let (obeyed, wait) = oneshot::channel();
    bridge.push(Record::Command(PendingCommand { command, obeyed }));
    // An error means that Python dropped the command: that counts as obeyed.
    let _ = wait.await;
}

/// A command from an orchestrator's websocket. The next one arrives after `done()`, or when this object is dropped.
#[pyclass(frozen, module = "avtomatika_worker._native")]
pub(crate) struct Command {
    command: core::Command,
    obeyed: Mutex<Option<oneshot::Sender<()>>>,
}

impl From<PendingCommand> for Command {
    fn from(pending: PendingCommand) -> Self {
        Self { command: pending.command, obeyed: Mutex::new(Some(pending.obeyed)) }
    }
}

#[pymethods]
impl Command {
    /// The name, as the orchestrator sent it.
    #[getter]
    fn name(&self) -> &str {
        &self.command.name
    }

    /// The id of the task that the command concerns, if any.
    #[getter]
    fn task_id(&self) -> Option<&str> {
        self.command.task_id.as_ref().map(core::TaskId::as_str)
    }

    /// The id of the job that the command concerns, if any.
    #[getter]
    fn job_id(&self) -> Option<&str> {
        self.command.job_id.as_ref().map(core::JobId::as_str)
    }

    /// The arguments, as JSON text.
    #[getter]
    fn params(&self) -> Option<&str> {
        self.command.params.as_deref().map(RawValue::get)
    }

    /// The metadata that the sender attached, as JSON text.
    #[getter]
    fn metadata(&self) -> Option<&str> {
        self.command.metadata.as_deref().map(RawValue::get)
    }

    /// The address of the orchestrator that sent the command, without credentials.
    #[getter]
    fn orchestrator(&self) -> &str {
        &self.command.orchestrator
    }

    /// Confirms that the command was obeyed, so that the next one may arrive.
    fn done(&self) {
        let obeyed = self.obeyed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(obeyed) = obeyed {
            let _ = obeyed.send(());
        }
    }
}
