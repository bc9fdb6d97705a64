//! Functions as handlers.

use std::fmt;
use std::future::Future;

use futures_util::future::BoxFuture;

use crate::task::extract::{FromTask, FromTaskParts, TaskRequest};
use crate::task::outcome::{IntoOutcome, Outcome};

/// A function that runs tasks.
///
/// Implemented for every `async fn` of up to twelve arguments, each an [extractor](crate::extract), whose result is
/// [`IntoOutcome`]. Wrap blocking functions in [`blocking`](crate::blocking). If the compiler refuses a function, write
/// `#[debug_handler]` above it: its message then names the fault.
///
/// ```
/// use avtomatika_worker::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Greeting {
///     name: String,
/// }
///
/// async fn greet(Params(greeting): Params<Greeting>) -> Json<serde_json::Value> {
///     Json(serde_json::json!({"text": format!("Hello, {}!", greeting.name)}))
/// }
///
/// let builder = Worker::builder().task("greet", greet);
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task handler",
    label = "not a handler",
    note = "write `#[debug_handler]` above the function, and the compiler says what is wrong with it \
            (`avtomatika_worker::debug_handler`; above one that blocks, `#[debug_handler(blocking)]`)",
    note = "a handler is an `async fn` of at most 12 arguments; each argument is an extractor (`Params<T>`, `State<S>`, \
            `TaskContext`, `RawParams`, `Extension<T>` of a `T` that is `Clone`, …), all but the last by `FromTaskParts<S>`, where `S` is the worker's state",
    note = "its result is `()`, `Json<T>`, `Outcome`, or `Result<T, TaskError>` of one of these",
    note = "its future is `Send`: nothing like an `Rc` is held across an `.await`",
    note = "a function that blocks is registered as `blocking(function)`; state is given by `with_state(…)`"
)]
pub trait Handler<M, S>: Clone + Send + Sync + Sized + 'static {
    /// The future that runs the task.
    type Future: Future<Output = Outcome> + Send + 'static;

    /// Runs one task.
    fn call(self, request: TaskRequest, state: S) -> Self::Future;
}

/// A blocking function, made a handler by [`blocking`].
#[derive(Clone, Copy)]
pub struct Blocking<F>(F);

impl<F> fmt::Debug for Blocking<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Blocking")
    }
}

/// Makes a handler of a function that blocks: one that computes, or waits without `await`.
///
/// It runs on one of the worker's own threads. As many handlers can block at once as there are slots, and nothing else
/// is held up. A blocking handler cannot be interrupted: one that runs long should check
/// [`TaskContext::is_cancelled`](crate::TaskContext::is_cancelled) regularly.
///
/// ```
/// use avtomatika_worker::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Sum {
///     left: u64,
///     right: u64,
/// }
///
/// fn add(Params(sum): Params<Sum>) -> Json<serde_json::Value> {
///     Json(serde_json::json!({"sum": sum.left + sum.right}))
/// }
///
/// let builder = Worker::builder().task("add", blocking(add));
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
#[doc(alias("spawn_blocking", "sync", "thread"))]
pub fn blocking<F>(function: F) -> Blocking<F> {
    Blocking(function)
}

macro_rules! handlers {
    ($(($($part:ident)*))*) => { $(
        #[diagnostic::do_not_recommend]
        #[allow(non_snake_case, unused_mut, unused_variables, reason = "the macro also makes the impls for none and one argument")]
        impl<F, Fut, S, M, $($part,)* Last> Handler<(M, $($part,)* Last), S> for F
        where
            F: FnOnce($($part,)* Last) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + Send,
            Fut::Output: IntoOutcome,
            S: Send + Sync + 'static,
            $($part: FromTaskParts<S> + Send,)*
            Last: FromTask<S, M> + Send,
        {
            type Future = BoxFuture<'static, Outcome>;

            fn call(self, request: TaskRequest, state: S) -> Self::Future {
                Box::pin(async move {
                    let TaskRequest { mut parts } = request;
                    $(
                        let $part = value_or_return!($part::from_task_parts(&mut parts, &state));
                    )*
                    let last = value_or_return!(Last::from_task(TaskRequest { parts }, &state));
                    self($($part,)* last).await.into_outcome()
                })
            }
        }

        #[diagnostic::do_not_recommend]
        impl<F, Output, S, M, $($part,)* Last> Handler<(Blocks, M, $($part,)* Last), S> for Blocking<F>
        where
            F: FnOnce($($part,)* Last) -> Output + Clone + Send + Sync + 'static,
            Output: IntoOutcome,
            S: Send + Sync + 'static,
            $($part: FromTaskParts<S> + Send + 'static,)*
            Last: FromTask<S, M> + Send + 'static,
        {
            type Future = BoxFuture<'static, Outcome>;

            #[allow(non_snake_case, unused_mut, reason = "the macro also makes the impl for one argument")]
            fn call(self, request: TaskRequest, state: S) -> Self::Future {
                Box::pin(async move {
                    let TaskRequest { mut parts } = request;
                    let context = parts.context.for_thread();
                    parts.context = context.clone();
                    $(
                        let $part = value_or_return!($part::from_task_parts(&mut parts, &state));
                    )*
                    let last = value_or_return!(Last::from_task(TaskRequest { parts }, &state));
                    let function = self.0;
                    context.run_blocking(move || function($($part,)* last).into_outcome()).await
                })
            }
        }
    )* };
}

/// Distinguishes the blanket implementations of blocking handlers from those of async handlers.
#[derive(Debug)]
pub enum Blocks {}

/// A handler without arguments.
#[diagnostic::do_not_recommend]
impl<F, Fut, S> Handler<((),), S> for F
where
    F: FnOnce() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future + Send,
    Fut::Output: IntoOutcome,
{
    type Future = BoxFuture<'static, Outcome>;

    fn call(self, _request: TaskRequest, _state: S) -> Self::Future {
        Box::pin(async move { self().await.into_outcome() })
    }
}

#[diagnostic::do_not_recommend]
impl<F, Output, S> Handler<(Blocks,), S> for Blocking<F>
where
    F: FnOnce() -> Output + Clone + Send + Sync + 'static,
    Output: IntoOutcome,
{
    type Future = BoxFuture<'static, Outcome>;

    fn call(self, request: TaskRequest, _state: S) -> Self::Future {
        let context = request.parts.context.for_thread();
        Box::pin(async move { context.run_blocking(move || self.0().into_outcome()).await })
    }
}

handlers! {
    ()
    (A1)
    (A1 A2)
    (A1 A2 A3)
    (A1 A2 A3 A4)
    (A1 A2 A3 A4 A5)
    (A1 A2 A3 A4 A5 A6)
    (A1 A2 A3 A4 A5 A6 A7)
    (A1 A2 A3 A4 A5 A6 A7 A8)
    (A1 A2 A3 A4 A5 A6 A7 A8 A9)
    (A1 A2 A3 A4 A5 A6 A7 A8 A9 A10)
    (A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11)
}
