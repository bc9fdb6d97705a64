//! What is submitted.

use std::time::Duration;

use rxon::{JobId, TaskId};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::Error;

/// The longest time a task may be given: a year.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// A task to be submitted. What is wrong with it is said when it is.
///
/// ```
/// # use avtomatika_dev::NewTask;
/// let task = NewTask::new("resize_image").with_params(serde_json::json!({"width": 640})).with_priority(5.0);
/// ```
#[derive(Debug, Clone)]
pub struct NewTask {
    name: String,
    /// `None` is `{}`.
    params: Result<Option<Box<RawValue>>, String>,
    priority: f64,
    timeout: Option<Duration>,
}

/// What a new task is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Submitted {
    /// The handle: stays the same however often the task is tried.
    pub job_id: JobId,
    /// The id of the first try.
    pub task_id: TaskId,
}

/// What became of the wish to cancel a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancellation {
    /// It waited, and is cancelled.
    Cancelled,
    /// It runs. Its worker is told with the answer to its next heartbeat.
    CancelRequested,
}

/// A task of which everything has been checked.
#[derive(Debug)]
pub(crate) struct CheckedTask {
    pub(crate) name: rxon::TaskName,
    pub(crate) params: Box<RawValue>,
    pub(crate) priority: f64,
    pub(crate) timeout: Duration,
}

impl NewTask {
    /// A task of that name, with parameters `{}` and priority 0.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), params: Ok(None), priority: 0.0, timeout: None }
    }

    /// The parameters: anything that serialises as a JSON object.
    #[must_use]
    pub fn with_params(mut self, params: impl Serialize) -> Self {
        self.params = serde_json::value::to_raw_value(&params).map(Some).map_err(|error| error.to_string());
        self
    }

    /// The parameters as JSON text, handed on byte by byte.
    #[must_use]
    pub fn with_raw_params(mut self, params: Box<RawValue>) -> Self {
        self.params = Ok(Some(params));
        self
    }

    /// Higher ones go first; equal ones in the order they came. Default: 0.
    #[must_use]
    pub fn with_priority(mut self, priority: f64) -> Self {
        self.priority = priority;
        self
    }

    /// How long one try may take. Default: [`Settings::with_task_timeout`](crate::Settings::with_task_timeout).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(crate) fn check(self, default_timeout: Duration) -> Result<CheckedTask, Error> {
        let name = rxon::TaskName::new(&self.name)
            .map_err(|error| Error::InvalidTask(format!("`type` of the task: {error}")))?;
        let params =
            self.params.map_err(|error| Error::InvalidTask(format!("`params` are not JSON: {error}")))?;
        let params = params.unwrap_or_else(|| RawValue::from_string("{}".to_owned()).expect("`{}` is JSON"));
        if !params.get().starts_with('{') {
            return Err(Error::InvalidTask(format!(
                "`params` is `{}`, expected an object",
                crate::text::cut(params.get(), 80)
            )));
        }
        if !self.priority.is_finite() {
            return Err(Error::InvalidTask(format!(
                "`priority` is `{}`, expected a finite number",
                self.priority
            )));
        }
        let timeout = self.timeout.unwrap_or(default_timeout).min(LONGEST_TIMEOUT);
        if timeout.is_zero() {
            return Err(Error::InvalidTask("`timeout` is 0, expected a time above it".to_owned()));
        }
        Ok(CheckedTask { name, params, priority: self.priority, timeout })
    }
}
