//! From a task's name to what runs it. No network.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rxon::TaskName;

use crate::capacity::catalogue::Described;
use crate::capacity::slots::{Group, Usage};
use crate::task::events::EventSchemas;
use crate::task::handler::TaskService;

/// A task that the worker has a handler for.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) service: TaskService,
    /// The limit group, if it has a limit.
    pub(crate) group: Option<Group>,
    /// How long it may take, if not as long as the others.
    pub(crate) time_limit: Option<Duration>,
    /// The events it declares.
    pub(crate) events: Arc<EventSchemas>,
    /// What is told of it.
    pub(crate) described: Arc<Described>,
}

/// Everything the worker can run.
#[derive(Debug, Default)]
pub(crate) struct Router {
    routes: HashMap<TaskName, Route>,
    /// As registered, with the label of the limit group.
    names: Vec<(TaskName, Option<String>)>,
}

impl Router {
    /// Adds a route. Names are checked to be unique before.
    pub(crate) fn add(&mut self, name: TaskName, label: Option<String>, route: Route) {
        self.names.push((name.clone(), label));
        self.routes.insert(name, route);
    }

    pub(crate) fn get(&self, name: &TaskName) -> Option<&Route> {
        self.routes.get(name)
    }

    /// All names, in the order they were registered in.
    pub(crate) fn names(&self) -> impl Iterator<Item = &TaskName> {
        self.names.iter().map(|(name, _)| name)
    }

    /// All names with the labels of their limit groups.
    pub(crate) fn labelled(&self) -> impl Iterator<Item = (&TaskName, Option<&str>)> {
        self.names.iter().map(|(name, label)| (name, label.as_deref()))
    }

    /// Those of which one more could start now.
    pub(crate) fn accepted(&self, usage: &Usage) -> Vec<TaskName> {
        if usage.open == 0 {
            return Vec::new();
        }
        let open = |name: &&TaskName| self.routes[*name].group.is_none_or(|group| usage.groups_open[group]);
        self.names().filter(open).cloned().collect()
    }
}
