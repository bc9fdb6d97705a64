//! The steps of jobs that have a blueprint.

use std::sync::Arc;

use rxon::model::ErrorCode;

use super::Jobs;
use crate::blueprint::{Left, Next, Step};
use crate::clock::Now;
use crate::store::{Stage, own_failure};
use crate::view::TaskStatus;

impl Jobs {
    /// Ends a job after its last try, with this status; one with a blueprint goes on as that says for the result.
    pub(super) fn conclude(&mut self, number: u64, result: &str, status: TaskStatus, now: Now) {
        match self.leave(number, result, now) {
            None => self.end(number, status, now),
            Some(Next::Step(step)) => self.begin_step(number, step, now),
            Some(Next::End(status, problem)) => {
                self.store.update(number, |job| {
                    // The failure of a worker says more.
                    if let (None, Some(problem)) = (&job.error, problem) {
                        job.error = Some(Arc::new(own_failure(ErrorCode::Permanent, problem)));
                    }
                });
                self.end(number, status, now);
            }
        }
    }

    /// Leaves the present state of a job; `None` if it has no blueprint.
    fn leave(&mut self, number: u64, result: &str, now: Now) -> Option<Next> {
        let (mut next, blueprints) = (None, &self.settings.blueprints);
        self.store.update(number, |job| {
            let Some(course) = &mut job.course else { return };
            let left = Left {
                status: result,
                data: job.payloads.data.as_deref(),
                attempt: job.attempt,
                is_cancelled: job.cancel_requested,
                at: now.unix,
            };
            next = Some(course.leave(blueprints.get(&course.blueprint.clone()), &left));
        });
        next
    }

    fn begin_step(&mut self, number: u64, step: Step, now: Now) {
        // The job is running, and not in the queue of its task yet: that is chosen by the new name.
        self.store.update(number, |job| job.begin_step(step, now));
        self.store.note_step(number);
        self.move_to(number, Stage::Queued, now);
        self.publish_change(number);
        self.dispatch(number, now);
    }
}
