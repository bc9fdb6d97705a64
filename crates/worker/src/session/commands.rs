//! The user's own commands, which orchestrators push over the websocket.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use rxon::{JobId, TaskId};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::peer::repeated::Repeated;
use crate::threads::hook::Hook;
use crate::threads::lock;

/// The number of commands that may wait for the hook.
const MAX_WAITING: usize = 64;

/// A command from an orchestrator's websocket that the worker itself does not know.
///
/// See [`WorkerBuilder::on_command`](crate::WorkerBuilder::on_command).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Command {
    /// The name, as the orchestrator sent it.
    pub name: String,
    /// The task that the command is about, if any. It need not be a task of this worker.
    pub task_id: Option<TaskId>,
    /// The job that the command is about, if any.
    pub job_id: Option<JobId>,
    /// The arguments, as JSON text.
    pub params: Option<Box<RawValue>>,
    /// The metadata of the command, as JSON text; the newer generation only.
    pub metadata: Option<Box<RawValue>>,
    /// The address of the orchestrator that sent the command, without credentials.
    pub orchestrator: Arc<str>,
}

impl Command {
    /// Deserialises the arguments; a command without arguments is read as `null`.
    ///
    /// # Errors
    /// If the arguments do not fit `T`.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.params.as_deref().map_or("null", RawValue::get))
    }
}

/// The user's function for commands.
pub(crate) type OnCommand = Hook<Command, BoxFuture<'static, ()>>;

/// Hands commands from the control path over to the hook, which runs on the data path.
#[derive(Debug)]
pub(crate) struct Commands {
    /// `None` without a hook.
    waiting: Option<mpsc::Sender<Command>>,
    unknown: Repeated,
    dropped: Repeated,
    hook: Mutex<Option<(OnCommand, mpsc::Receiver<Command>)>>,
}

impl Commands {
    pub(crate) fn new(hook: Option<OnCommand>) -> Self {
        let (waiting, hook) = hook
            .map(|hook| {
                let (sender, receiver) = mpsc::channel(MAX_WAITING);
                (sender, (hook, receiver))
            })
            .unzip();
        let (unknown, dropped) = Default::default();
        Self { waiting, unknown, dropped, hook: Mutex::new(hook) }
    }

    /// Takes in a command for the user. Never waits.
    pub(crate) fn hand_over(&self, command: rxon::model::Command, orchestrator: &Arc<str>) {
        let name = rxon::text::excerpt(&command.command);
        let Some(waiting) = &self.waiting else {
            let (unknown, is_worth_a_line) = self.unknown.again();
            if is_worth_a_line {
                tracing::warn!(%orchestrator, command = %name, unknown, "unknown command, ignored");
            }
            return;
        };
        let command = Command {
            name: command.command,
            task_id: command.task_id,
            job_id: command.job_id,
            params: command.params,
            metadata: command.metadata,
            orchestrator: orchestrator.clone(),
        };
        if waiting.try_send(command).is_err() {
            let (dropped, is_worth_a_line) = self.dropped.again();
            if is_worth_a_line {
                tracing::warn!(
                    %orchestrator, command = %name, dropped,
                    "{MAX_WAITING} commands wait for `on_command`: this one is dropped"
                );
            }
        }
    }

    /// Calls the hook for one command after another, for as long as this future is polled.
    pub(crate) async fn obey(&self) -> Infallible {
        let Some((hook, mut commands)) = lock(&self.hook).take() else { return std::future::pending().await };
        // The sender lives as long as `self`.
        while let Some(command) = commands.recv().await {
            let (name, orchestrator) = (rxon::text::excerpt(&command.name), &command.orchestrator);
            tracing::info!(%orchestrator, command = %name, "command received");
            if let Err(panicked) = hook.call_async(&command).await {
                tracing::error!(command = %name, "{panicked}");
            }
        }
        std::future::pending().await
    }
}
