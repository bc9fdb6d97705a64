//! The traits of extractors, and the extractors that cannot fail.

use std::convert::Infallible;
use std::future::Future;

use super::request::{RawParams, TaskParts, TaskRequest};
use crate::files::{BlockingTaskFiles, TaskFiles};
use crate::task::context::TaskContext;
use crate::task::outcome::IntoOutcome;

/// An argument that leaves the task intact. A handler can have any number of them.
///
/// # Contract
/// It must not block: it runs on the threads that also poll and send results.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor for a worker with state `{S}`",
    note = "parameters are `Params<T>`, what middleware inserted is `Extension<T>`, what all handlers share is `State<T>`",
    note = "the module `extract` lists all extractors; `State<T>` needs `with_state(…)` with a `T`, or with a state \
            `S` for which `T: FromRef<S>`"
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
    note = "parameters are `Params<T>`, what middleware inserted is `Extension<T>`, what all handlers share is `State<T>`",
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

/// Implements [`FromTaskParts`] for arguments that every task has.
macro_rules! always_present {
    ($($argument:ty: |$parts:ident| $value:expr;)*) => { $(
        impl<S: Sync> FromTaskParts<S> for $argument {
            type Rejection = Infallible;

            async fn from_task_parts($parts: &mut TaskParts, _state: &S) -> Result<Self, Infallible> {
                Ok($value)
            }
        }
    )* };
}

always_present! {
    TaskContext: |parts| parts.context.clone();
    TaskFiles: |parts| parts.context.files().clone();
    BlockingTaskFiles: |parts| parts.context.files().blocking();
    RawParams: |parts| Self(parts.params.clone());
}

/// The worker's shared state, as given to [`with_state`](crate::WorkerBuilder::with_state), or a part of it that
/// implements [`FromRef`]. A worker without that state does not compile.
///
/// The state is cloned for every task: put a value that is not cheap to clone into an `Arc`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[doc(alias("Data", "dependency"))]
pub struct State<T>(pub T);

/// A part that can be taken out of a larger state.
pub trait FromRef<S> {
    /// Takes the part out of the state.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> Self {
        state.clone()
    }
}

impl<T: FromRef<S> + Send, S: Sync> FromTaskParts<S> for State<T> {
    type Rejection = Infallible;

    async fn from_task_parts(_parts: &mut TaskParts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(T::from_ref(state)))
    }
}
