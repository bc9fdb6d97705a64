//! The tasks that were accepted and have not ended.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use foldhash::HashMap;
use rxon::{JobId, TaskId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::execution::cancel::{CancelHandle, Cause};
use crate::threads::lock;

/// Tasks by orchestrator and task id: two orchestrators may use the same id.
type RunningTasks = HashMap<(OrchestratorIndex, TaskId), RunningTask>;

/// The tasks that were accepted and have not ended.
#[derive(Debug, Default)]
pub(crate) struct Running {
    tasks: Mutex<RunningTasks>,
    /// Commands to cancel tasks that have not arrived: orchestrators dispatch a task even if it was cancelled in their
    /// queue. Only ids of tasks count here, since other tasks of a cancelled job may still be wanted.
    early: Mutex<VecDeque<(Instant, OrchestratorIndex, String)>>,
    /// Set once all tasks are told to stop; tasks that arrive later are told at once.
    closed: OnceLock<Cause>,
    ended: Notify,
}

#[derive(Debug)]
struct RunningTask {
    job_id: JobId,
    cancel: Arc<CancelHandle>,
}

/// The time for which a command that arrived before its task is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The number of commands that are remembered.
const MAX_REMEMBERED: usize = 1000;

impl Running {
    /// Adds a task. Returns false if the task is running already.
    pub(crate) fn begin(
        &self,
        orchestrator: OrchestratorIndex,
        task_id: &TaskId,
        job_id: &JobId,
        cancel: &Arc<CancelHandle>,
    ) -> bool {
        let mut tasks = lock(&self.tasks);
        let Entry::Vacant(place) = tasks.entry((orchestrator, task_id.clone())) else { return false };
        if self.take_early(orchestrator, task_id) {
            cancel.cancel(Cause::Command);
        }
        place.insert(RunningTask { job_id: job_id.clone(), cancel: cancel.clone() });
        if let Some(cause) = self.closed.get() {
            cancel.cancel(cause.clone());
        }
        true
    }

    /// Returns whether a command to cancel this task has arrived before it.
    fn take_early(&self, orchestrator: OrchestratorIndex, task_id: &TaskId) -> bool {
        let mut early = lock(&self.early);
        if early.is_empty() {
            return false;
        }
        let now = Instant::now();
        early.retain(|(at, _, _)| now.duration_since(*at) < REMEMBERED);
        let found = early.iter().position(|(_, from, id)| *from == orchestrator && id == task_id.as_str());
        found.is_some_and(|index| early.remove(index).is_some())
    }

    /// Removes a task that has ended.
    pub(crate) fn end(&self, orchestrator: OrchestratorIndex, task_id: &TaskId) {
        lock(&self.tasks).remove(&(orchestrator, task_id.clone()));
        self.ended.notify_waiters();
    }

    /// Waits until no task is left.
    pub(crate) async fn empty(&self) {
        self.until(RunningTasks::is_empty).await;
    }

    /// Waits until no task of this orchestrator is left.
    pub(crate) async fn none_from(&self, orchestrator: OrchestratorIndex) {
        self.until(|tasks| tasks.keys().all(|(from, _)| *from != orchestrator)).await;
    }

    async fn until(&self, done: impl Fn(&RunningTasks) -> bool) {
        loop {
            let ended = self.ended.notified();
            if done(&lock(&self.tasks)) {
                return;
            }
            ended.await;
        }
    }

    /// Tells tasks of one orchestrator to stop; `id` is a task's or a job's. Returns false if no such task is running: a
    /// task with this id is then told when it arrives, within 10 minutes.
    pub(crate) fn cancel(&self, orchestrator: OrchestratorIndex, id: &str) -> bool {
        let tasks = lock(&self.tasks);
        let mut found = false;
        for task in with_id(&tasks, orchestrator, id) {
            task.cancel.cancel(Cause::Command);
            found = true;
        }
        if !found {
            let mut early = lock(&self.early);
            // Answers to heartbeats may repeat the same command.
            early.retain(|(_, from, known)| *from != orchestrator || known != id);
            early.truncate(MAX_REMEMBERED - 1);
            early.push_front((Instant::now(), orchestrator, id.to_owned()));
        }
        found
    }

    /// Whether a running task of this orchestrator has this id, or belongs to the job with this id.
    pub(crate) fn knows(&self, orchestrator: OrchestratorIndex, id: &str) -> bool {
        with_id(&lock(&self.tasks), orchestrator, id).next().is_some()
    }

    /// Tells all tasks to stop, those that arrive later included.
    pub(crate) fn cancel_all(&self, cause: &Cause) {
        let tasks = lock(&self.tasks);
        let cause = self.closed.get_or_init(|| cause.clone());
        for task in tasks.values() {
            task.cancel.cancel(cause.clone());
        }
    }

    /// Whether all tasks were told to stop.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get().is_some()
    }

    /// The ids of all tasks.
    pub(crate) fn task_ids(&self) -> Vec<TaskId> {
        lock(&self.tasks).keys().map(|(_, task_id)| task_id.clone()).collect()
    }

    /// The task ids and job ids of one orchestrator's tasks, each once.
    pub(crate) fn ids_from(&self, orchestrator: OrchestratorIndex) -> (Vec<String>, Vec<String>) {
        let tasks = lock(&self.tasks);
        let own = tasks.iter().filter(|((from, _), _)| *from == orchestrator);
        let (mut ids, mut jobs): (Vec<String>, Vec<String>) =
            own.map(|((_, task_id), task)| (task_id.to_string(), task.job_id.to_string())).unzip();
        ids.sort_unstable();
        jobs.sort_unstable();
        jobs.dedup();
        (ids, jobs)
    }
}

/// The tasks of one orchestrator that have this id, or belong to the job with this id.
fn with_id<'a>(
    tasks: &'a RunningTasks,
    orchestrator: OrchestratorIndex,
    id: &'a str,
) -> impl Iterator<Item = &'a RunningTask> {
    let own = tasks.iter().filter(move |((from, _), _)| *from == orchestrator);
    own.filter(move |((_, task_id), task)| task_id.as_str() == id || task.job_id.as_str() == id)
        .map(|(_, task)| task)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: OrchestratorIndex = OrchestratorIndex(0);

    fn task(id: &str) -> TaskId {
        TaskId::received(id).expect("not empty")
    }

    /// Whether the task was told to stop when it arrived.
    fn arrives(running: &Running, orchestrator: OrchestratorIndex, id: &str, job: &str) -> bool {
        let (cancel, job_id) = (Arc::default(), JobId::received(job).expect("not empty"));
        assert!(running.begin(orchestrator, &task(id), &job_id, &cancel));
        running.end(orchestrator, &task(id));
        cancel.cause().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_comes_first_counts_once_for_its_task_and_for_a_while() {
        let running = Running::default();
        for _ in 0..3 {
            assert!(!running.cancel(FIRST, "t"));
        }
        assert!(!arrives(&running, OrchestratorIndex(1), "t", "j"), "of another orchestrator");
        assert!(arrives(&running, FIRST, "t", "j"));
        assert!(!arrives(&running, FIRST, "t", "j"), "once");
        running.cancel(FIRST, "j");
        assert!(!arrives(&running, FIRST, "t", "j"), "the next step of a job may be wanted");
        running.cancel(FIRST, "t");
        tokio::time::advance(REMEMBERED).await;
        assert!(!arrives(&running, FIRST, "t", "j"), "too long ago");
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_commands_the_last_are_remembered() {
        let running = Running::default();
        for number in 0..=MAX_REMEMBERED {
            running.cancel(FIRST, &number.to_string());
        }
        assert!(!arrives(&running, FIRST, "0", "j") && arrives(&running, FIRST, "1", "j"));
        assert_eq!(lock(&running.early).len(), MAX_REMEMBERED - 1);
    }
}
