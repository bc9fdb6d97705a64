//! The error a task fails with.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use rxon::ErrorChain;
use rxon::model::{ErrorCode, Failure};
use rxon::secrets::masked;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::json::optional_object;
use crate::files::{FileError, FileErrorKind};

/// Any error, as hooks return it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The reason why a task failed. Its code decides what the orchestrator does with the job.
///
/// `?` turns any error into a *transient* one: the orchestrator dispatches the task again. For a failure that another
/// try will not cure, use [`TaskError::permanent`] or [`TaskError::invalid_input`].
///
/// `TaskError` does not implement [`Error`]; this allows the conversion from every type that does.
///
/// ```
/// use avtomatika_worker::TaskError;
///
/// fn parse(text: &str) -> Result<u32, TaskError> {
///     Ok(text.parse::<u32>()?)
/// }
/// assert_eq!(parse("x").unwrap_err().code().as_str(), "TRANSIENT_ERROR");
/// ```
#[derive(Debug, Clone)]
#[doc(alias("retry"))]
pub struct TaskError {
    code: ErrorCode,
    message: String,
    details: Option<Box<RawValue>>,
    pub(crate) extras: Option<Box<FailureExtras>>,
}

/// The optional members of the result of a failed task.
#[derive(Debug, Clone, Default)]
pub(crate) struct FailureExtras {
    pub(crate) data: Option<Box<RawValue>>,
    pub(crate) metadata: Option<Box<RawValue>>,
    pub(crate) costs: Option<Box<RawValue>>,
}

impl TaskError {
    /// Creates a failure with any code, such as one of your own.
    pub fn new(code: impl Into<ErrorCode>, message: impl fmt::Display) -> Self {
        Self { code: code.into(), message: message.to_string(), details: None, extras: None }
    }

    /// Creates a failure that may pass: the task is dispatched again, up to 3 times.
    #[doc(alias("nack", "requeue", "retry"))]
    pub fn transient(message: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Transient, message)
    }

    /// Creates a failure that will not pass: the job is quarantined.
    #[doc(alias("dead_letter", "non_retryable", "quarantine", "reject", "terminal"))]
    pub fn permanent(message: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Permanent, message)
    }

    /// Creates a failure for wrong parameters: the job fails.
    pub fn invalid_input(message: impl fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidInput, message)
    }

    /// Creates a failure for a task that took too long: it is dispatched again.
    pub fn timeout(message: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Timeout, message)
    }

    /// Creates a failure for memory, disk or another resource that ran out: the task is dispatched again.
    pub fn resource_exhausted(message: impl fmt::Display) -> Self {
        Self::new(ErrorCode::ResourceExhausted, message)
    }

    /// Converts an error that `?` does not take because it is boxed already: `Box<dyn Error + Send + Sync>`,
    /// `anyhow::Error`. The failure has the code that `?` would give it, with the texts of the error and its causes.
    ///
    /// ```
    /// use avtomatika_worker::{BoxError, TaskError};
    ///
    /// fn fetch() -> Result<(), BoxError> {
    ///     Err("no route".into())
    /// }
    ///
    /// fn handle() -> Result<(), TaskError> {
    ///     fetch().map_err(TaskError::any)
    /// }
    /// assert_eq!(handle().unwrap_err().to_string(), "TRANSIENT_ERROR: no route");
    /// ```
    pub fn any(error: impl Into<BoxError>) -> Self {
        Self::of(&*error.into())
    }

    fn of(error: &(dyn Error + 'static)) -> Self {
        if let Some(error) = error.downcast_ref::<FileError>() {
            return error.to_task_error();
        }
        let is_exhausted = error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| FileErrorKind::of_io(error) == FileErrorKind::Exhausted);
        let code = if is_exhausted { ErrorCode::ResourceExhausted } else { ErrorCode::Transient };
        Self::new(code, ErrorChain(error))
    }

    /// Adds details for programs. A value that does not serialise to a JSON object is left out.
    pub fn with_details(mut self, details: impl Serialize) -> Self {
        self.details = to_raw_value(&details).ok().filter(|details| details.get().starts_with('{'));
        self
    }

    /// Adds data that is sent beside the error: any value that serialises to a JSON object. Any other value is left out,
    /// with a warning. Files in it are uploaded, as those in the data of a task that is done.
    pub fn with_data(mut self, data: impl Serialize) -> Self {
        self.extras().data = optional_object("the data of a failure", &data);
        self
    }

    /// The data beside the error, as JSON text.
    pub fn data(&self) -> Option<&str> {
        self.extras.as_ref()?.data.as_deref().map(RawValue::get)
    }

    pub(super) fn extras(&mut self) -> &mut FailureExtras {
        self.extras.get_or_insert_default()
    }

    /// The code, which decides what the orchestrator does with the job.
    pub fn code(&self) -> &ErrorCode {
        &self.code
    }

    /// The message, for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with every secret masked.
    pub(crate) fn without_secrets(self) -> Self {
        let message = masked(&self.message).into_owned();
        let is_masked = |details: &RawValue| matches!(masked(details.get()), Cow::Owned(_));
        let details = match self.details {
            // Masking the JSON text as a whole could break it: mask the strings in it.
            Some(details) if is_masked(&details) => serde_json::from_str(details.get())
                .ok()
                .and_then(|details| to_raw_value(&without_secrets(details)).ok()),
            details => details,
        };
        Self { message, details, ..self }
    }

    /// The details for programs, as JSON text.
    pub fn details(&self) -> Option<&str> {
        self.details.as_deref().map(RawValue::get)
    }
}

/// Masks the secrets in all strings and keys; numbers stay as they are.
fn without_secrets(value: Value) -> Value {
    match value {
        Value::String(text) => masked(&text).into(),
        Value::Array(values) => values.into_iter().map(without_secrets).collect(),
        Value::Object(members) => {
            let shown = |(key, value): (String, _)| (masked(&key).into_owned(), without_secrets(value));
            members.into_iter().map(shown).collect()
        }
        other => other,
    }
}

impl From<TaskError> for Failure {
    fn from(error: TaskError) -> Self {
        Self { code: error.code, message: error.message, details: error.details }
    }
}

/// Makes any error transient, with the texts of the error and its causes, and its type in the details. A [`FileError`]
/// keeps the code of its kind, and a full or read-only disk becomes `RESOURCE_EXHAUSTED_ERROR`.
impl<E: Error + 'static> From<E> for TaskError {
    fn from(error: E) -> Self {
        let task_error = Self::of(&error);
        if (&error as &dyn Any).is::<FileError>() {
            // Its details name its kind already.
            return task_error;
        }
        task_error.with_details(serde_json::json!({"type": std::any::type_name::<E>()}))
    }
}

impl FileError {
    /// Returns the failure that a task reports when it ends with this error.
    pub fn to_task_error(&self) -> TaskError {
        let details = serde_json::json!({"type": self.kind().as_str()});
        TaskError::new(self.kind().code(), ErrorChain(self)).with_details(details)
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use rxon::secrets::Secrets;

    use super::*;

    #[test]
    fn any_error_is_transient_and_keeps_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("could not fetch")]
        struct Fetch(#[source] std::io::Error);

        let fetch = || Fetch(std::io::Error::other("no route"));
        let error = TaskError::from(fetch());
        assert_eq!(error.to_string(), "TRANSIENT_ERROR: could not fetch: no route");
        let boxed = TaskError::any(Box::new(fetch()) as BoxError);
        assert_eq!((boxed.to_string(), boxed.details()), (error.to_string(), None));
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        for error in [TaskError::from(full()), TaskError::any(full())] {
            assert_eq!(error.code(), &ErrorCode::ResourceExhausted);
        }
        assert!(error.details().is_some_and(|details| details.contains("Fetch")));
    }

    #[test]
    fn no_text_of_an_error_keeps_a_secret() {
        let _held = Secrets::new(["told-secret-1".to_owned(), "123456".to_owned()]);
        let details = serde_json::json!({"told-secret-1": ["a told-secret-1", 1.5, 123_456], "b": null});
        let error = TaskError::permanent("`told-secret-1`").with_details(details).without_secrets();
        assert_eq!(error.to_string(), "PERMANENT_ERROR: `***`");
        assert_eq!(error.details(), Some(r#"{"***":["a ***",1.5,123456],"b":null}"#));
        let plain = TaskError::permanent("x").with_details(serde_json::json!({"b": 1.0, "a": 1}));
        assert_eq!(plain.clone().without_secrets().details(), plain.details(), "as it was");
    }

    #[test]
    fn the_error_number_of_the_system_decides_the_code() {
        for (number, code) in [
            (28, "RESOURCE_EXHAUSTED_ERROR"), // ENOSPC
            (30, "RESOURCE_EXHAUSTED_ERROR"), // EROFS
            (2, "TRANSIENT_ERROR"),           // ENOENT
            (36, "PERMANENT_ERROR"),          // ENAMETOOLONG
            (5, "TRANSIENT_ERROR"),           // EIO
        ] {
            let error = FileError::io("write", Path::new("a"), io::Error::from_raw_os_error(number));
            assert_eq!(error.to_task_error().code().as_str(), code, "{error}");
        }
    }

    #[test]
    fn a_name_that_leads_out_is_a_security_error() {
        let escaped = io::Error::new(io::ErrorKind::PermissionDenied, "outside");
        let error = FileError::io("read", Path::new("link"), escaped).to_task_error();
        assert_eq!(error.code().as_str(), "PERMANENT_ERROR");
        assert_eq!(error.details(), Some(r#"{"type":"security"}"#));
        assert!(error.message().contains("`link` leads out of the task's directory"), "{error}");
        let long = "\u{1b}".repeat(100_000);
        let error = FileError::io("read", Path::new(&long), io::Error::from_raw_os_error(36)).to_task_error();
        assert!(error.message().len() < 1000 && !error.message().contains('\u{1b}'), "{error}");
    }

    #[test]
    fn details_are_an_object_or_left_out() {
        assert_eq!(TaskError::permanent("x").with_details([1]).details(), None);
        let details = TaskError::permanent("x").with_details(serde_json::json!({"a": 1}));
        assert_eq!(details.details(), Some(r#"{"a":1}"#));
    }
}
