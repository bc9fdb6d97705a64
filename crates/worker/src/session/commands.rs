//! Commands of the user's own, pushed over the websocket.

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

/// So many commands may wait for their turn.
const MOST_WAITING: usize = 64;

/// A command that the worker does not know itself, from an orchestrator's websocket.
///
/// See [`WorkerBuilder::on_command`](crate::WorkerBuilder::on_command).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Command {
    /// Its name, as the orchestrator sent it.
    pub name: String,
    /// The task it is about, if it is about one. It need not be a task of this worker.
    pub task_id: Option<TaskId>,
    /// The job it is about, if it is about one.
    pub job_id: Option<JobId>,
    /// Its arguments as JSON text.
    pub params: Option<Box<RawValue>>,
    /// What the sender says about it, as JSON text; the newer generation only.
    pub metadata: Option<Box<RawValue>>,
    /// The address of the orchestrator it came from, without credentials.
    pub orchestrator: Arc<str>,
}

impl Command {
    /// The arguments, deserialised; without any, as from `null`.
    ///
    /// # Errors
    /// When they are not what `T` expects.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.params.as_deref().map_or("null", RawValue::get))
    }
}

/// The user's function for commands.
pub(crate) type OnCommand = Hook<Command, BoxFuture<'static, ()>>;

/// The way of commands from the control path to the hook, which runs where handlers do.
#[derive(Debug)]
pub(crate) struct Commands {
    /// None when nobody wants them.
    waiting: Option<mpsc::Sender<Command>>,
    unknown: Repeated,
    dropped: Repeated,
    hook: Mutex<Option<(OnCommand, mpsc::Receiver<Command>)>>,
}

impl Commands {
    pub(crate) fn new(hook: Option<OnCommand>) -> Self {
        let (waiting, hook) = hook
            .map(|hook| {
                let (sender, receiver) = mpsc::channel(MOST_WAITING);
                (sender, (hook, receiver))
            })
            .unzip();
        let (unknown, dropped) = Default::default();
        Self { waiting, unknown, dropped, hook: Mutex::new(hook) }
    }

    /// A command came that is not the worker's own. Never waits.
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
                    "{MOST_WAITING} commands wait for `on_command`: this one is dropped"
                );
            }
        }
    }

    /// Calls the hook for one command after the other, for as long as it is polled.
    pub(crate) async fn obey(&self) -> Infallible {
        let Some((hook, mut commands)) = lock(&self.hook).take() else { return std::future::pending().await };
        // The sender lives as long as this does.
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
