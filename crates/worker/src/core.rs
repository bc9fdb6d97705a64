//! What every part of a running worker shares.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rxon::{JobId, TaskId, TaskName, WorkerId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capacity::Capacity;
use crate::changes::Changes;
use crate::config::{CapacityReporting, WorkerConfig};
use crate::execution::{BlockingThreads, CancelHandle, Cause};
use crate::hot_cache::HotCache;
use crate::router::Router;
use crate::slots::{Slots, Usage};

/// What every part of a running worker shares.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: WorkerConfig,
    pub(crate) worker_id: WorkerId,
    pub(crate) worker_type: String,
    pub(crate) router: Router,
    pub(crate) skill_dependencies: BTreeMap<TaskName, Vec<String>>,
    pub(crate) capacity: Capacity,
    pub(crate) slots: Arc<Slots>,
    pub(crate) threads: Arc<BlockingThreads>,
    pub(crate) hot_cache: Arc<HotCache>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) running: Running,
    /// Tasks under way, until their results are handed in.
    pub(crate) tasks: TaskTracker,
    /// No further task is accepted.
    pub(crate) draining: AtomicBool,
    /// The worker ends: nothing is waited for any more.
    pub(crate) closing: CancellationToken,
}

impl Core {
    /// The tasks of which one more can be accepted when this much is in use.
    pub(crate) fn accepted(&self, usage: &Usage) -> Vec<TaskName> {
        if self.draining.load(Ordering::Relaxed) {
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

/// The tasks that were accepted and have not ended.
#[derive(Debug, Default)]
pub(crate) struct Running {
    tasks: Mutex<HashMap<TaskId, RunningTask>>,
    /// Set once all are told to stop: those that still come are told at once.
    closed: OnceLock<Cause>,
    ended: Notify,
}

#[derive(Debug, Clone)]
struct RunningTask {
    job_id: JobId,
    orchestrator: Arc<str>,
    cancel: Arc<CancelHandle>,
}

impl Running {
    /// Adds a task; false when it is there already.
    pub(crate) fn begin(
        &self,
        task_id: &TaskId,
        job_id: &JobId,
        orchestrator: &Arc<str>,
        cancel: &Arc<CancelHandle>,
    ) -> bool {
        let mut tasks = self.lock();
        if tasks.contains_key(task_id) {
            return false;
        }
        let task = RunningTask {
            job_id: job_id.clone(),
            orchestrator: orchestrator.clone(),
            cancel: cancel.clone(),
        };
        tasks.insert(task_id.clone(), task);
        if let Some(cause) = self.closed.get() {
            cancel.cancel(cause.clone());
        }
        true
    }

    pub(crate) fn end(&self, task_id: &TaskId) {
        self.lock().remove(task_id);
        self.ended.notify_waiters();
    }

    /// Waits until none is left.
    pub(crate) async fn empty(&self) {
        loop {
            let ended = self.ended.notified();
            if self.lock().is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Tells one orchestrator's task to stop; `id` may be the task's or its job's. False when there is none.
    pub(crate) fn cancel(&self, orchestrator: &str, id: &str, cause: &Cause) -> bool {
        let tasks = self.lock();
        let mut found = false;
        for (task_id, task) in tasks.iter() {
            let meant = task_id.as_str() == id || task.job_id.as_str() == id;
            if meant && *task.orchestrator == *orchestrator {
                task.cancel.cancel(cause.clone());
                found = true;
            }
        }
        found
    }

    /// Tells all to stop, and all that still come.
    pub(crate) fn cancel_all(&self, cause: &Cause) {
        let tasks = self.lock();
        let cause = self.closed.get_or_init(|| cause.clone());
        for task in tasks.values() {
            task.cancel.cancel(cause.clone());
        }
    }

    /// Whether all were told to stop.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get().is_some()
    }

    pub(crate) fn task_ids(&self) -> Vec<TaskId> {
        self.lock().keys().cloned().collect()
    }

    /// The task ids and job ids of one orchestrator's tasks, each once.
    pub(crate) fn ids_from(&self, orchestrator: &str) -> (Vec<String>, Vec<String>) {
        let tasks = self.lock();
        let own = tasks.iter().filter(|(_, task)| *task.orchestrator == *orchestrator);
        let (mut ids, mut jobs): (Vec<String>, Vec<String>) =
            own.map(|(task_id, task)| (task_id.to_string(), task.job_id.to_string())).unzip();
        ids.sort_unstable();
        jobs.sort_unstable();
        jobs.dedup();
        (ids, jobs)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, RunningTask>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
