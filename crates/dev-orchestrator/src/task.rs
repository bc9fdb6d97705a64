//! Tasks as they are submitted.

use std::sync::Arc;
use std::time::Duration;

use rxon::{JobId, TaskId};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::blueprint::{Blueprint, Course};
use crate::error::Error;
use crate::settings::Settings;

/// The longest timeout of a task: a year.
const MAX_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// A task to submit, or a job of a blueprint. It is checked when it is submitted.
///
/// ```
/// # use avtomatika_dev::NewTask;
/// let task = NewTask::new("resize_image").with_params(serde_json::json!({"width": 640})).with_priority(5.0);
/// ```
#[derive(Debug, Clone)]
pub struct NewTask {
    what: What,
    /// The parameters; `None` stands for `{}`.
    params: Result<Option<Box<RawValue>>, String>,
    priority: f64,
    timeout: Option<Duration>,
}

/// What is submitted, by its name.
#[derive(Debug, Clone)]
enum What {
    Task(String),
    /// A job of this blueprint.
    Job(String),
}

/// The ids of a new task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Submitted {
    /// The id of the job, which stays the same for all tries.
    pub job_id: JobId,
    /// The task id of the first try.
    pub task_id: TaskId,
}

impl Submitted {
    /// Returns the [`job_id`](Submitted::job_id), for callers that need only this.
    pub fn into_job_id(self) -> JobId {
        self.job_id
    }
}

/// The effect of cancelling a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancellation {
    /// The task was waiting, and is cancelled.
    Cancelled,
    /// The task is running. The answer to the worker's next heartbeat asks for its cancellation.
    CancelRequested,
}

/// A task that has been checked.
#[derive(Debug, Clone)]
pub(crate) struct CheckedTask {
    pub(crate) name: rxon::TaskName,
    pub(crate) params: Arc<RawValue>,
    pub(crate) priority: f64,
    pub(crate) timeout: Duration,
    /// The course of a job of a blueprint, of which this is the first step.
    pub(crate) course: Option<Course>,
}

impl NewTask {
    /// A task with this name, with parameters `{}` and priority 0.
    pub fn new(name: impl Into<String>) -> Self {
        Self::of(What::Task(name.into()))
    }

    /// A job of the blueprint with this name, with parameters `{}` and priority 0. Priority and time limit hold for the
    /// task of each step.
    pub fn job(blueprint: impl Into<String>) -> Self {
        Self::of(What::Job(blueprint.into()))
    }

    fn of(what: What) -> Self {
        Self { what, params: Ok(None), priority: 0.0, timeout: None }
    }

    /// Sets the parameters: any value that serialises as a JSON object.
    #[must_use]
    pub fn with_params(mut self, params: impl Serialize) -> Self {
        self.params = serde_json::value::to_raw_value(&params).map(Some).map_err(|error| error.to_string());
        self
    }

    /// Sets the parameters as JSON text, which is passed on unchanged.
    #[must_use]
    pub fn with_raw_params(mut self, params: Box<RawValue>) -> Self {
        self.params = Ok(Some(params));
        self
    }

    /// Sets the priority. Tasks with a higher priority go first; equal ones go in the order of submission. Default: 0.
    #[must_use]
    pub fn with_priority(mut self, priority: f64) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the time limit of each try. Default: [`Settings::with_task_timeout`](crate::Settings::with_task_timeout).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(crate) fn check(self, settings: &Settings) -> Result<CheckedTask, Error> {
        let params =
            self.params.map_err(|error| Error::InvalidTask(format!("`params` are not JSON: {error}")))?;
        let params = params.unwrap_or_else(|| RawValue::from_string("{}".to_owned()).expect("`{}` is JSON"));
        check_params(&params)?;
        if !self.priority.is_finite() {
            return Err(Error::InvalidTask(format!(
                "`priority` is `{}`, expected a finite number",
                self.priority
            )));
        }
        let timeout = self.timeout.unwrap_or(settings.task_timeout).min(MAX_TIMEOUT);
        if timeout.is_zero() {
            return Err(Error::InvalidTask("`timeout` is 0, expected a time above 0".to_owned()));
        }
        let priority = self.priority;
        match self.what {
            What::Task(name) => {
                let name = rxon::TaskName::new(&name)
                    .map_err(|error| Error::InvalidTask(format!("`type` of the task: {error}")))?;
                Ok(CheckedTask { name, params: params.into(), priority, timeout, course: None })
            }
            What::Job(name) => {
                let blueprint = blueprint(settings, &name)?;
                CheckedTask::first_step(blueprint, params.into(), priority, timeout)
            }
        }
    }
}

impl CheckedTask {
    /// Returns the first step of a job.
    pub(crate) fn first_step(
        blueprint: &Blueprint,
        params: Arc<RawValue>,
        priority: f64,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let (course, step) = Course::begin(blueprint, params).map_err(Error::InvalidTask)?;
        Ok(Self { name: step.name, params: step.params, priority, timeout, course: Some(course) })
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.params.get().len() + self.course.as_ref().map_or(0, Course::weight)
    }
}

/// Returns a blueprint by its name.
pub(crate) fn blueprint<'a>(settings: &'a Settings, name: &str) -> Result<&'a Blueprint, Error> {
    settings.blueprints.get(name).ok_or_else(|| {
        let known: Vec<String> = settings.blueprints.keys().map(|name| format!("`{name}`")).collect();
        let name = crate::text::cut(name, 200);
        Error::InvalidTask(if known.is_empty() {
            format!("`job` is `{name}`, but the server has no blueprints: start it with `--blueprint FILE`")
        } else {
            format!(
                "`job` is `{name}`, but the server has no such blueprint, expected {}",
                known.join(" or ")
            )
        })
    })
}

/// Checks that parameters are an object.
pub(crate) fn check_params(params: &RawValue) -> Result<(), Error> {
    if params.get().starts_with('{') {
        return Ok(());
    }
    let shown = crate::text::cut(params.get(), 80);
    Err(Error::InvalidTask(format!("`params` is `{shown}`, expected an object")))
}
