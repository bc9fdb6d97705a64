//! The traits of extractors.

use std::convert::Infallible;
use std::future::Future;

use super::request::{TaskParts, TaskRequest};
use crate::task::context::TaskContext;
use crate::task::outcome::IntoOutcome;

/// An argument that leaves the task intact. A handler can have any number of them.
///
/// # Contract
/// It must not block: it runs on the threads that also poll and send results.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor for a worker with state `{S}`",
    note = "the module `extract` lists all extractors; `State<T>` needs `with_state(…)` with a `T`, or with a state that \
            `T: FromRef` of"
)]
pub trait FromTaskParts<S>: Sized {
    /// The reason why the argument could not be made.
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
    note = "the module `extract` lists all extractors"
)]
pub trait FromTask<S, M = ViaTask>: Sized {
    /// The reason why the argument could not be made.
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

/// Marks an extractor that leaves the task intact.
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

impl<S: Sync> FromTaskParts<S> for TaskContext {
    type Rejection = Infallible;

    async fn from_task_parts(parts: &mut TaskParts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.context.clone())
    }
}
