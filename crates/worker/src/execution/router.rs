//! The handlers of the registered tasks.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use foldhash::HashMap;
use rxon::TaskName;

use crate::capacity::slots::Group;
use crate::execution::counts::TaskCounters;
use crate::task::events::EventSchemas;
use crate::task::handler::TaskService;
use crate::threads::{read, write};

/// A task that the worker has a handler for.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) service: TaskService,
    /// The limit group, if it has a limit.
    pub(crate) group: Option<Group>,
    /// The task's own time limit; without one, the worker's applies.
    pub(crate) time_limit: Option<Duration>,
    /// The events that the task declares.
    pub(crate) events: Arc<EventSchemas>,
    pub(crate) counters: TaskCounters,
}

/// The handlers of the registered tasks, by name. Tasks can be added while the worker runs: only then is the lock written
/// to, so readers hardly ever wait.
#[derive(Debug, Default)]
pub(crate) struct Router(RwLock<HashMap<TaskName, Arc<Route>>>);

impl Router {
    /// Adds a task, which must not be there yet.
    pub(crate) fn insert(&self, name: TaskName, route: Route) {
        write(&self.0).insert(name, Arc::new(route));
    }

    pub(crate) fn get(&self, name: &TaskName) -> Option<Arc<Route>> {
        read(&self.0).get(name).cloned()
    }

    pub(crate) fn contains(&self, name: &TaskName) -> bool {
        read(&self.0).contains_key(name)
    }
}
