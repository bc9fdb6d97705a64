//! Jobs and workers as they are handed out and shown.

use rxon::WorkerId;

use super::{Assignment, Job, Stage, Store, Worker};
use crate::blueprint::Course;
use crate::clock::Now;
use crate::view::{JobView, SkillView, Slots, StepView, TaskView, TryView, WorkerView};

impl Store {
    pub(crate) fn assignment(&self, job: &Job, deadline: f64) -> Assignment {
        Assignment {
            number: job.number,
            attempt: job.attempt,
            job_id: self.names.job(job.number),
            task_id: self.names.task(job.number, job.attempt),
            name: job.name.clone(),
            params: job.params.clone(),
            priority: job.priority,
            deadline,
        }
    }

    pub(crate) fn view(&self, job: &Job) -> TaskView {
        let tries = job.tries().iter().map(|earlier| TryView {
            task_id: self.names.task(job.number, earlier.attempt),
            worker_id: earlier.worker_id.clone(),
            started_at: earlier.started_at,
            ended_at: earlier.ended_at,
            status: "failure",
            error: earlier.error.clone(),
        });
        TaskView {
            job_id: self.names.job(job.number),
            task_id: self.names.task(job.number, job.attempt),
            name: job.name.clone(),
            status: job.stage.status(),
            result_status: job.result_status.clone(),
            priority: job.priority,
            timeout: job.timeout.as_secs_f64(),
            attempts: job.attempts,
            cancel_requested: job.cancel_requested && !job.stage.status().is_ended(),
            progress: job.progress,
            progress_message: job.progress_message.clone(),
            worker_id: job.worker_id.clone(),
            params: Some(job.params.clone()),
            data: job.payloads.data.clone(),
            metadata: job.payloads.metadata.clone(),
            costs: job.payloads.costs.clone(),
            error: job.error.clone(),
            tries: Some(tries.collect()),
            job: job.course.as_ref().map(|course| self.job_view(job, course)),
            of: job.of.map(|number| self.names.job(number)),
            retried_as: job.retries().iter().map(|number| self.names.job(*number)).collect(),
            submitted_at: job.submitted_at,
            started_at: job.started_at,
            deadline: match job.stage {
                Stage::Running { deadline, .. } => Some(deadline),
                _ => None,
            },
            retry_at: match job.stage {
                Stage::Resting { retry_at, .. } => Some(retry_at),
                _ => None,
            },
            ended_at: job.ended_at,
        }
    }

    fn job_view(&self, job: &Job, course: &Course) -> JobView {
        let path = course.path.iter().enumerate().map(|(position, visit)| {
            let is_last = position + 1 == course.path.len();
            let attempt = if is_last { job.attempt } else { visit.attempt };
            let status = visit.status.clone();
            StepView {
                state: visit.state.clone(),
                task_id: self.names.task(job.number, attempt),
                status: status.unwrap_or_else(|| job.stage.status().as_str().to_owned()),
                at: visit.at,
            }
        });
        JobView {
            name: course.blueprint.clone(),
            state: course.state.clone(),
            path: path.collect(),
            params: Some(course.params.clone()),
        }
    }

    pub(crate) fn worker_view(
        &self,
        worker_id: &WorkerId,
        worker: &Worker,
        polls: usize,
        now: Now,
    ) -> WorkerView {
        let equipment = &worker.equipment;
        WorkerView {
            worker_id: worker_id.clone(),
            worker_type: worker.label.clone(),
            status: worker.status.clone(),
            tasks: worker.tasks.iter().cloned().collect(),
            accepts: worker.accepts().cloned().collect(),
            running: worker.running.iter().map(|number| self.names.job(*number)).collect(),
            slots: Slots { used: worker.running.len(), total: equipment.slots },
            hot: worker.hot(),
            open_polls: polls,
            last_heard: now.instant.saturating_duration_since(worker.last_contact.instant).as_secs_f64(),
            last_heartbeat_at: worker.last_heartbeat_at,
            registered_at: worker.registered_at,
            software: equipment.software.clone(),
            machine: equipment.machine.clone(),
            websocket: self.websockets.contains(worker_id),
            protocol: equipment.protocol.clone(),
        }
    }

    /// Returns a worker that was given up as it was then, for an hour; its id may belong to a new one since.
    pub(crate) fn gone_view(&self, worker_id: &WorkerId, now: Now) -> Option<WorkerView> {
        let (since, worker) = self.gone.get(worker_id)?;
        let passed = now.instant.saturating_duration_since(since.instant);
        if passed > super::REMEMBERED_FOR {
            return None;
        }
        let view = self.worker_view(worker_id, worker, 0, now);
        Some(WorkerView { status: "gone".to_owned(), accepts: Vec::new(), websocket: false, ..view })
    }

    /// Returns the tasks that workers have registered since the start, in order of their names.
    pub(crate) fn skills(&self) -> Vec<SkillView> {
        self.skills.views(self.workers.iter())
    }
}
