//! The parts of a worker before they are assembled.

use std::collections::BTreeMap;
use std::sync::Arc;

use rxon::transport::Connector;
use rxon::{TaskName, WorkerId};

use crate::capacity::catalogue::Catalogue;
use crate::capacity::checker::CapacityChecker;
use crate::config::WorkerConfig;
use crate::delivery::OnIgnored;
use crate::execution::Router;
use crate::files::Storage;
use crate::session::commands::OnCommand;
use crate::worker::handle::HandleState;
use crate::worker::hooks::Hooks;

/// The tasks and settings from which a worker is assembled.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) router: Router,
    pub(crate) catalogue: Catalogue,
    pub(crate) group_limits: Vec<usize>,
    pub(crate) skill_dependencies: BTreeMap<TaskName, Vec<String>>,
    pub(crate) config: WorkerConfig,
    pub(crate) worker_type: Option<String>,
    pub(crate) max_concurrent_tasks: Option<usize>,
    pub(crate) capacity_checker: Option<CapacityChecker>,
    pub(crate) on_ignored: Option<OnIgnored>,
    pub(crate) on_command: Option<OnCommand>,
    pub(crate) hooks: Hooks,
    /// The storage, if it is not that of the configuration.
    pub(crate) storage: Option<Storage>,
    /// The connection to the orchestrator, if it is not HTTP. For tests.
    pub(crate) connector: Option<Arc<dyn Connector>>,
    pub(crate) handle_state: Arc<HandleState>,
}

impl Plan {
    pub(crate) fn worker_id(&self) -> WorkerId {
        self.config.known_worker_id().unwrap_or_else(WorkerId::random)
    }

    pub(crate) fn worker_type(&self) -> String {
        self.worker_type.clone().unwrap_or_else(|| self.config.worker_type.clone())
    }

    /// The number of tasks that may run at once.
    pub(crate) fn limit(&self) -> usize {
        self.max_concurrent_tasks.unwrap_or(self.config.max_concurrent_tasks)
    }
}
