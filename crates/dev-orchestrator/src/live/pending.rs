//! Changes that the readers were not told yet.

use std::collections::HashSet;
use std::time::Instant;

use rxon::{JobId, TaskId, WorkerId};
use serde::Serialize;

use super::pace::Paced;
use crate::events::Event;

/// The number of changes that wait; when there are more, the readers are given a new snapshot instead.
const MAX_CHANGES: usize = 20_000;

/// The changes since the last call of [`Pending::take`].
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// The tasks that have changed, in the order of their first change.
    tasks: Vec<JobId>,
    known: HashSet<JobId>,
    progress: Paced<JobId, TaskProgress>,
    workers: Paced<WorkerId, ()>,
    gone: Vec<WorkerId>,
    has_too_many: bool,
}

/// The progress of a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct TaskProgress {
    pub(super) job_id: JobId,
    task_id: TaskId,
    progress: f64,
    message: String,
}

/// The changes to be told now.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Whether there were too many to name them.
    pub(super) too_many: bool,
    pub(super) gone: Vec<WorkerId>,
    pub(super) workers: Vec<WorkerId>,
    pub(super) tasks: Vec<JobId>,
    pub(super) progress: Vec<TaskProgress>,
}

impl Pending {
    pub(super) fn note(&mut self, event: &Event, now: Instant) {
        match event {
            Event::TaskChanged { job_id, worker_id, .. } => {
                // The task's state has its progress.
                self.progress.drop_value(job_id);
                if self.known.insert(job_id.clone()) {
                    self.tasks.push(job_id.clone());
                }
                if let Some(worker_id) = worker_id {
                    self.workers.put(worker_id, (), now);
                }
            }
            Event::Progress { job_id, task_id, progress, message } => {
                let value = TaskProgress {
                    job_id: job_id.clone(),
                    task_id: task_id.clone(),
                    progress: *progress,
                    message: message.clone(),
                };
                self.progress.put(job_id, value, now);
            }
            Event::WorkerRegistered { worker_id } | Event::WorkerChanged { worker_id } => {
                self.note_worker(worker_id, now);
            }
            Event::WorkerExpired { worker_id } => {
                self.workers.drop_value(worker_id);
                self.gone.push(worker_id.clone());
            }
            // Those of faults are told at once; the others are not told.
            Event::FaultChanged { .. }
            | Event::FaultJudged { .. }
            | Event::FaultHit { .. }
            | Event::Custom { .. }
            | Event::Missed { .. } => {}
        }
        let changes = self.tasks.len() + self.progress.len() + self.workers.len() + self.gone.len();
        if changes > MAX_CHANGES {
            *self = Self { has_too_many: true, ..Self::default() };
        }
    }

    pub(super) fn note_worker(&mut self, worker_id: &WorkerId, now: Instant) {
        self.gone.retain(|gone| gone != worker_id);
        self.workers.put(worker_id, (), now);
    }

    /// Takes the changes that may be told now.
    pub(super) fn take(&mut self, now: Instant) -> Changes {
        self.known.clear();
        Changes {
            too_many: std::mem::take(&mut self.has_too_many),
            gone: std::mem::take(&mut self.gone),
            workers: self.workers.take_due(now).into_iter().map(|(worker, ())| worker).collect(),
            tasks: std::mem::take(&mut self.tasks),
            progress: self.progress.take_due(now).into_iter().map(|(_, progress)| progress).collect(),
        }
    }

    /// Returns the time at which there is something to be told, without a further change.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.progress.next_due().into_iter().chain(self.workers.next_due()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::pace::PACE;
    use super::*;
    use crate::view::TaskStatus;

    fn job(number: usize) -> JobId {
        JobId::received(format!("job-{number}")).expect("an identifier")
    }

    fn worker() -> WorkerId {
        WorkerId::new("w").expect("an identifier")
    }

    fn changed(number: usize) -> Event {
        Event::TaskChanged {
            job_id: job(number),
            task_id: TaskId::received(format!("task-{number}-1")).expect("an identifier"),
            name: rxon::TaskName::new("x").expect("an identifier"),
            status: TaskStatus::Running,
            attempts: 1,
            worker_id: None,
            error: None,
        }
    }

    fn progress(number: usize, progress: f64) -> Event {
        let task_id = TaskId::received(format!("task-{number}-1")).expect("an identifier");
        Event::Progress { job_id: job(number), task_id, progress, message: String::new() }
    }

    #[test]
    fn several_changes_of_a_task_are_one() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        for number in [2, 1, 2, 2] {
            pending.note(&changed(number), now);
        }
        assert_eq!(pending.take(now).tasks, [job(2), job(1)]);
        assert_eq!(pending.take(now), Changes::default());
        pending.note(&changed(2), now);
        assert_eq!(pending.take(now).tasks, [job(2)]);
    }

    #[test]
    fn progress_waits_for_its_turn_and_is_not_told_after_the_end() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        pending.note(&progress(1, 0.1), now);
        assert_eq!(pending.take(now).progress.len(), 1);
        pending.note(&progress(1, 0.2), now);
        pending.note(&progress(1, 0.3), now);
        assert_eq!(pending.take(now), Changes::default());
        assert_eq!(pending.next_due(), Some(now + PACE));
        let told = pending.take(now + PACE).progress;
        assert!(matches!(&told[..], [TaskProgress { progress: 0.3, .. }]), "{told:?}");
        pending.note(&progress(1, 0.4), now);
        pending.note(&changed(1), now);
        assert!(pending.take(now + 2 * PACE).progress.is_empty());
    }

    #[test]
    fn a_worker_that_has_gone_is_only_gone_until_it_comes_back() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        pending.note_worker(&worker(), now);
        pending.note(&Event::WorkerExpired { worker_id: worker() }, now);
        let changes = pending.take(now);
        assert_eq!((changes.gone, changes.workers), (vec![worker()], vec![]));
        pending.note(&Event::WorkerExpired { worker_id: worker() }, now);
        pending.note(&Event::WorkerRegistered { worker_id: worker() }, now);
        let changes = pending.take(now + PACE);
        assert_eq!((changes.gone, changes.workers), (vec![], vec![worker()]));
    }

    #[test]
    fn too_many_changes_are_not_named() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        for number in 0..=MAX_CHANGES {
            pending.note(&changed(number), now);
        }
        let changes = pending.take(now);
        assert!(changes.too_many && changes.tasks.is_empty());
        assert_eq!(pending.take(now), Changes::default());
    }
}
