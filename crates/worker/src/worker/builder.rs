//! The builder of a worker.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use rxon::TaskName;
use rxon::model::Usage;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer;
use tower_service::Service;

use crate::capacity::checker::CapacityChecker;
use crate::config::WorkerConfig;
use crate::config::parse::CONCURRENT_TASKS;
use crate::delivery::{IgnoredResult, OnIgnored};
use crate::session::commands::{Command, OnCommand};
use crate::task::extract::TaskRequest;
use crate::task::handler::{Handler, TaskService};
use crate::task::outcome::{BoxError, Outcome};
use crate::worker::Worker;
use crate::worker::assembly::{Plan, Settings};
use crate::worker::error::{BuildError, Exit};
use crate::worker::handle::HandleState;
use crate::worker::registry::{AddLayer, Registry, service};
use crate::worker::task_options::TaskOptions;

/// The state of a worker whose handlers need none, or already have theirs.
#[derive(Debug, Clone, Copy)]
pub struct NoState;

/// The state that a worker can offer to handlers that were not given one by [`with_state`](crate::WorkerBuilder::with_state):
/// none.
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

type UsageChecker = Box<dyn Fn() -> Option<Usage> + Send + Sync>;
type MakeService<S> = Box<dyn FnOnce(S) -> TaskService + Send>;

/// A registered task. Its handler needs the state `S`.
struct Registered<S> {
    name: String,
    options: TaskOptions,
    make: MakeService<S>,
}

/// Builds a worker of tasks, limits, layers and a configuration. `S` is the state that its handlers still need.
///
/// All checks are made by [`build`](Self::build).
#[must_use = "a builder does nothing until it is built"]
#[doc(alias("app", "celery", "consumer"))]
pub struct WorkerBuilder<S = ()> {
    tasks: Vec<Registered<S>>,
    layers: Vec<AddLayer>,
    skill_dependencies: BTreeMap<String, Vec<String>>,
    usage_checker: Option<UsageChecker>,
    pub(crate) config: Option<WorkerConfig>,
    allows_no_tasks: bool,
    settings: Settings,
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
        WorkerBuilder {
            tasks: Vec::new(),
            layers: Vec::new(),
            skill_dependencies: BTreeMap::new(),
            usage_checker: None,
            config: None,
            allows_no_tasks: false,
            settings: Settings::default(),
        }
    }
}

impl<S> WorkerBuilder<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Registers a handler under a name: 1 to 128 characters of `a-z A-Z 0-9 _ -`. No two tasks may have the same name.
    #[doc(alias("activity", "consumer", "handler", "register"))]
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
        let make: MakeService<S> = Box::new(move |state| service(handler, state));
        self.tasks.push(Registered { name: name.into(), options, make });
        self
    }

    /// Puts a layer around every task, including those registered later. The first layer is the outermost. A layer is
    /// applied once for each task name. If its service can fail, put it inside a
    /// [`HandleErrorLayer`](crate::middleware::handle_error::HandleErrorLayer), which turns its errors into outcomes.
    #[doc(alias("interceptor", "middleware", "wrap"))]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<TaskService> + Send + 'static,
        L::Service:
            Service<TaskRequest, Response = Outcome, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<TaskRequest>>::Future: Send + 'static,
    {
        self.layers.push(Box::new(move |service| BoxCloneSyncService::new(layer.layer(service))));
        self
    }

    /// Lets the worker be built without a task, for programs that [add](crate::WorkerHandle::add_task) all of them later.
    /// As long as there is none, the worker is `busy`; a warning says so when it starts.
    pub fn allow_no_tasks(mut self) -> Self {
        self.allows_no_tasks = true;
        self
    }

    /// Limits the number of tasks of a group that run at once; at least 1. `MAX_CONCURRENT_TASKS` still limits all tasks
    /// together.
    #[doc(alias("concurrency", "semaphore"))]
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
        self.skill_dependencies.insert(skill.into(), models.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the configuration. Without it, the environment is read.
    pub fn config(mut self, config: WorkerConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// Sets the worker's type. Takes precedence over `WORKER_TYPE`.
    pub fn worker_type(mut self, worker_type: impl Into<String>) -> Self {
        self.settings.worker_type = Some(worker_type.into());
        self
    }

    /// Sets the maximum number of tasks that run at once, in the range of `MAX_CONCURRENT_TASKS`. Takes precedence over
    /// that variable.
    #[doc(alias("concurrency", "pool", "prefetch", "threads"))]
    pub fn max_concurrent_tasks(mut self, limit: usize) -> Self {
        self.settings.max_concurrent_tasks = Some(limit);
        self
    }

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
    #[doc(alias("backpressure"))]
    pub fn capacity_checker(mut self, check: impl Fn(&TaskName) -> bool + Send + Sync + 'static) -> Self {
        self.settings.capacity_checker = Some(CapacityChecker::new("capacity_checker", check));
        self
    }

    /// Sets the function that measures how busy the machine is, in place of the worker's own measurement of processors,
    /// memory and NVIDIA cards: for other devices, or for a container's share. If several are set, the last one counts.
    ///
    /// - **When**: before each heartbeat to an orchestrator of the newer generation. The answer is sent if it differs
    ///   from the last one by more than `WORKER_TELEMETRY_DEADBAND`, and every `WORKER_TELEMETRY_FORCE_INTERVAL`.
    /// - **None**, a number that is not finite, or a panic: the heartbeat reports no usage. Numbers and panics are logged
    ///   once.
    /// - **Time limit**: 250 ms. After that the last answer is reported, with one warning; a late answer is used the next
    ///   time. There is only one call at a time, so after a call that never returns there are no further ones.
    /// - **Thread**: `avtomatika-usage`, which has no other purpose. The function may block.
    ///
    /// ```
    /// use avtomatika_worker::prelude::*;
    /// use avtomatika_worker::{DeviceUsage, Usage};
    ///
    /// let builder = Worker::builder().task("draw", async || ()).usage_checker(|| {
    ///     let metrics = [("temperature_c".to_owned(), 61.into())].into();
    ///     let device = DeviceUsage { unit_id: "tpu-0".to_owned(), load_percent: 40.0, metrics };
    ///     Some(Usage { cpu_load_percent: 12.5, ram_used_gb: 3.0, devices_usage: vec![device] })
    /// });
    /// # let _: avtomatika_worker::WorkerBuilder = builder;
    /// ```
    pub fn usage_checker(mut self, check: impl Fn() -> Option<Usage> + Send + Sync + 'static) -> Self {
        self.usage_checker = Some(Box::new(check));
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
    #[doc(alias("hook", "control"))]
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
    #[doc(alias("hook", "setup", "worker_init"))]
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
    #[doc(alias("hook", "teardown"))]
    pub fn on_shutdown<F, R>(mut self, hook: F) -> Self
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.settings.hooks.add_shutdown(hook);
        self
    }

    /// Gives the handlers registered so far their shared state. Tasks that are added afterwards may need another.
    #[doc(alias("dependency", "inject", "shared"))]
    pub fn with_state<S2>(self, state: S) -> WorkerBuilder<S2> {
        let tasks = self.tasks.into_iter().map(|task| {
            let (make, state) = (task.make, state.clone());
            Registered {
                name: task.name,
                options: task.options,
                make: Box::new(move |_: S2| make(state)) as MakeService<S2>,
            }
        });
        WorkerBuilder {
            tasks: tasks.collect(),
            layers: self.layers,
            skill_dependencies: self.skill_dependencies,
            usage_checker: self.usage_checker,
            config: self.config,
            allows_no_tasks: self.allows_no_tasks,
            settings: self.settings,
        }
    }

    /// Checks the tasks and settings, and builds the worker. The configuration is checked when the worker is run.
    ///
    /// # Errors
    /// [`BuildError`] for the first fault.
    pub fn build(self) -> Result<Worker, BuildError>
    where
        NoState: Offers<S>,
    {
        if self.tasks.is_empty() && !self.allows_no_tasks {
            return Err(BuildError::NoTasks);
        }
        if let Some((group, _)) = self.settings.limits.iter().find(|(_, limit)| **limit == 0) {
            return Err(BuildError::ZeroLimit(group.clone()));
        }
        if let Some(limit) =
            self.settings.max_concurrent_tasks.filter(|limit| !CONCURRENT_TASKS.is_accepted(*limit))
        {
            return Err(BuildError::Limit(limit));
        }
        let used: BTreeSet<&String> =
            self.tasks.iter().filter_map(|task| task.options.limit_group.as_ref()).collect();
        for group in self.settings.limits.keys().filter(|group| !used.contains(group)) {
            tracing::warn!("no task is in the group `{group}`: its limit has no effect");
        }
        let groups = self.settings.limits.keys().cloned().collect();
        let registry = Registry::new(groups, self.layers);
        for task in self.tasks {
            registry.add(&task.name, task.options, (task.make)(NoState.offer()))?;
        }
        let handle_state = HandleState::new(registry);
        if let Some(check) = self.usage_checker {
            handle_state.usage.set(check);
        }
        let mut skill_dependencies = BTreeMap::new();
        for (skill, models) in self.skill_dependencies {
            skill_dependencies.insert(TaskName::new(&skill).map_err(BuildError::TaskName)?, models);
        }
        Ok(Worker {
            plan: Plan {
                skill_dependencies,
                config: self.config.unwrap_or_else(WorkerConfig::from_env),
                settings: self.settings,
                handle_state: Arc::new(handle_state),
                storage: None,
                connector: None,
            },
        })
    }

    /// Builds the worker and runs it until a signal ends it: see [`Worker::run`].
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
        Worker::run_process(|| self.build(), false).await
    }

    /// Builds the worker and runs it as [`run`](Self::run) does, with the health server.
    pub async fn run_with_health_check(self) -> Exit
    where
        NoState: Offers<S>,
    {
        Worker::run_process(|| self.build(), true).await
    }
}
