//! The checks of a builder, and the plan that comes out of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use rxon::TaskName;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer as _;

use super::settings::{Registered, Settings};
use super::state::{NoState, Offers};
use crate::capacity::catalogue::Catalogue;
use crate::config::WorkerConfig;
use crate::config::parse::CONCURRENT_TASKS;
use crate::execution::{Route, Router};
use crate::task::events::EventSchemas;
use crate::task::middleware::catch_panic::CatchPanicLayer;
use crate::worker::error::BuildError;
use crate::worker::plan::Plan;

/// Checks the tasks and settings, and makes a plan of them.
pub(super) fn plan<S>(tasks: Vec<Registered<S>>, settings: Settings) -> Result<Plan, BuildError>
where
    NoState: Offers<S>,
{
    if tasks.is_empty() {
        return Err(BuildError::NoTasks);
    }
    if let Some((group, _)) = settings.limits.iter().find(|(_, limit)| **limit == 0) {
        return Err(BuildError::ZeroLimit(group.clone()));
    }
    if let Some(limit) = settings.max_concurrent_tasks.filter(|limit| !CONCURRENT_TASKS.is_accepted(*limit)) {
        return Err(BuildError::Limit(limit));
    }
    let groups: Vec<&String> = settings.limits.keys().collect();
    let used: BTreeSet<&String> = tasks.iter().filter_map(|task| task.options.limit_group.as_ref()).collect();
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
    Ok(Plan {
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
    })
}
