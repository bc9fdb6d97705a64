//! The registration of tasks, before a worker runs and while it does.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rxon::TaskName;
use tower_layer::Layer;

use crate::capacity::Catalogue;
use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::execution::counts::TaskCounters;
use crate::execution::{Route, Router};
use crate::task::events::EventSchemas;
use crate::task::handler::{Handler, HandlerService, TaskService};
use crate::task::middleware::catch_panic::CatchPanicLayer;
use crate::threads::lock;
use crate::worker::error::BuildError;
use crate::worker::task_options::TaskOptions;

/// Puts a layer around a task.
pub(super) type AddLayer = Box<dyn Fn(TaskService) -> TaskService + Send>;

/// Makes the service of a task, without the layers of the worker. They see a panic of the handler as an outcome; a panic in
/// a layer is caught further out.
pub(super) fn service<H, M, S>(handler: H, state: S) -> TaskService
where
    H: Handler<M, S>,
    M: 'static,
    S: Clone + Send + Sync + 'static,
{
    TaskService::new(CatchPanicLayer.layer(HandlerService::new(handler, state)))
}

/// The tasks of a worker, and the layers and groups for those that are added.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) router: Arc<Router>,
    pub(crate) catalogue: Arc<Catalogue>,
    /// Set once the worker drains.
    pub(crate) draining: Arc<AtomicBool>,
    /// The limited groups, in the order of their limits.
    groups: Vec<String>,
    /// The layers of every task. Locked while a task is added.
    layers: Mutex<Vec<AddLayer>>,
    /// Set once the worker runs.
    registrations: OnceLock<Arc<HeartbeatTrigger>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registry").field("catalogue", &self.catalogue).finish_non_exhaustive()
    }
}

impl Registry {
    pub(super) fn new(groups: Vec<String>, layers: Vec<AddLayer>) -> Self {
        Self { groups, layers: Mutex::new(layers), ..Self::default() }
    }

    /// Makes tasks that are added from now on trigger registrations.
    pub(super) fn connect(&self, registrations: Arc<HeartbeatTrigger>) {
        self.registrations.get_or_init(|| registrations);
    }

    /// Adds a task, with its [`service`]. It can be run before any orchestrator learns of it.
    pub(super) fn add(
        &self,
        name: &str,
        options: TaskOptions,
        service: TaskService,
    ) -> Result<(), BuildError> {
        let name = TaskName::new(name).map_err(BuildError::TaskName)?;
        let layers = lock(&self.layers);
        if self.draining.load(Ordering::Relaxed) {
            return Err(BuildError::Draining(name));
        }
        if self.router.contains(&name) {
            return Err(BuildError::DuplicateTask(name));
        }
        let group = options.limit_group.as_ref();
        let limited = group.and_then(|group| self.groups.iter().position(|known| known == group));
        if let Some(group) = group.filter(|_| limited.is_none()) {
            tracing::warn!("the task `{name}` is in the group `{group}`, which has no limit");
        }
        let skill = options.skill(name.clone());
        let service = layers.iter().rev().fold(service, |service, layer| layer(service));
        // Schemas describe what orchestrators send and get, so they are checked outside all layers.
        let service = options.enforcing(&name, service)?;
        let events = Arc::new(EventSchemas::new(options.events)?);
        let counters = TaskCounters::default();
        let route = Route { service, group: limited, time_limit: options.time_limit, events, counters };
        self.router.insert(name, route);
        self.catalogue.add(skill, limited);
        drop(layers);
        if let Some(registrations) = self.registrations.get() {
            registrations.on_change();
        }
        Ok(())
    }
}
