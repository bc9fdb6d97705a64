//! Extractors: what a handler may ask for.
//!
//! | argument | what it is |
//! |---|---|
//! | [`Params<T>`] | the parameters, deserialised; wrong ones end the task with `INVALID_INPUT_ERROR` |
//! | [`RawParams`] | the parameters as JSON text, byte by byte as sent |
//! | [`State<T>`] | the worker's shared state, or a part of it |
//! | `Valid<Params<T>>` | the parameters, checked by [garde](https://docs.rs/garde); feature `garde` |
//! | [`Extension<T>`] | what middleware put in |
//! | [`TaskContext`] | ids, priority, deadline, cancellation, progress, hot cache |
//! | [`TaskRequest`] | all of it; last argument only |

mod extension;
mod params;
mod rejection;
mod state;
#[cfg(feature = "garde")]
mod valid;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;

use serde_json::value::RawValue;

pub use extension::Extension;
pub use params::{Params, RawParams};
pub use rejection::Rejection;
pub use state::{FromRef, State};
#[cfg(feature = "garde")]
pub use valid::Valid;

pub use crate::task::context::TaskContext;
use crate::task::outcome::IntoOutcome;
pub use crate::task::outside::Outside;

/// A task on its way to its handler.
pub struct TaskRequest {
    pub(crate) parts: TaskParts,
}

/// What every extractor can look at.
pub struct TaskParts {
    /// The parameters, byte by byte as sent.
    pub params: Box<RawValue>,
    /// The task's context.
    pub context: TaskContext,
    /// What middleware puts in for handlers, by type: they ask for it by [`Extension<T>`].
    pub extensions: http::Extensions,
}

impl fmt::Debug for TaskParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TaskParts").field("context", &self.context).finish_non_exhaustive()
    }
}

impl fmt::Debug for TaskRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("TaskRequest").field(&self.parts.context).finish()
    }
}

impl TaskRequest {
    pub(crate) fn new(params: Box<RawValue>, context: TaskContext) -> Self {
        Self { parts: TaskParts { params, context, extensions: http::Extensions::new() } }
    }

    /// What it is made of.
    pub fn parts(&self) -> &TaskParts {
        &self.parts
    }

    /// What it is made of, to change it.
    pub fn parts_mut(&mut self) -> &mut TaskParts {
        &mut self.parts
    }

    /// The task's context: its ids, its name and what else is known of it.
    pub fn context(&self) -> &TaskContext {
        &self.parts.context
    }

    /// What middleware puts in for handlers, by type: they ask for it by [`Extension<T>`].
    pub fn extensions_mut(&mut self) -> &mut http::Extensions {
        &mut self.parts.extensions
    }
}

/// An argument that leaves the task as it is. Any number of them can stand in a handler.
///
/// # Contract
/// It must not block: it runs where polls and results do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor for a worker with state `{S}`",
    note = "see the module `extract` for those there are; `State<T>` needs `with_state(…)` with `T`, or a state that \
            `T: FromRef` of"
)]
pub trait FromTaskParts<S>: Sized {
    /// Why the argument could not be made.
    type Rejection: IntoOutcome;

    /// Makes the argument.
    fn from_task_parts(
        parts: &mut TaskParts,
        state: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send;
}

/// An argument that may consume the task: the last one of a handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor for a worker with state `{S}`",
    note = "see the module `extract` for those there are"
)]
pub trait FromTask<S, M = ViaTask>: Sized {
    /// Why the argument could not be made.
    type Rejection: IntoOutcome;

    /// Makes the argument.
    fn from_task(
        request: TaskRequest,
        state: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send;
}

/// Marks an extractor that consumes the task.
#[derive(Debug)]
pub enum ViaTask {}

/// Marks an extractor that does not.
#[derive(Debug)]
pub enum ViaParts {}

#[diagnostic::do_not_recommend]
impl<T: FromTaskParts<S>, S: Sync> FromTask<S, ViaParts> for T {
    type Rejection = T::Rejection;

    async fn from_task(mut request: TaskRequest, state: &S) -> Result<Self, Self::Rejection> {
        T::from_task_parts(&mut request.parts, state).await
    }
}

impl<S: Sync> FromTask<S> for TaskRequest {
    type Rejection = Infallible;

    async fn from_task(request: TaskRequest, _state: &S) -> Result<Self, Infallible> {
        Ok(request)
    }
}

impl IntoOutcome for Infallible {
    fn into_outcome(self) -> crate::task::outcome::Outcome {
        match self {}
    }
}
