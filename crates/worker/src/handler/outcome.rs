//! What a handler ends in.

use rxon::model::ErrorCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::TaskError;
use super::json::to_json;

/// How a task ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outcome {
    /// It is done. The orchestrator takes the status as a transition.
    Completed {
        /// `success`, or one of the user's own.
        status: String,
        /// A JSON object, passed on byte by byte.
        data: Option<Box<RawValue>>,
    },
    /// It failed.
    Failed(TaskError),
    /// It was told to stop, and did.
    Cancelled {
        /// For people.
        reason: String,
    },
}

impl Outcome {
    const SUCCESS: &'static str = "success";

    /// Done, with nothing to tell.
    pub fn success() -> Self {
        Self::Completed { status: Self::SUCCESS.to_owned(), data: None }
    }

    /// Done, with data: anything that serialises to a JSON object. Anything else fails the task with
    /// `PERMANENT_ERROR`.
    pub fn data(data: impl Serialize) -> Self {
        Self::status(Self::SUCCESS, data)
    }

    /// Done with a status of the user's own, which the orchestrator looks up in the blueprint's transitions. `()` is
    /// no data.
    pub fn status(status: impl Into<String>, data: impl Serialize) -> Self {
        match object(&data) {
            Ok(data) => Self::Completed { status: status.into(), data },
            Err(problem) => Self::Failed(TaskError::permanent(problem)),
        }
    }

    /// Failed, with any code.
    pub fn failure(code: impl Into<ErrorCode>, message: impl std::fmt::Display) -> Self {
        Self::Failed(TaskError::new(code, message))
    }

    /// A word for logs and metrics: the status, or the code of a failure.
    pub fn label(&self) -> &str {
        match self {
            Self::Completed { status, .. } => status,
            Self::Failed(error) => error.code().as_str(),
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

fn object(data: &impl Serialize) -> Result<Option<Box<RawValue>>, String> {
    let raw = to_json(data).map_err(|problem| format!("the handler's data is not JSON: {problem}"))?;
    match raw.get().as_bytes().first() {
        Some(b'{') => Ok(Some(raw)),
        Some(b'n') => Ok(None),
        first => {
            let kind = match first {
                Some(b'[') => "a list",
                Some(b'"') => "a string",
                Some(b't' | b'f') => "a boolean",
                _ => "a number",
            };
            let shown: String = raw.get().chars().take(80).collect();
            Err(format!("the handler's data is {kind}, `{shown}`, expected a JSON object or nothing"))
        }
    }
}

/// What a handler may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a task handler",
    note = "return `()`, `Json<T>`, `Outcome`, or `Result<T, TaskError>` of one of these"
)]
pub trait IntoOutcome {
    /// How the task ended.
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

/// Success with data: anything that serialises to a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoOutcome for Json<T> {
    fn into_outcome(self) -> Outcome {
        Outcome::data(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_an_object_or_nothing() {
        let Outcome::Completed { status, data } = Json(serde_json::json!({"a": 0.1})).into_outcome() else {
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
    fn what_is_not_json_is_a_permanent_error() {
        let keys = std::collections::BTreeMap::from([(vec![1], 1)]);
        assert_eq!(Json(keys).into_outcome().label(), "PERMANENT_ERROR");
        let no_number = std::collections::BTreeMap::from([("mean", f64::NAN)]);
        let Outcome::Failed(error) = Json(no_number).into_outcome() else { panic!("not failed") };
        assert_eq!(error.to_string(), "PERMANENT_ERROR: the handler's data is not JSON: at `mean`: NaN");
    }
}
