//! The tasks that were accepted and have not ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use rxon::{JobId, TaskId};
use tokio::sync::Notify;

use crate::execution::{CancelHandle, Cause};
use crate::pace::lock;

/// The tasks that were accepted and have not ended, each with the place of its orchestrator: ids are an orchestrator's
/// own, and two may give the same.
#[derive(Debug, Default)]
pub(crate) struct Running {
    tasks: Mutex<HashMap<(usize, TaskId), RunningTask>>,
    /// Set once all are told to stop: those that still come are told at once.
    closed: OnceLock<Cause>,
    ended: Notify,
}

#[derive(Debug, Clone)]
struct RunningTask {
    job_id: JobId,
    cancel: Arc<CancelHandle>,
}

impl Running {
    /// Adds a task; false when it is there already.
    pub(crate) fn begin(
        &self,
        who: usize,
        task_id: &TaskId,
        job_id: &JobId,
        cancel: &Arc<CancelHandle>,
    ) -> bool {
        let mut tasks = lock(&self.tasks);
        let key = (who, task_id.clone());
        if tasks.contains_key(&key) {
            return false;
        }
        tasks.insert(key, RunningTask { job_id: job_id.clone(), cancel: cancel.clone() });
        if let Some(cause) = self.closed.get() {
            cancel.cancel(cause.clone());
        }
        true
    }

    /// A task has ended.
    pub(crate) fn end(&self, who: usize, task_id: &TaskId) {
        lock(&self.tasks).remove(&(who, task_id.clone()));
        self.ended.notify_waiters();
    }

    /// Waits until none is left.
    pub(crate) async fn empty(&self) {
        self.until(HashMap::is_empty).await;
    }

    /// Waits until none is left that came from this orchestrator.
    pub(crate) async fn none_from(&self, who: usize) {
        self.until(|tasks| tasks.keys().all(|(from, _)| *from != who)).await;
    }

    async fn until(&self, done: impl Fn(&HashMap<(usize, TaskId), RunningTask>) -> bool) {
        loop {
            let ended = self.ended.notified();
            if done(&lock(&self.tasks)) {
                return;
            }
            ended.await;
        }
    }

    /// Tells one orchestrator's task to stop; `id` may be the task's or its job's. False when there is none.
    pub(crate) fn cancel(&self, who: usize, id: &str, cause: &Cause) -> bool {
        let tasks = lock(&self.tasks);
        let mut found = false;
        for ((from, task_id), task) in tasks.iter() {
            let meant = task_id.as_str() == id || task.job_id.as_str() == id;
            if meant && *from == who {
                task.cancel.cancel(cause.clone());
                found = true;
            }
        }
        found
    }

    /// Tells all to stop, and all that still come.
    pub(crate) fn cancel_all(&self, cause: &Cause) {
        let tasks = lock(&self.tasks);
        let cause = self.closed.get_or_init(|| cause.clone());
        for task in tasks.values() {
            task.cancel.cancel(cause.clone());
        }
    }

    /// Whether all were told to stop.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get().is_some()
    }

    /// The ids of all tasks.
    pub(crate) fn task_ids(&self) -> Vec<TaskId> {
        lock(&self.tasks).keys().map(|(_, task_id)| task_id.clone()).collect()
    }

    /// The task ids and job ids of one orchestrator's tasks, each once.
    pub(crate) fn ids_from(&self, who: usize) -> (Vec<String>, Vec<String>) {
        let tasks = lock(&self.tasks);
        let own = tasks.iter().filter(|((from, _), _)| *from == who);
        let (mut ids, mut jobs): (Vec<String>, Vec<String>) =
            own.map(|((_, task_id), task)| (task_id.to_string(), task.job_id.to_string())).unzip();
        ids.sort_unstable();
        jobs.sort_unstable();
        jobs.dedup();
        (ids, jobs)
    }
}
