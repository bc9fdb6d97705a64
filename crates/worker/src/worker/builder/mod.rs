//! The builder of a worker.

mod build;
mod callbacks;
mod state;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;

use tower::util::BoxCloneSyncService;
use tower_layer::Layer;
use tower_service::Service;

pub use self::state::{NoState, Offers};
use crate::capacity::checker::CapacityChecker;
use crate::config::WorkerConfig;
use crate::delivery::OnIgnored;
use crate::session::commands::OnCommand;
use crate::task::extract::TaskRequest;
use crate::task::handler::{Handler, HandlerService, TaskService};
use crate::task::outcome::Outcome;
use crate::worker::Worker;
use crate::worker::hooks::Hooks;
use crate::worker::task_options::TaskOptions;

type MakeService<S> = Box<dyn FnOnce(S) -> TaskService + Send>;
type AddLayer = Box<dyn Fn(TaskService) -> TaskService + Send>;

struct Registered<S> {
    name: String,
    options: TaskOptions,
    make: MakeService<S>,
}

/// Builds a worker of tasks, limits, layers and a configuration. `S` is the state that its handlers still need.
///
/// All checks are made by [`build`](Self::build).
#[must_use = "a builder does nothing until it is built"]
pub struct WorkerBuilder<S = ()> {
    tasks: Vec<Registered<S>>,
    settings: Settings,
}

/// The settings that do not depend on the state.
#[derive(Default)]
struct Settings {
    layers: Vec<AddLayer>,
    limits: BTreeMap<String, usize>,
    skill_dependencies: BTreeMap<String, Vec<String>>,
    config: Option<WorkerConfig>,
    worker_type: Option<String>,
    max_concurrent_tasks: Option<usize>,
    capacity_checker: Option<CapacityChecker>,
    on_ignored: Option<OnIgnored>,
    on_command: Option<OnCommand>,
    hooks: Hooks,
}

impl<S> fmt::Debug for WorkerBuilder<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.tasks.iter().map(|task| &task.name).collect();
        formatter.debug_struct("WorkerBuilder").field("tasks", &names).finish_non_exhaustive()
    }
}

impl Worker {
    /// Returns an empty builder.
    pub fn builder<S>() -> WorkerBuilder<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        WorkerBuilder { tasks: Vec::new(), settings: Settings::default() }
    }
}

impl<S> WorkerBuilder<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Uses the default configuration, not the environment, if none was given.
    #[cfg(feature = "testing")]
    pub(crate) fn or_defaults(mut self) -> Self {
        self.settings.config.get_or_insert_with(WorkerConfig::defaults);
        self
    }

    /// Registers a handler under a name: 1 to 128 characters of `a-z A-Z 0-9 _ -`. No two tasks may have the same name.
    pub fn task<H, M>(self, name: impl Into<String>, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        self.task_with(name, TaskOptions::new(), handler)
    }

    /// Registers a handler with options, such as a time limit of its own.
    pub fn task_with<H, M>(mut self, name: impl Into<String>, options: TaskOptions, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        let make: MakeService<S> =
            Box::new(move |state| TaskService::new(HandlerService::new(handler, state)));
        self.tasks.push(Registered { name: name.into(), options, make });
        self
    }

    /// Puts a layer around every task, including those registered later. The first layer is the outermost. A layer is
    /// applied once for each task name. If its service can fail, put it inside a
    /// [`HandleErrorLayer`](crate::middleware::handle_error::HandleErrorLayer), which turns its errors into outcomes.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<TaskService> + Send + 'static,
        L::Service:
            Service<TaskRequest, Response = Outcome, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<TaskRequest>>::Future: Send + 'static,
    {
        self.settings.layers.push(Box::new(move |service| BoxCloneSyncService::new(layer.layer(service))));
        self
    }

    /// Limits the number of tasks of a group that run at once; at least 1. `MAX_CONCURRENT_TASKS` still limits all tasks
    /// together.
    pub fn limit(mut self, group: impl Into<String>, limit: usize) -> Self {
        self.settings.limits.insert(group.into(), limit);
        self
    }

    /// Sets the models that a skill needs: while all of them are loaded, the skill is reported as hot.
    pub fn skill_dependencies<I, M>(mut self, skill: impl Into<String>, models: I) -> Self
    where
        I: IntoIterator<Item = M>,
        M: Into<String>,
    {
        self.settings.skill_dependencies.insert(skill.into(), models.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the configuration. Without it, the environment is read.
    pub fn config(mut self, config: WorkerConfig) -> Self {
        self.settings.config = Some(config);
        self
    }

    /// Sets the worker's type. Takes precedence over `WORKER_TYPE`.
    pub fn worker_type(mut self, worker_type: impl Into<String>) -> Self {
        self.settings.worker_type = Some(worker_type.into());
        self
    }

    /// Sets the maximum number of tasks that run at once, in the range of `MAX_CONCURRENT_TASKS`. Takes precedence over
    /// that variable.
    pub fn max_concurrent_tasks(mut self, limit: usize) -> Self {
        self.settings.max_concurrent_tasks = Some(limit);
        self
    }

    /// Gives the handlers registered so far their shared state. Tasks that are added afterwards may need another.
    pub fn with_state<S2>(self, state: S) -> WorkerBuilder<S2> {
        let tasks = self.tasks.into_iter().map(|task| {
            let (make, state) = (task.make, state.clone());
            Registered {
                name: task.name,
                options: task.options,
                make: Box::new(move |_: S2| make(state)) as MakeService<S2>,
            }
        });
        WorkerBuilder { tasks: tasks.collect(), settings: self.settings }
    }
}
