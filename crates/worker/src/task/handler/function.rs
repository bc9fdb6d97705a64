//! Functions as handlers.

use std::future::Future;
use std::pin::Pin;

use super::blocking::Blocking;
use crate::task::extract::{FromTask, FromTaskParts, TaskRequest};
use crate::task::outcome::{IntoOutcome, Outcome};

/// A function that runs tasks.
///
/// Implemented for every `async fn` of up to twelve arguments, each an [extractor](crate::extract), whose result is
/// [`IntoOutcome`]. Wrap blocking functions in [`blocking`](crate::blocking).
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
            type Future = Pin<Box<dyn Future<Output = Outcome> + Send>>;

            fn call(self, request: TaskRequest, state: S) -> Self::Future {
                Box::pin(async move {
                    let TaskRequest { mut parts } = request;
                    $(
                        let $part = match $part::from_task_parts(&mut parts, &state).await {
                            Ok(value) => value,
                            Err(rejection) => return rejection.into_outcome(),
                        };
                    )*
                    let last = match Last::from_task(TaskRequest { parts }, &state).await {
                        Ok(value) => value,
                        Err(rejection) => return rejection.into_outcome(),
                    };
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
            type Future = Pin<Box<dyn Future<Output = Outcome> + Send>>;

            #[allow(non_snake_case, unused_mut, reason = "the macro also makes the impl for one argument")]
            fn call(self, request: TaskRequest, state: S) -> Self::Future {
                Box::pin(async move {
                    let TaskRequest { mut parts } = request;
                    let context = parts.context.for_thread();
                    parts.context = context.clone();
                    $(
                        let $part = match $part::from_task_parts(&mut parts, &state).await {
                            Ok(value) => value,
                            Err(rejection) => return rejection.into_outcome(),
                        };
                    )*
                    let last = match Last::from_task(TaskRequest { parts }, &state).await {
                        Ok(value) => value,
                        Err(rejection) => return rejection.into_outcome(),
                    };
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
    type Future = Pin<Box<dyn Future<Output = Outcome> + Send>>;

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
    type Future = Pin<Box<dyn Future<Output = Outcome> + Send>>;

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
