//! What every part of a running worker shares.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rxon::secrets::Secrets;
use rxon::{TaskName, WorkerId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capacity::changes::Changes;
use crate::capacity::checker::Capacity;
use crate::capacity::disk::Disk;
use crate::capacity::hot_cache::HotCache;
use crate::capacity::slots::{Slots, Usage};
use crate::config::{CapacityReporting, WorkerConfig};
use crate::delivery::OnIgnored;
use crate::execution::router::Router;
use crate::execution::running::Running;
use crate::files::Files;
use crate::health::metrics::Metrics;
use crate::health::pulse::Pulse;
use crate::session::Skills;
use crate::session::commands::Commands;
use crate::session::fleet::Orchestrators;
use crate::session::machine::Telemetry;
use crate::threads::blocking::BlockingThreads;

/// What every part of a running worker shares.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: WorkerConfig,
    /// What is secret in it is masked for as long as the worker lives.
    pub(crate) _secrets: Secrets,
    pub(crate) worker_id: WorkerId,
    pub(crate) worker_type: String,
    pub(crate) router: Router,
    pub(crate) skill_dependencies: BTreeMap<TaskName, Vec<String>>,
    pub(crate) orchestrators: Arc<Orchestrators>,
    pub(crate) capacity: Capacity,
    pub(crate) on_ignored: Option<OnIgnored>,
    pub(crate) commands: Commands,
    pub(crate) slots: Arc<Slots>,
    pub(crate) threads: Arc<BlockingThreads>,
    pub(crate) files: Arc<Files>,
    pub(crate) hot_cache: Arc<HotCache>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) running: Running,
    /// It was said that tasks without a signature are run.
    pub(crate) warned_of_unsigned: std::sync::Once,
    /// Tasks under way, until their results are handed in.
    pub(crate) tasks: TaskTracker,
    pub(crate) skills: Skills,
    pub(crate) telemetry: Telemetry,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pulse: Pulse,
    pub(crate) disk: Disk,
    /// No further task is accepted.
    pub(crate) draining: AtomicBool,
    /// When that began.
    pub(crate) drain_began: OnceLock<Instant>,
    /// The worker ends: nothing is waited for any more.
    pub(crate) closing: CancellationToken,
}

impl Core {
    /// The tasks of which one more can be accepted when this much is in use.
    pub(crate) fn accepted(&self, usage: &Usage) -> Vec<TaskName> {
        if self.draining.load(Ordering::Relaxed) || self.disk.is_low() {
            return Vec::new();
        }
        let names = match self.config.worker_capacity_reporting {
            CapacityReporting::Strict => self.router.accepted(usage),
            CapacityReporting::Queue => self.router.names().cloned().collect(),
        };
        self.capacity.without_refused(names)
    }

    /// Asks the user's check of capacity anew, before something is told. Takes 250 ms at most.
    ///
    /// # Cancel safety
    /// The answers that are missing come later.
    pub(crate) async fn refresh_capacity(&self) {
        // A worker that takes nothing more has nothing to ask, and its goodbye is not to be delayed.
        if !self.draining.load(Ordering::Relaxed) {
            self.capacity.refresh().await;
        }
    }

    /// The skills whose models are loaded; None while there are none, as the reference has it.
    pub(crate) fn hot_skills(&self) -> Option<Vec<TaskName>> {
        let skills = self.hot_cache.hot_skills(&self.skill_dependencies);
        (!skills.is_empty()).then_some(skills)
    }

    /// None when there are none, as the reference has it.
    pub(crate) fn dependencies_as_sent(&self) -> Option<BTreeMap<String, Vec<String>>> {
        let dependencies = &self.skill_dependencies;
        (!dependencies.is_empty())
            .then(|| dependencies.iter().map(|(skill, models)| (skill.to_string(), models.clone())).collect())
    }
}
