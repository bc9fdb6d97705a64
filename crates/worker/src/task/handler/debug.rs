//! The conditions of a handler one by one, for `debug_handler`: each is a function that compiles only if its condition
//! holds.

use std::future::Future;

use serde::de::DeserializeOwned;

use crate::task::extract::{FromTask, FromTaskParts};
use crate::task::outcome::{IntoOutcome, TaskError};

/// An argument leaves the task intact.
pub fn argument<T: FromTaskParts<S> + Send, S>() {}

/// The last argument may consume the task.
pub fn last_argument<T: FromTask<S, M> + Send, S, M>() {}

/// A result becomes an outcome.
pub fn result<T: IntoOutcome>() {}

/// The error of a result becomes the failure of the task.
pub fn error<E: HandlerError>() {}

/// The parameters can be read from JSON.
pub fn params<T: HandlerParams + Send>() {}

/// The future runs on any thread.
pub fn future<F: Future + Send>(_future: F) {}

/// The future runs on any thread, and its output becomes an outcome.
pub fn future_of_result<F>(_future: F)
where
    F: Future + Send,
    F::Output: IntoOutcome,
{
}

/// Parameters that a handler can ask for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from the parameters of a task",
    label = "not parameters",
    note = "its type has `#[derive(serde::Deserialize)]`, and owns its values: `String` in place of `&str`",
    note = "parameters that are not read are `RawParams`"
)]
pub trait HandlerParams {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> HandlerParams for T {}

/// An error that a handler can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a task handler",
    label = "not an error",
    note = "an error is `TaskError`, or implements `std::error::Error` and borrows nothing",
    note = "a text becomes an error by `TaskError::transient(text)`, `permanent(text)` or `invalid_input(text)`, a boxed \
            error by `.map_err(TaskError::any)?`"
)]
pub trait HandlerError {}

#[diagnostic::do_not_recommend]
impl<E: Into<TaskError>> HandlerError for E {}
