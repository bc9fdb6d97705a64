//! How a worker is put together.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use rxon::TaskName;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer;
use tower_service::Service;

use crate::capacity::catalogue::Catalogue;
use crate::capacity::checker::CapacityChecker;
use crate::config::WorkerConfig;
use crate::delivery::{IgnoredResult, OnIgnored};
use crate::execution::router::{Route, Router};
use crate::session::commands::{Command, OnCommand};
use crate::task::events::EventSchemas;
use crate::task::extract::TaskRequest;
use crate::task::handler::{Handler, HandlerService, TaskService};
use crate::task::middleware::catch_panic::CatchPanicLayer;
use crate::task::outcome::BoxError;
use crate::task::outcome::Outcome;
use crate::worker::Worker;
use crate::worker::error::BuildError;
use crate::worker::exit::Exit;
use crate::worker::hooks::Hooks;
use crate::worker::plan::Plan;
use crate::worker::task_options::TaskOptions;

type MakeService<S> = Box<dyn FnOnce(S) -> TaskService + Send>;
type AddLayer = Box<dyn Fn(TaskService) -> TaskService + Send>;

struct Registered<S> {
    name: String,
    options: TaskOptions,
    make: MakeService<S>,
}

/// Puts a worker together: tasks, limits, layers, configuration. `S` is the state its handlers still need.
///
/// Everything is checked by [`build`](Self::build), and nothing before.
#[must_use = "a builder does nothing until it is built"]
pub struct WorkerBuilder<S = ()> {
    tasks: Vec<Registered<S>>,
    settings: Settings,
}

/// What is the same whatever the state.
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

impl<S> WorkerBuilder<S>
where
    S: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        Self { tasks: Vec::new(), settings: Settings::default() }
    }

    /// Without a configuration of its own it does not look at the environment.
    #[cfg(feature = "testing")]
    pub(crate) fn or_defaults(mut self) -> Self {
        self.settings.config.get_or_insert_with(WorkerConfig::defaults);
        self
    }

    /// Registers a handler under a name: 1 to 128 characters of `a-z A-Z 0-9 _ -`, each name once.
    pub fn task<H, M>(self, name: impl Into<String>, handler: H) -> Self
    where
        H: Handler<M, S>,
        M: 'static,
    {
        self.task_with(name, TaskOptions::new(), handler)
    }

    /// Registers a handler that has a limit group or a time limit of its own.
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

    /// Puts a layer around every task, those registered later too. The first added is outermost. It is made once for
    /// each task name. One whose service can fail goes inside a
    /// [`HandleErrorLayer`](crate::middleware::handle_error::HandleErrorLayer), which says what its errors mean.
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

    /// Limits how many tasks of a group run at once, at least 1. Wins over `MAX_CONCURRENT_TASKS` only downwards.
    pub fn limit(mut self, group: impl Into<String>, limit: usize) -> Self {
        self.settings.limits.insert(group.into(), limit);
        self
    }

    /// Says which models a skill needs: it is reported as hot while all of them are loaded.
    pub fn skill_dependencies<I, M>(mut self, skill: impl Into<String>, models: I) -> Self
    where
        I: IntoIterator<Item = M>,
        M: Into<String>,
    {
        self.settings.skill_dependencies.insert(skill.into(), models.into_iter().map(Into::into).collect());
        self
    }

    /// The configuration; without it the environment is read.
    pub fn config(mut self, config: WorkerConfig) -> Self {
        self.settings.config = Some(config);
        self
    }

    /// The worker's type; wins over `WORKER_TYPE`.
    pub fn worker_type(mut self, worker_type: impl Into<String>) -> Self {
        self.settings.worker_type = Some(worker_type.into());
        self
    }

    /// How many tasks run at once, 1 to 10,000; wins over `MAX_CONCURRENT_TASKS`.
    pub fn max_concurrent_tasks(mut self, limit: usize) -> Self {
        self.settings.max_concurrent_tasks = Some(limit);
        self
    }

    /// Asks, before orchestrators are told what the worker can take, whether one more task of a name fits: free
    /// memory, a licence, a device that others use too. With several checkers the last counts.
    ///
    /// - **When**: each time a registration or a heartbeat is about to be sent (every `HEARTBEAT_INTERVAL`, and after
    ///   tasks began or ended), once for each registered task. Not while the worker shuts down.
    /// - **False** leaves the task out of what is accepted, with either `WORKER_CAPACITY_REPORTING`; when every task is
    ///   left out the worker is `busy`. A refused task that is dispatched all the same (its orchestrator had queued it
    ///   before it knew) is run.
    /// - **Time limit**: 250 ms for all tasks together. Past it, what is known from the last time is told (at first that
    ///   every task is accepted), with one warning; late answers count the next time. While a call is under way there
    ///   is no other, so one that never returns is the last.
    /// - **Panics** count as true, with one warning for each task.
    /// - **Thread**: `avtomatika-capacity`, made for the purpose. The checker may block; it delays no task, and no
    ///   heartbeat by more than the limit. The worker does not wait for it when it ends.
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
        self.settings.capacity_checker = Some(CapacityChecker::new(check));
        self
    }

    /// Does something about each result that an orchestrator answers with `ignored`, beside the warning in the log:
    /// what the task did may have to be undone. Called where results are sent: it must not block. A panic in it is
    /// logged.
    ///
    /// ```
    /// use avtomatika_worker::prelude::*;
    ///
    /// let builder = Worker::builder()
    ///     .task("book", async || ())
    ///     .on_ignored_result(|result| eprintln!("{} was of no use: {}", result.task_id, result.reason));
    /// # let _: avtomatika_worker::WorkerBuilder = builder;
    /// ```
    pub fn on_ignored_result(mut self, hook: impl Fn(&IgnoredResult) + Send + Sync + 'static) -> Self {
        self.settings.on_ignored = Some(OnIgnored::new(hook));
        self
    }

    /// Does something about commands that an orchestrator pushes over the websocket (`WORKER_ENABLE_WEBSOCKETS`) and
    /// that the worker does not know itself; it knows `cancel_task`. Without it they are ignored, with a warning.
    ///
    /// - **Order**: one after the other, as they came. 64 may wait; more are dropped, with a warning.
    /// - **Where**: on the runtime the worker is awaited on, so it must not block. One that is under way when the
    ///   worker ends is dropped at its next `await`.
    /// - **Panics** are logged, and the next command is obeyed.
    ///
    /// ```
    /// use avtomatika_worker::prelude::*;
    ///
    /// let builder = Worker::builder().task("draw", async || ()).on_command(async |command| {
    ///     if command.name == "reload_models" {
    ///         println!("told to reload by {}", command.orchestrator);
    ///     }
    /// });
    /// # let _: avtomatika_worker::WorkerBuilder = builder;
    /// ```
    pub fn on_command<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Command) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.settings.on_command = Some(OnCommand::new(hook));
        self
    }

    /// Does something before the worker registers: load a model, open a pool. Several run one after the other, in this
    /// order. When one fails the worker does not run, and [`Exit`] is 1 with its error.
    ///
    /// While they run no orchestrator knows the worker, and the health server does not answer yet. A future given to
    /// [`run_until`](Worker::run_until) that completes, or [`WorkerHandle::drain`](crate::WorkerHandle::drain), ends the
    /// worker without its hook having ended; signals have their default action until the worker has started.
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

    /// Does something after the worker has drained: every task has ended, and every result was sent. Several run in the
    /// opposite order. Together they may take what is left of `WORKER_SHUTDOWN_TIMEOUT`, and at least 1 s. They run
    /// however the worker ends, unless it did not start or was dropped.
    pub fn on_shutdown<F, R>(mut self, hook: F) -> Self
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.settings.hooks.add_shutdown(hook);
        self
    }

    /// Gives the handlers their shared state. Tasks that are added afterwards may ask for another.
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

/// Stands for the state of a worker whose handlers need none, or were given theirs.
#[derive(Debug, Clone, Copy)]
pub struct NoState;

/// What a worker has to offer to handlers that were not given their state by
/// [`with_state`](WorkerBuilder::with_state): nothing.
#[diagnostic::on_unimplemented(
    message = "the worker's handlers need the state `{S}`, which it was not given",
    label = "`State<{S}>` is an argument of a handler",
    note = "give it with `.with_state(…)`, after the tasks that need it and before this"
)]
pub trait Offers<S> {
    /// The state.
    fn offer(self) -> S;
}

impl Offers<()> for NoState {
    fn offer(self) {}
}

impl<S> WorkerBuilder<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Checks everything that was said in code. The configuration is checked when the worker runs.
    ///
    /// # Errors
    /// [`BuildError`] for the first thing that is wrong.
    pub fn build(self) -> Result<Worker, BuildError>
    where
        NoState: Offers<S>,
    {
        let Self { tasks, settings } = self;
        if tasks.is_empty() {
            return Err(BuildError::NoTasks);
        }
        if let Some((group, _)) = settings.limits.iter().find(|(_, limit)| **limit == 0) {
            return Err(BuildError::ZeroLimit(group.clone()));
        }
        if let Some(limit) = settings.max_concurrent_tasks.filter(|limit| !(1..=10_000).contains(limit)) {
            return Err(BuildError::Limit(limit));
        }
        let groups: Vec<&String> = settings.limits.keys().collect();
        let used: BTreeSet<&String> =
            tasks.iter().filter_map(|task| task.options.limit_group.as_ref()).collect();
        for group in groups.iter().filter(|group| !used.contains(**group)) {
            tracing::warn!("no task is in the group `{group}`: its limit limits nothing");
        }
        let (mut router, mut catalogue) = (Router::default(), Catalogue::default());
        let mut names = BTreeSet::new();
        for task in tasks {
            let name = TaskName::new(&task.name).map_err(BuildError::TaskName)?;
            if !names.insert(name.clone()) {
                return Err(BuildError::DuplicateTask(name));
            }
            // Layers see a panic as an outcome; one of their own is caught further out.
            let inner = BoxCloneSyncService::new(CatchPanicLayer.layer((task.make)(NoState.offer())));
            let layered = settings.layers.iter().rev().fold(inner, |service, layer| layer(service));
            let group = task.options.limit_group.as_ref();
            let skill = task.options.skill(name.clone());
            let route = Route {
                service: layered,
                group: group.and_then(|group| groups.iter().position(|known| *known == group)),
                time_limit: task.options.time_limit,
                events: Arc::new(EventSchemas::new(task.options.events)?),
            };
            catalogue.add(skill, route.group);
            router.insert(name, route);
        }
        let skill_dependencies = settings
            .skill_dependencies
            .into_iter()
            .map(|(skill, models)| {
                TaskName::new(&skill).map(|skill| (skill, models)).map_err(BuildError::TaskName)
            })
            .collect::<Result<_, _>>()?;
        Ok(Worker::new(Plan {
            router,
            catalogue,
            group_limits: settings.limits.into_values().collect(),
            skill_dependencies,
            config: settings.config.unwrap_or_else(WorkerConfig::from_env),
            worker_type: settings.worker_type,
            max_concurrent_tasks: settings.max_concurrent_tasks,
            capacity_checker: settings.capacity_checker,
            on_ignored: settings.on_ignored,
            on_command: settings.on_command,
            hooks: settings.hooks,
            controls: Arc::default(),
            storage: None,
            connector: None,
        }))
    }

    /// Builds the worker and runs it until SIGTERM or SIGINT.
    ///
    /// ```no_run
    /// use avtomatika_worker::prelude::*;
    ///
    /// #[tokio::main(flavor = "current_thread")]
    /// async fn main() -> Exit {
    ///     Worker::builder().task("nothing", async || ()).run().await
    /// }
    /// ```
    pub async fn run(self) -> Exit
    where
        NoState: Offers<S>,
    {
        match self.build() {
            Ok(worker) => worker.run().await,
            Err(error) => Exit::from(Err(error)),
        }
    }

    /// As [`run`](Self::run), with the health server.
    pub async fn run_with_health_check(self) -> Exit
    where
        NoState: Offers<S>,
    {
        match self.build() {
            Ok(worker) => worker.run_with_health_check().await,
            Err(error) => Exit::from(Err(error)),
        }
    }
}
