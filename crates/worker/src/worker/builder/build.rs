//! From a builder to a worker.

use std::collections::BTreeSet;
use std::sync::Arc;

use rxon::TaskName;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer as _;

use super::WorkerBuilder;
use super::state::{NoState, Offers};
use crate::capacity::catalogue::Catalogue;
use crate::config::WorkerConfig;
use crate::config::parse::CONCURRENT_TASKS;
use crate::execution::router::{Route, Router};
use crate::task::events::EventSchemas;
use crate::task::middleware::catch_panic::CatchPanicLayer;
use crate::worker::Worker;
use crate::worker::error::BuildError;
use crate::worker::exit::Exit;
use crate::worker::plan::Plan;

impl<S> WorkerBuilder<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Checks the tasks and settings, and builds the worker. The configuration is checked when the worker is run.
    ///
    /// # Errors
    /// [`BuildError`] for the first fault.
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
        if let Some(limit) =
            settings.max_concurrent_tasks.filter(|limit| !CONCURRENT_TASKS.is_accepted(*limit))
        {
            return Err(BuildError::Limit(limit));
        }
        let groups: Vec<&String> = settings.limits.keys().collect();
        let used: BTreeSet<&String> =
            tasks.iter().filter_map(|task| task.options.limit_group.as_ref()).collect();
        for group in groups.iter().filter(|group| !used.contains(**group)) {
            tracing::warn!("no task is in the group `{group}`: its limit has no effect");
        }
        let (mut router, mut catalogue) = (Router::default(), Catalogue::default());
        let mut names = BTreeSet::new();
        for task in tasks {
            let name = TaskName::new(&task.name).map_err(BuildError::TaskName)?;
            if !names.insert(name.clone()) {
                return Err(BuildError::DuplicateTask(name));
            }
            // Layers see a panic of the handler as an outcome. A panic in a layer is caught further out.
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
            handle_state: Arc::default(),
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

    /// Builds the worker and runs it as [`run`](Self::run) does, with the health server.
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
