//! Control of a worker from code.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use rxon::model::Usage;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::capacity::hot_cache::HotCache;
use crate::execution::Origin;
use crate::health::watchdog::Elsewhere;
use crate::session::usage::UsageSource;
use crate::task::events::EventError;
use crate::task::handler::Handler;
use crate::task::ready_made::ready_made;
use crate::threads::lock;
use crate::worker::error::BuildError;
use crate::worker::registry::{Registry, service};
use crate::worker::shutdown::StopCause;
use crate::worker::task_options::TaskOptions;

/// Controls a worker from code: ends it, adds tasks, or sets the models that are loaded. Cheap to clone; without effect
/// once the worker has ended.
#[derive(Debug, Clone)]
pub struct WorkerHandle(pub(super) Arc<HandleState>);

/// The state that a [`WorkerHandle`] shares with its worker, before and while it runs.
#[derive(Debug)]
pub(crate) struct HandleState {
    pub(super) registry: Registry,
    pub(super) drain: CancellationToken,
    pub(super) cancel: CancellationToken,
    /// The reason for the end, where a handle gave one.
    pub(super) cause: OnceLock<StopCause>,
    pub(super) hot_cache: Arc<HotCache>,
    pub(super) elsewhere: Arc<Elsewhere>,
    pub(super) usage: Arc<UsageSource>,
    /// The orchestrators, once the worker is assembled.
    pub(super) origins: OnceLock<Vec<Weak<Origin>>>,
}

impl HandleState {
    /// The state of a worker with these tasks, which does not run yet.
    pub(super) fn new(registry: Registry) -> Self {
        let (drain, cancel, cause) = Default::default();
        let (hot_cache, elsewhere, usage, origins) = Default::default();
        Self { registry, drain, cancel, cause, hot_cache, elsewhere, usage, origins }
    }

    /// Passes requests of handles on as signals. Never ends.
    pub(super) async fn forward(&self, signals: mpsc::Sender<StopCause>) -> Infallible {
        for request in [&self.drain, &self.cancel] {
            request.cancelled().await;
            let cause = self.cause.get().copied().unwrap_or(StopCause::Asked);
            let _ = signals.send(cause).await;
        }
        std::future::pending().await
    }
}

impl WorkerHandle {
    /// Begins the shutdown, as the first SIGTERM does: polling stops, running tasks finish, results are sent. Returns at
    /// once: `run…` returns when the shutdown is complete.
    #[doc(alias("graceful", "quiet", "shutdown", "stop"))]
    pub fn drain(&self) {
        self.0.drain.cancel();
    }

    /// Begins the shutdown as [`drain`](Self::drain) does, for a program that handles signals itself: with
    /// [`StopCause::Terminate`] the worker may await its open polls (`WORKER_SHUTDOWN_POLLS`). Only the first cause
    /// counts.
    pub fn drain_because(&self, cause: StopCause) {
        self.0.cause.get_or_init(|| cause);
        self.drain();
    }

    /// Cancels all running tasks, as the second signal does: they are reported, results are sent once, and the worker
    /// ends. A [`drain`](Self::drain) before it is not needed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use avtomatika_worker::prelude::*;
    ///
    /// let config = WorkerConfig::defaults().orchestrator_url("http://127.0.0.1:1".parse().ok());
    /// let worker = Worker::builder().config(config).task("nothing", async || ()).build().expect("a worker");
    /// worker.handle().cancel();
    /// assert_eq!(worker.run().await.code(), 0, "no task was running");
    /// # }
    /// ```
    #[doc(alias("abort", "kill"))]
    pub fn cancel(&self) {
        self.drain();
        self.0.cancel.cancel();
    }

    /// Whether a handle has begun the shutdown.
    pub fn is_draining(&self) -> bool {
        self.0.drain.is_cancelled()
    }

    /// Adds a task, before the worker runs or while it does. Orchestrators that know the worker are registered with again,
    /// once `WORKER_HEARTBEAT_DEBOUNCE_DELAY` has passed after the last of several tasks. The task has the layers of the
    /// builder, and the limit groups that were set there. Its handler has no state of its own: closures take what they
    /// need with them.
    ///
    /// # Errors
    /// As for a task of the builder; and [`BuildError::Draining`] once the worker shuts down.
    ///
    /// ```
    /// use avtomatika_worker::prelude::*;
    /// use std::sync::Arc;
    ///
    /// let worker = Worker::builder().task("ping", async || ()).build()?;
    /// let handle = worker.handle();
    /// // Later, from a handler or another thread:
    /// let model = Arc::new(vec![1, 2, 3]);
    /// let handler = async move || Json(serde_json::json!({"size": model.len()}));
    /// handle.add_task("size", TaskOptions::new(), handler)?;
    /// assert!(handle.add_task("size", TaskOptions::new(), async || ()).is_err(), "the name is taken");
    /// # Ok::<_, BuildError>(())
    /// ```
    pub fn add_task<H, M>(
        &self,
        name: impl AsRef<str>,
        options: TaskOptions,
        handler: H,
    ) -> Result<(), BuildError>
    where
        H: Handler<M, ()>,
        M: 'static,
    {
        let state = &*self.0;
        if self.is_draining() {
            state.registry.draining.store(true, Ordering::Relaxed);
        }
        state.registry.add(name.as_ref(), options, service(handler, ()))
    }

    /// Sets the function that measures how busy the machine is, or replaces it: see
    /// [`WorkerBuilder::usage_checker`](crate::WorkerBuilder::usage_checker).
    pub fn set_usage_checker(&self, check: impl Fn() -> Option<Usage> + Send + Sync + 'static) {
        self.0.usage.set(check);
    }

    /// Removes that function: the worker measures by itself.
    pub fn clear_usage_checker(&self) {
        self.0.usage.clear();
    }

    /// Adds a model to the hot cache, outside of any task: it is loaded now. The next heartbeat reports it. The name
    /// of a task without [dependencies](crate::WorkerBuilder::skill_dependencies) makes that task hot.
    pub fn add_to_hot_cache(&self, model: impl Into<String>) {
        self.0.hot_cache.add(model.into());
    }

    /// Removes a model from the hot cache: it is no longer loaded.
    pub fn remove_from_hot_cache(&self, model: &str) {
        self.0.hot_cache.remove(model);
    }

    /// The models in the hot cache, in alphabetical order.
    pub fn hot_cache(&self) -> Vec<String> {
        self.0.hot_cache.models()
    }

    /// Sends a ready-made event to every orchestrator that has registered the worker and knows events (1.0b17 and later):
    /// any value that serialises to a JSON object with the members of an event, such as `event_id`, `worker_id`,
    /// `origin_worker_id`, `event_type` and `payload`. Never blocks; the event is tried once.
    ///
    /// An event whose `security` has a `signature` is sent as it is. Any other is signed with the worker's token and gets
    /// a new timestamp, since orchestrators refuse events without. For the events of a task there is
    /// [`TaskContext::send_event`](crate::TaskContext::send_event).
    ///
    /// # Errors
    /// [`EventError`] if the event is not a JSON object, the worker is registered nowhere, or 100 events wait already for
    /// each of these orchestrators.
    pub fn emit_event(&self, event: impl Serialize) -> Result<(), EventError> {
        let event = ready_made(&event)?;
        let origins = self.0.origins.get().into_iter().flatten().filter_map(Weak::upgrade);
        let hears_events =
            |origin: &Arc<Origin>| origin.peer.is_registered() && origin.peer.generation().accepts_events();
        let mut accepted = Err(EventError::NotRegistered);
        for origin in origins.filter(hears_events) {
            if origin.progress.ready_made.add(event.clone()) {
                accepted = Ok(());
            } else if accepted.is_err() {
                accepted = Err(EventError::QueueFull);
            }
        }
        accepted
    }

    /// Reports the time since which the event loop that runs the handlers has been blocked, or None when it runs. For
    /// packages in other languages, whose handlers run [outside](crate::extract::Outside) the runtime. `/health` and
    /// the metrics show it.
    pub fn handlers_blocked_since(&self, since: Option<Instant>) {
        *lock(&self.0.elsewhere) = since;
    }
}
