//! The way of one job through its blueprint.

use std::sync::Arc;

use rxon::TaskName;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Blueprint, FAILED, FINISHED, data};
use crate::view::TaskStatus;

/// The number of steps of a job: a state machine may run in circles.
const MAX_STEPS: usize = 100;

/// The largest data of a job, in bytes.
const MAX_DATA: usize = 16 * 1024 * 1024;

/// Where a job is in its blueprint, and how it came there. It names the blueprint, and holds nothing of it. In the
/// database the parameters and the data have rows of their own: they are large, and seldom change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Course {
    /// The name of the blueprint.
    pub(crate) blueprint: String,
    /// The parameters that the job was submitted with.
    #[serde(skip, default = "null")]
    pub(crate) params: Arc<RawValue>,
    /// The parameters, with the data of each step laid over them.
    #[serde(skip, default = "null")]
    data: Arc<RawValue>,
    /// The present state, or the end state.
    pub(crate) state: String,
    /// The first try of the present state.
    first_attempt: u32,
    /// The steps, the present or last one at the end.
    pub(crate) path: Vec<Visit>,
}

/// A state that the job has come to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Visit {
    pub(crate) state: String,
    /// The last try of its task.
    pub(crate) attempt: u32,
    /// The status in which its task ended.
    pub(crate) status: Option<String>,
    /// The time at which the job came to it, in seconds since 1970.
    pub(crate) at: f64,
}

/// The task of a step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: TaskName,
    pub(crate) params: Arc<RawValue>,
}

/// The end of a step.
#[derive(Debug)]
pub(crate) struct Left<'a> {
    /// The status of the result.
    pub(crate) status: &'a str,
    pub(crate) data: Option<&'a RawValue>,
    pub(crate) attempt: u32,
    /// Whether somebody has asked for the cancellation of the job.
    pub(crate) is_cancelled: bool,
    /// The time, in seconds since 1970.
    pub(crate) at: f64,
}

/// What follows a step.
#[derive(Debug)]
pub(crate) enum Next {
    /// Another step.
    Step(Step),
    /// The end of the job; the reason, if the blueprint does not give it.
    End(TaskStatus, Option<String>),
}

impl Course {
    /// Returns the course of a new job, and its first step; or what is wrong with the parameters.
    pub(crate) fn begin(blueprint: &Blueprint, params: Arc<RawValue>) -> Result<(Self, Step), String> {
        let step = blueprint.step(&blueprint.start, &params)?;
        let course = Self {
            blueprint: blueprint.name().to_owned(),
            data: params.clone(),
            params,
            state: blueprint.start.clone(),
            first_attempt: 1,
            path: Vec::new(),
        };
        Ok((course, step))
    }

    /// Comes to the present state with the first try of its task.
    pub(crate) fn arrive(&mut self, attempt: u32, at: f64) {
        self.first_attempt = attempt;
        self.path.push(Visit { state: self.state.clone(), attempt, status: None, at });
    }

    /// Returns the number of a try within its state, beginning with 1.
    pub(crate) fn tries(&self, attempt: u32) -> u32 {
        attempt.saturating_sub(self.first_attempt).saturating_add(1)
    }

    /// Leaves the present state; `blueprint` is `None` if this server does not have it.
    pub(crate) fn leave(&mut self, blueprint: Option<&Blueprint>, left: &Left<'_>) -> Next {
        if let Some(last) = self.path.last_mut() {
            last.status = Some(left.status.to_owned());
            last.attempt = left.attempt;
        }
        match self.follow(blueprint, left) {
            Ok(next) => next,
            Err(problem) => {
                FAILED.clone_into(&mut self.state);
                Next::End(TaskStatus::Failed, Some(problem))
            }
        }
    }

    fn follow(&mut self, blueprint: Option<&Blueprint>, left: &Left<'_>) -> Result<Next, String> {
        let missing = || format!("this server does not have the blueprint `{}`", self.blueprint);
        let blueprint = blueprint.ok_or_else(missing)?;
        let is_cancellation = left.status == "cancelled";
        let next = match blueprint.after(&self.state, left.status) {
            Some(next) => next,
            None if is_cancellation => return Ok(Next::End(TaskStatus::Cancelled, None)),
            None => {
                let problem = format!("`states.{}.on` has no entry for `{}`", self.state, left.status);
                return Err(problem);
            }
        };
        if let Some(status) = end(next) {
            next.clone_into(&mut self.state);
            return Ok(Next::End(status, None));
        }
        if left.is_cancelled && !is_cancellation {
            return Ok(Next::End(TaskStatus::Cancelled, None));
        }
        if self.path.len() >= MAX_STEPS {
            return Err(format!("the job has run {MAX_STEPS} steps, which is the limit"));
        }
        self.add(left.data)?;
        let step = blueprint.step(next, &self.data)?;
        next.clone_into(&mut self.state);
        self.arrive(left.attempt.saturating_add(1), left.at);
        Ok(Next::Step(step))
    }

    /// Lays the data of a step over the job's.
    fn add(&mut self, data: Option<&RawValue>) -> Result<(), String> {
        let Some(data) = data else { return Ok(()) };
        let unreadable = || format!("the data of the state `{}` cannot be read", self.state);
        let merged = data::merged(&self.data, data).ok_or_else(unreadable)?;
        if merged.get().len() > MAX_DATA {
            return Err(format!("the data of the job have more than {MAX_DATA} bytes, which is the limit"));
        }
        self.data = merged.into();
        Ok(())
    }

    /// The data, if they are others than the parameters.
    pub(crate) fn own_data(&self) -> Option<&Arc<RawValue>> {
        Some(&self.data).filter(|data| !Arc::ptr_eq(data, &self.params))
    }

    /// Puts the parameters, and the data that are others, back after the course was read.
    pub(crate) fn restore(&mut self, params: Arc<RawValue>, data: Option<Arc<RawValue>>) {
        self.data = data.unwrap_or_else(|| params.clone());
        self.params = params;
    }

    /// The memory of the course, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let visit = |visit: &Visit| {
            size_of::<Visit>() + visit.state.len() + visit.status.as_ref().map_or(0, String::len)
        };
        let path: usize = self.path.iter().map(visit).sum();
        let data = self.own_data().map_or(0, |data| data.get().len());
        size_of::<Self>() + self.params.get().len() + data + path
    }
}

/// Stands for JSON until its row is read.
fn null() -> Arc<RawValue> {
    RawValue::NULL.to_owned().into()
}

/// Returns the status of a job in an end state.
fn end(state: &str) -> Option<TaskStatus> {
    match state {
        FINISHED => Some(TaskStatus::Finished),
        FAILED => Some(TaskStatus::Failed),
        _ => None,
    }
}
