//! Functions of the program that the worker calls.

use std::future::Future;

use rxon::TaskName;

use super::WorkerBuilder;
use crate::capacity::checker::CapacityChecker;
use crate::delivery::{IgnoredResult, OnIgnored};
use crate::session::commands::{Command, OnCommand};
use crate::task::outcome::BoxError;

impl<S> WorkerBuilder<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Sets the function that decides whether one more task of a name fits: into free memory, a licence, a device that
    /// others use too. Orchestrators are told the answer. If several are set, the last one counts.
    ///
    /// - **When**: before each registration and each heartbeat (every `HEARTBEAT_INTERVAL`, and after tasks began or
    ///   ended), once for each registered task. Not while the worker shuts down.
    /// - **False** removes the task from those that are accepted, with either `WORKER_CAPACITY_REPORTING`; when no task
    ///   is left the worker is `busy`. A refused task that arrives all the same, because its orchestrator had already
    ///   queued it, is run.
    /// - **Time limit**: 250 ms for all tasks together. After that the last known answers are used (at first: every task
    ///   is accepted), with one warning; late answers are used the next time. There is only one call at a time, so
    ///   after a call that never returns there are no further ones.
    /// - **Panics** count as true, with one warning for each task.
    /// - **Thread**: `avtomatika-capacity`, which has no other purpose. The function may block: it delays no task, and no
    ///   heartbeat by more than the time limit. The worker does not wait for it when it ends.
    ///
    /// ```
    /// use avtomatika_worker::prelude::*;
    /// # fn free_memory() -> u64 { 0 }
    ///
    /// let builder = Worker::builder()
    ///     .task("draw", async || ())
    ///     .capacity_checker(|task| task.as_str() != "draw" || free_memory() > 4 << 30);
    /// # let _: avtomatika_worker::WorkerBuilder = builder;
    /// ```
    pub fn capacity_checker(mut self, check: impl Fn(&TaskName) -> bool + Send + Sync + 'static) -> Self {
        self.settings.capacity_checker = Some(CapacityChecker::new("capacity_checker", check));
        self
    }

    /// Sets the function that is called, in addition to a warning in the log, with each result that an orchestrator
    /// answers with `ignored`: the effects of that task may have to be undone. It is called where results are sent, so
    /// it must not block. A panic in it is logged.
    ///
    /// ```
    /// use avtomatika_worker::prelude::*;
    ///
    /// let builder = Worker::builder()
    ///     .task("book", async || ())
    ///     .on_ignored_result(|result| eprintln!("{} was ignored: {}", result.task_id, result.reason));
    /// # let _: avtomatika_worker::WorkerBuilder = builder;
    /// ```
    pub fn on_ignored_result(mut self, hook: impl Fn(&IgnoredResult) + Send + Sync + 'static) -> Self {
        self.settings.on_ignored = Some(OnIgnored::new("on_ignored_result", hook));
        self
    }

    /// Sets the function for commands that an orchestrator pushes over the websocket (`WORKER_ENABLE_WEBSOCKETS`) and
    /// that the worker does not handle itself; it handles `cancel_task`. Without the function such commands are ignored,
    /// with a warning.
    ///
    /// - **Order**: one at a time, in the order of their arrival. Up to 64 wait; further ones are dropped, with a
    ///   warning.
    /// - **Runtime**: that on which the worker is awaited, so the function must not block. A call that is under way when
    ///   the worker ends is dropped at its next `await`.
    /// - **Panics** are logged, and the next command is handled.
    ///
    /// ```
    /// use avtomatika_worker::prelude::*;
    ///
    /// let builder = Worker::builder().task("draw", async || ()).on_command(async |command| {
    ///     if command.name == "reload_models" {
    ///         println!("asked to reload by {}", command.orchestrator);
    ///     }
    /// });
    /// # let _: avtomatika_worker::WorkerBuilder = builder;
    /// ```
    pub fn on_command<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Command) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.settings.on_command =
            Some(OnCommand::new("on_command", move |command: &Command| Box::pin(hook(command.clone()))));
        self
    }

    /// Adds a function that runs before the worker registers, for example to load a model or open a pool. Several run one
    /// after the other, in the order in which they were added. If one fails the worker does not run, and its
    /// [`Exit`](crate::Exit) is 1 with the error.
    ///
    /// Until they have ended no orchestrator knows the worker, and the health server does not answer. If the future given
    /// to [`run_until`](crate::Worker::run_until) completes meanwhile, or [`WorkerHandle::drain`](crate::WorkerHandle::drain)
    /// is called, the worker ends and the running function is dropped. Signals have their default action until the worker
    /// has started.
    ///
    /// ```
    /// use std::sync::{Arc, OnceLock};
    /// use avtomatika_worker::prelude::*;
    ///
    /// let model = Arc::new(OnceLock::new());
    /// let loaded = model.clone();
    /// let builder = Worker::builder()
    ///     .task("size", async |State(model): State<Arc<OnceLock<Vec<u8>>>>| {
    ///         Json(serde_json::json!({"size": model.get().map(Vec::len)}))
    ///     })
    ///     .with_state(model)
    ///     .on_startup(async move || {
    ///         // Read the file here.
    ///         loaded.set(vec![0; 100]).map_err(|_| "loaded twice")
    ///     });
    /// # let _: avtomatika_worker::WorkerBuilder = builder;
    /// ```
    pub fn on_startup<F, R, E>(mut self, hook: F) -> Self
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.settings.hooks.add_startup(hook);
        self
    }

    /// Adds a function that runs after the worker has drained: every task has ended, and every result was sent. Several
    /// run in reverse order. Together they have the rest of `WORKER_SHUTDOWN_TIMEOUT`, and at least 1 s. They run however
    /// the worker ends, unless it did not start or was dropped.
    pub fn on_shutdown<F, R>(mut self, hook: F) -> Self
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.settings.hooks.add_shutdown(hook);
        self
    }
}
