//! What a worker is made of.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rxon::transport::Connector;
use rxon::{TaskName, WorkerId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::capacity::catalogue::Catalogue;
use crate::capacity::checker::CapacityChecker;
use crate::capacity::hot_cache::HotCache;
use crate::config::WorkerConfig;
use crate::delivery::OnIgnored;
use crate::execution::router::Router;
use crate::files::Storage;
use crate::health::pulse::Elsewhere;
use crate::session::commands::OnCommand;
use crate::worker::hooks::Hooks;
use crate::worker::shutdown::StopCause;

/// What a worker is made of.
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
    /// Instead of that of the configuration.
    pub(crate) storage: Option<Storage>,
    /// Replaces HTTP, for tests.
    pub(crate) connector: Option<Arc<dyn Connector>>,
    pub(crate) controls: Arc<Controls>,
}

impl Plan {
    pub(crate) fn worker_id(&self) -> WorkerId {
        self.config.known_worker_id().unwrap_or_else(WorkerId::random)
    }

    pub(crate) fn limit(&self) -> usize {
        self.max_concurrent_tasks.unwrap_or(self.config.max_concurrent_tasks)
    }

    pub(crate) fn worker_type(&self) -> String {
        self.worker_type.clone().unwrap_or_else(|| self.config.worker_type.clone())
    }
}

/// What a [`WorkerHandle`] reaches of a worker, before it runs and while it does.
#[derive(Debug, Default)]
pub(crate) struct Controls {
    pub(crate) drain: CancellationToken,
    pub(crate) cancel: CancellationToken,
    /// Why it was asked to end, if not just so.
    pub(crate) cause: OnceLock<StopCause>,
    pub(crate) hot_cache: Arc<HotCache>,
    pub(crate) elsewhere: Arc<Elsewhere>,
}

impl Controls {
    /// Hands on what was asked for through handles, as signals.
    pub(crate) async fn hand_on(&self, signals: mpsc::Sender<StopCause>) {
        self.drain.cancelled().await;
        let cause = self.cause.get().copied().unwrap_or(StopCause::Asked);
        let _ = signals.send(cause).await;
        self.cancel.cancelled().await;
        let _ = signals.send(cause).await;
    }
}
