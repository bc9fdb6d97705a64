//! The contents of a builder.

use std::collections::BTreeMap;

use crate::capacity::checker::CapacityChecker;
use crate::config::WorkerConfig;
use crate::delivery::OnIgnored;
use crate::session::commands::OnCommand;
use crate::task::handler::TaskService;
use crate::worker::hooks::Hooks;
use crate::worker::task_options::TaskOptions;

pub(super) type MakeService<S> = Box<dyn FnOnce(S) -> TaskService + Send>;
pub(super) type AddLayer = Box<dyn Fn(TaskService) -> TaskService + Send>;

/// A registered task. Its handler needs the state `S`.
pub(super) struct Registered<S> {
    pub(super) name: String,
    pub(super) options: TaskOptions,
    pub(super) make: MakeService<S>,
}

/// The settings that do not depend on the state.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) layers: Vec<AddLayer>,
    pub(super) limits: BTreeMap<String, usize>,
    pub(super) skill_dependencies: BTreeMap<String, Vec<String>>,
    pub(super) config: Option<WorkerConfig>,
    pub(super) worker_type: Option<String>,
    pub(super) max_concurrent_tasks: Option<usize>,
    pub(super) capacity_checker: Option<CapacityChecker>,
    pub(super) on_ignored: Option<OnIgnored>,
    pub(super) on_command: Option<OnCommand>,
    pub(super) hooks: Hooks,
}
