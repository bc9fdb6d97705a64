//! The outcome of a task.

mod error;
mod json;

use std::convert::Infallible;

use rxon::model::ErrorCode;
use rxon::text::excerpt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

#[cfg(feature = "event-schemas")]
pub(crate) use self::error::FailureExtras;
pub use self::error::{BoxError, TaskError};
pub(crate) use self::json::optional_object;
use self::json::{to_json, with_field};

/// The outcome of a task.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[doc(alias("ack", "result"))]
pub enum Outcome {
    /// The task is done. The orchestrator takes the status as a transition. Made by [`Outcome::data`] and the other
    /// constructors, which check the data.
    #[non_exhaustive]
    Completed {
        /// `success`, or a status of your own.
        status: String,
        /// A JSON object, sent byte by byte as it is.
        data: Option<Box<RawValue>>,
        /// An error that is sent beside the status.
        error: Option<Box<TaskError>>,
        /// The metadata of the result, a JSON object.
        metadata: Option<Box<RawValue>>,
        /// Costs besides the run time, a JSON object.
        costs: Option<Box<RawValue>>,
    },
    /// The task failed.
    Failed(TaskError),
    /// The task was told to stop, and did.
    Cancelled {
        /// The reason, for people.
        reason: String,
    },
}

impl Outcome {
    const SUCCESS: &'static str = "success";

    /// The task is done, without data.
    #[doc(alias("ack", "complete"))]
    pub fn success() -> Self {
        Self::completed(Self::SUCCESS.to_owned(), None)
    }

    /// The task is done, with data: any value that serialises to a JSON object. Any other value fails the task with
    /// `PERMANENT_ERROR`.
    pub fn data(data: impl Serialize) -> Self {
        Self::status(Self::SUCCESS, data)
    }

    /// The task is done with a status of your own, which the orchestrator looks up in the blueprint's transitions. `()`
    /// means no data.
    ///
    /// Do not use `failure` or `cancelled`: orchestrators give them their usual meaning. An empty status fails the task
    /// with `PERMANENT_ERROR`.
    pub fn status(status: impl Into<String>, data: impl Serialize) -> Self {
        let status = status.into();
        if status.is_empty() {
            return Self::Failed(TaskError::permanent("the handler's status is empty"));
        }
        match object(&data) {
            Ok(data) => Self::completed(status, data),
            Err(problem) => Self::Failed(TaskError::permanent(problem)),
        }
    }

    fn completed(status: String, data: Option<Box<RawValue>>) -> Self {
        Self::Completed { status, data, error: None, metadata: None, costs: None }
    }

    /// The task failed, with any code.
    pub fn failure(code: impl Into<ErrorCode>, message: impl std::fmt::Display) -> Self {
        Self::Failed(TaskError::new(code, message))
    }

    /// The status as it is sent: `success` or a status of your own, `failure`, or `cancelled`.
    pub fn as_status(&self) -> &str {
        match self {
            Self::Completed { status, .. } => status,
            Self::Failed(_) => "failure",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Returns true if the task is done, with any status.
    pub fn is_completed(&self) -> bool {
        matches!(self, Self::Completed { .. })
    }

    /// The error of a task that failed.
    pub fn error(&self) -> Option<&TaskError> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Completed { .. } | Self::Cancelled { .. } => None,
        }
    }

    /// The data as JSON text: an object, byte by byte as it is sent. `None` unless the task is done and has data.
    pub fn data_text(&self) -> Option<&str> {
        match self {
            Self::Completed { data, .. } => data.as_deref().map(RawValue::get),
            Self::Failed(_) | Self::Cancelled { .. } => None,
        }
    }

    /// Deserialises the data; missing data counts as `{}`. Numbers that do not fit lose digits if they are read as a
    /// `Value`.
    ///
    /// # Errors
    /// If the data is not a `T`.
    pub fn data_as<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.data_text().unwrap_or("{}"))
    }

    /// Replaces the data, if the task is done: by any value that serialises to a JSON object, or by `()` for no data. Any
    /// other value fails the task with `PERMANENT_ERROR`.
    pub fn with_data(mut self, data: impl Serialize) -> Self {
        let Self::Completed { data: before, .. } = &mut self else { return self };
        match object(&data) {
            Ok(data) => *before = data,
            Err(problem) => return Self::Failed(TaskError::permanent(problem)),
        }
        self
    }

    /// Adds a field to the data, or replaces its value, if the task is done. All other fields stay the same, byte by
    /// byte. A value that is not JSON fails the task with `PERMANENT_ERROR`.
    ///
    /// ```
    /// use avtomatika_worker::Outcome;
    ///
    /// let outcome = Outcome::data(serde_json::json!({"mean": 1e-7})).with_field("seen_by", ["m1"]);
    /// assert_eq!(outcome.data_text(), Some(r#"{"mean":1e-7,"seen_by":["m1"]}"#));
    /// ```
    pub fn with_field(mut self, name: &str, value: impl Serialize) -> Self {
        let Self::Completed { data, .. } = &mut self else { return self };
        match to_json(&value) {
            Ok(value) => *data = Some(with_field(data.as_deref(), name, &value)),
            Err(problem) => {
                let problem = format!("the value of `{name}` is not JSON: {problem}");
                return Self::Failed(TaskError::permanent(problem));
            }
        }
        self
    }

    /// Adds an error that is sent beside the status, if the task is done: the orchestrator continues as the status says.
    ///
    /// ```
    /// use avtomatika_worker::{Outcome, TaskError};
    ///
    /// let _ = Outcome::status("needs_review", ()).with_error(TaskError::new("BLURRED", "the picture is not sharp"));
    /// ```
    pub fn with_error(mut self, beside: TaskError) -> Self {
        if let Self::Completed { error, .. } = &mut self {
            *error = Some(Box::new(beside));
        }
        self
    }

    /// Adds metadata to the result, unless the task was told to stop: any value that serialises to a JSON object. Any
    /// other value is left out, with a warning; an empty object counts as none. A failure without metadata of its own has
    /// the metadata of its task.
    pub fn with_metadata(mut self, metadata: impl Serialize) -> Self {
        let metadata = optional_object("the result's metadata", &metadata);
        match &mut self {
            Self::Completed { metadata: before, .. } => *before = metadata,
            Self::Failed(error) => error.extras().metadata = metadata,
            Self::Cancelled { .. } => {}
        }
        self
    }

    /// Adds costs to the result, unless the task was told to stop: any value that serialises to a JSON object, such as
    /// `{"tokens": 7}`. Any other value is left out, with a warning. The run time is sent as `execution_time_seconds`,
    /// unless there is a cost of that name; for a failure only if it has costs.
    pub fn with_costs(mut self, costs: impl Serialize) -> Self {
        let costs = optional_object("the result's costs", &costs);
        match &mut self {
            Self::Completed { costs: before, .. } => *before = costs,
            Self::Failed(error) => error.extras().costs = costs,
            Self::Cancelled { .. } => {}
        }
        self
    }

    /// The metadata of the result as JSON text, an object.
    pub fn metadata_text(&self) -> Option<&str> {
        match self {
            Self::Completed { metadata, .. } => metadata.as_deref(),
            Self::Failed(error) => error.extras.as_ref().and_then(|extras| extras.metadata.as_deref()),
            Self::Cancelled { .. } => None,
        }
        .map(RawValue::get)
    }

    /// The costs besides the run time as JSON text, an object.
    pub fn costs_text(&self) -> Option<&str> {
        match self {
            Self::Completed { costs, .. } => costs.as_deref(),
            Self::Failed(error) => error.extras.as_ref().and_then(|extras| extras.costs.as_deref()),
            Self::Cancelled { .. } => None,
        }
        .map(RawValue::get)
    }

    /// The outcome in one word, for logs and metrics: the status, or the code of a failure.
    pub fn label(&self) -> &str {
        self.error().map_or(self.as_status(), |error| error.code().as_str())
    }
}

fn object(data: &impl Serialize) -> Result<Option<Box<RawValue>>, String> {
    let raw = to_json(data).map_err(|problem| format!("the handler's data is not JSON: {problem}"))?;
    let kind = match raw.get().as_bytes()[0] {
        b'{' => return Ok(Some(raw)),
        b'n' => return Ok(None),
        b'[' => "a list",
        b'"' => "a string",
        b't' | b'f' => "a boolean",
        _ => "a number",
    };
    let shown = excerpt(raw.get());
    Err(format!("the handler's data is {kind}, `{shown}`, expected a JSON object or nothing"))
}

/// A value that a handler can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a task handler",
    note = "return `()`, `Json<T>`, `Outcome`, or `Result<T, TaskError>` of one of these"
)]
pub trait IntoOutcome {
    /// Converts the value into the outcome of the task.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Outcome::success()
    }
}

impl IntoOutcome for TaskError {
    fn into_outcome(self) -> Outcome {
        Outcome::Failed(self)
    }
}

impl<T: IntoOutcome, E: Into<TaskError>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Outcome {
        match self {
            Ok(value) => value.into_outcome(),
            Err(error) => Outcome::Failed(error.into()),
        }
    }
}

/// Success with data: any value that serialises to a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoOutcome for Json<T> {
    fn into_outcome(self) -> Outcome {
        Outcome::data(self.0)
    }
}

impl IntoOutcome for Infallible {
    fn into_outcome(self) -> Outcome {
        match self {}
    }
}

/// The outcome of a task whose handler panicked: transient, since another try may succeed.
pub(crate) fn panicked(message: &str) -> Outcome {
    Outcome::Failed(
        TaskError::transient(format!("the handler panicked: {message}"))
            .with_details(serde_json::json!({"type": "panic"})),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_an_object_or_nothing() {
        let Outcome::Completed { status, data, .. } = Json(serde_json::json!({"a": 0.1})).into_outcome()
        else {
            panic!("not completed")
        };
        assert_eq!((status.as_str(), data.as_deref().map(RawValue::get)), ("success", Some(r#"{"a":0.1}"#)));
        assert!(matches!(Json(()).into_outcome(), Outcome::Completed { data: None, .. }));
        for (value, named) in [
            (serde_json::json!([1]), "a list"),
            (serde_json::json!("x"), "a string"),
            (serde_json::json!(1), "a number"),
            (serde_json::json!(true), "a boolean"),
        ] {
            let Outcome::Failed(error) = Json(value).into_outcome() else { panic!("not failed: {named}") };
            assert_eq!(error.code(), &ErrorCode::Permanent);
            assert!(error.message().contains(named), "{error}");
        }
    }

    #[test]
    fn what_wraps_an_outcome_can_read_it() {
        let done = Outcome::status("mine", serde_json::json!({"n": 1}));
        let failed = Outcome::failure("MY_CODE", "no");
        let cancelled = Outcome::Cancelled { reason: "told to".to_owned() };
        assert_eq!([&done, &failed, &cancelled].map(Outcome::as_status), ["mine", "failure", "cancelled"]);
        assert_eq!([&done, &failed, &cancelled].map(Outcome::is_completed), [true, false, false]);
        assert_eq!([&done, &failed, &cancelled].map(Outcome::data_text), [Some(r#"{"n":1}"#), None, None]);
        assert_eq!(failed.error().map(TaskError::message), Some("no"));
        assert!(done.error().is_none() && cancelled.error().is_none());
        let read: std::collections::BTreeMap<String, u8> = done.data_as().expect("numbers");
        assert_eq!(read["n"], 1);
        assert!(done.data_as::<Vec<u8>>().is_err());
        let none: serde_json::Value = Outcome::success().data_as().expect("an object");
        assert_eq!(none, serde_json::json!({}));
    }

    #[test]
    fn what_wraps_an_outcome_can_change_its_data_only() {
        let done = || Outcome::status("mine", serde_json::json!({"n": 1}));
        let other = done().with_data(serde_json::json!({"m": 2}));
        assert_eq!((other.as_status(), other.data_text()), ("mine", Some(r#"{"m":2}"#)));
        assert_eq!(done().with_data(()).data_text(), None);
        assert_eq!(done().with_data([1]).label(), "PERMANENT_ERROR");
        assert_eq!(done().with_field("m", 2).data_text(), Some(r#"{"n":1,"m":2}"#));
        assert_eq!(done().with_field("m", f64::NAN).label(), "PERMANENT_ERROR");
        assert_eq!(Outcome::success().with_field("m", ()).data_text(), Some(r#"{"m":null}"#));
        for other in [Outcome::failure("MY_CODE", "no"), Outcome::Cancelled { reason: String::new() }] {
            let label = other.label().to_owned();
            assert_eq!(other.with_field("m", 1).with_data(serde_json::json!({})).label(), label);
        }
    }

    #[test]
    fn a_status_and_a_failure_keep_their_metadata_and_costs() {
        let done = || Outcome::status("mine", serde_json::json!({"n": 1}));
        let failed = || Outcome::Failed(TaskError::permanent("no").with_data(serde_json::json!({"d": 1})));
        for outcome in [done(), failed()] {
            let label = outcome.label().to_owned();
            let outcome = outcome
                .with_metadata(serde_json::json!({"m": 1}))
                .with_costs([("gpu", 2)].into_iter().collect::<std::collections::BTreeMap<_, _>>());
            let outcome = outcome.with_data(serde_json::json!({"other": 1})).with_field("n", 2);
            assert_eq!(outcome.label(), label);
            assert_eq!(outcome.metadata_text(), Some(r#"{"m":1}"#));
            assert_eq!(outcome.costs_text(), Some(r#"{"gpu":2}"#));
            let bare = outcome.with_metadata([1]).with_costs(f64::NAN);
            assert_eq!((bare.metadata_text(), bare.costs_text(), bare.label()), (None, None, label.as_str()));
        }
        assert_eq!(failed().error().and_then(TaskError::data), Some(r#"{"d":1}"#));
        let beside = done().with_error(TaskError::new("E", "beside"));
        assert_eq!((beside.label(), beside.error().is_none()), ("mine", true));
        let stopped = Outcome::Cancelled { reason: String::new() }.with_metadata(serde_json::json!({"m": 1}));
        assert_eq!(stopped.with_costs(serde_json::json!({"c": 1})).costs_text(), None);
    }

    #[test]
    fn what_is_not_json_is_a_permanent_error() {
        let keys = std::collections::BTreeMap::from([(vec![1], 1)]);
        assert_eq!(Json(keys).into_outcome().label(), "PERMANENT_ERROR");
        let no_number = std::collections::BTreeMap::from([("mean", f64::NAN)]);
        let Outcome::Failed(error) = Json(no_number).into_outcome() else { panic!("not failed") };
        assert_eq!(error.to_string(), "PERMANENT_ERROR: the handler's data is not JSON: at `mean`: NaN");
    }
}
