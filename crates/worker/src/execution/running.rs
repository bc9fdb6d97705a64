//! The tasks that were accepted and have not ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rxon::{JobId, TaskId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::execution::cancel::{CancelHandle, Cause};
use crate::threads::lock;

/// The tasks that were accepted and have not ended, each with the place of its orchestrator: ids are an orchestrator's
/// own, and two may give the same.
#[derive(Debug, Default)]
pub(crate) struct Running {
    tasks: Mutex<HashMap<(usize, TaskId), RunningTask>>,
    early: Mutex<Early>,
    /// Set once all are told to stop: those that still come are told at once.
    closed: OnceLock<Cause>,
    ended: Notify,
}

#[derive(Debug, Clone)]
struct RunningTask {
    job_id: JobId,
    cancel: Arc<CancelHandle>,
}

/// A command that came before its task is remembered for this long.
const REMEMBERED: Duration = Duration::from_secs(600);

/// No more commands than this are remembered.
const MOST_REMEMBERED: usize = 1000;

/// Commands to cancel tasks that are not here: orchestrators hand out what was cancelled while it waited in their queue
/// all the same. By task only: other tasks of a job that was cancelled may be wanted.
#[derive(Debug, Default)]
struct Early(VecDeque<(Instant, usize, String)>);

impl Early {
    fn remember(&mut self, who: usize, id: &str, now: Instant) {
        // Heartbeats may be answered with the same again and again.
        self.0.retain(|(_, from, known)| *from != who || known != id);
        self.0.truncate(MOST_REMEMBERED - 1);
        self.0.push_front((now, who, id.to_owned()));
    }

    fn take(&mut self, who: usize, task_id: &TaskId, now: Instant) -> bool {
        if self.0.is_empty() {
            return false;
        }
        self.0.retain(|(at, _, _)| now.duration_since(*at) < REMEMBERED);
        let found = self.0.iter().position(|(_, from, id)| *from == who && id == task_id.as_str());
        found.is_some_and(|place| self.0.remove(place).is_some())
    }
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
        if lock(&self.early).take(who, task_id, Instant::now()) {
            cancel.cancel(Cause::Command);
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

    /// Tells one orchestrator's task to stop; `id` may be the task's or its job's. False when there is none: the task
    /// with this id is told when it arrives, if it does soon.
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
        if !found {
            lock(&self.early).remember(who, id, Instant::now());
        }
        found
    }

    /// Whether one of this orchestrator's tasks has this id, or is of the job with this id.
    pub(crate) fn knows(&self, who: usize, id: &str) -> bool {
        let tasks = lock(&self.tasks);
        let is_meant = |((from, task_id), task): (&(usize, TaskId), &RunningTask)| {
            *from == who && (task_id.as_str() == id || task.job_id.as_str() == id)
        };
        tasks.iter().any(is_meant)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str) -> TaskId {
        TaskId::received(id).expect("not empty")
    }

    /// Whether the task was told to stop when it arrived.
    fn arrives(running: &Running, who: usize, id: &str, job: &str) -> bool {
        let (cancel, job_id) = (Arc::default(), JobId::received(job).expect("not empty"));
        assert!(running.begin(who, &task(id), &job_id, &cancel));
        running.end(who, &task(id));
        cancel.cause().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_comes_first_counts_once_for_its_task_and_for_a_while() {
        let running = Running::default();
        for _ in 0..3 {
            assert!(!running.cancel(0, "t", &Cause::Command));
        }
        assert!(!arrives(&running, 1, "t", "j"), "of another orchestrator");
        assert!(arrives(&running, 0, "t", "j"));
        assert!(!arrives(&running, 0, "t", "j"), "once");
        running.cancel(0, "j", &Cause::Command);
        assert!(!arrives(&running, 0, "t", "j"), "the next step of a job may be wanted");
        running.cancel(0, "t", &Cause::Command);
        tokio::time::advance(REMEMBERED).await;
        assert!(!arrives(&running, 0, "t", "j"), "too long ago");
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_commands_the_last_are_remembered() {
        let running = Running::default();
        for number in 0..=MOST_REMEMBERED {
            running.cancel(0, &number.to_string(), &Cause::Command);
        }
        assert!(!arrives(&running, 0, "0", "j") && arrives(&running, 0, "1", "j"));
        assert_eq!(lock(&running.early).0.len(), MOST_REMEMBERED - 1);
    }
}
