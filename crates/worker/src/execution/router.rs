//! The handlers of the registered tasks, by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rxon::TaskName;

use crate::capacity::slots::Group;
use crate::task::events::EventSchemas;
use crate::task::handler::TaskService;

/// A task that the worker has a handler for.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) service: TaskService,
    /// The limit group, if it has a limit.
    pub(crate) group: Option<Group>,
    /// The task's own time limit; without one, the worker's applies.
    pub(crate) time_limit: Option<Duration>,
    /// The events that the task declares.
    pub(crate) events: Arc<EventSchemas>,
}

/// The handlers of the registered tasks, by name.
pub(crate) type Router = HashMap<TaskName, Route>;
