//! Layers made from async functions.

use std::any::type_name;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer;
use tower_service::Service;

use crate::task::extract::{FromTaskParts, TaskRequest};
use crate::task::handler::TaskService;
use crate::task::outcome::{IntoOutcome, Outcome};

/// Makes a layer from an async function, which gets the task and the [next](Next) service, and returns the outcome.
///
/// The function can read the task, insert values for the handler, and change the parameters and the outcome; if it does
/// not call `next`, it refuses the task. It can have up to six [extractors](crate::extract) that leave the task intact as
/// its first arguments; if one of them fails, the task ends with its rejection. Like an async handler, the function ends
/// at its next `await` when the task is told to stop, and a panic in it ends only its task.
///
/// ```
/// use avtomatika_worker::middleware::{Next, from_fn};
/// use avtomatika_worker::prelude::*;
/// use avtomatika_worker::TaskRequest;
///
/// #[derive(Clone)]
/// struct ModelPath(String);
///
/// async fn with_model(context: TaskContext, mut request: TaskRequest, next: Next) -> Outcome {
///     if context.name().as_str() == "draw" {
///         request.extensions_mut().insert(ModelPath("/models/m1".to_owned()));
///     }
///     next.run(request).await.with_field("seen_by", "with_model")
/// }
///
/// async fn draw(Extension(model): Extension<ModelPath>) -> Json<serde_json::Value> {
///     Json(serde_json::json!({"model": model.0}))
/// }
///
/// let builder = Worker::builder().task("draw", draw).layer(from_fn(with_model));
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
pub fn from_fn<F, M>(function: F) -> FromFnLayer
where
    F: Middleware<M, ()>,
{
    from_fn_with_state((), function)
}

/// Makes a layer like [`from_fn()`], with state of its own, which the function asks for by [`State`](crate::State).
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use avtomatika_worker::middleware::{Next, from_fn_with_state};
/// use avtomatika_worker::prelude::*;
/// use avtomatika_worker::TaskRequest;
///
/// async fn count(State(failed): State<Arc<AtomicU64>>, request: TaskRequest, next: Next) -> Outcome {
///     let outcome = next.run(request).await;
///     if outcome.error().is_some() {
///         failed.fetch_add(1, Ordering::Relaxed);
///     }
///     outcome
/// }
///
/// let failed = Arc::new(AtomicU64::new(0));
/// let builder = Worker::builder().task("nothing", async || ()).layer(from_fn_with_state(failed, count));
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
pub fn from_fn_with_state<F, S, M>(state: S, function: F) -> FromFnLayer
where
    F: Middleware<M, S>,
    S: Clone + Send + Sync + 'static,
{
    let call: Erased = Arc::new(move |request, next| function.clone().call(request, state.clone(), next));
    FromFnLayer { call, name: type_name::<F>() }
}

/// A function that [`from_fn()`] can make a layer from.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a middleware",
    label = "not a middleware",
    note = "a middleware is an `async fn(request: TaskRequest, next: Next)`, with at most 6 arguments in front that \
            are `FromTaskParts<S>` (`TaskContext`, `State<S>`, `Extension<T>`, …), where `S` is the state given to \
            `from_fn_with_state`",
    note = "its result is `Outcome`, `()`, `Json<T>`, or `Result<T, TaskError>` of one of these",
    note = "its future is `Send`: nothing like an `Rc` is held across an `.await`"
)]
pub trait Middleware<M, S>: Clone + Send + Sync + Sized + 'static {
    /// Runs one task.
    fn call(self, request: TaskRequest, state: S, next: Next) -> BoxFuture<'static, Outcome>;
}

macro_rules! middlewares {
    ($(($($part:ident)*))*) => { $(
        #[diagnostic::do_not_recommend]
        #[allow(non_snake_case, unused_mut, unused_variables, reason = "the macro also makes the impl without extractors")]
        impl<F, Fut, S, $($part,)*> Middleware<($($part,)*), S> for F
        where
            F: FnOnce($($part,)* TaskRequest, Next) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + Send,
            Fut::Output: IntoOutcome,
            S: Send + Sync + 'static,
            $($part: FromTaskParts<S> + Send,)*
        {
            fn call(self, mut request: TaskRequest, state: S, next: Next) -> BoxFuture<'static, Outcome> {
                Box::pin(async move {
                    $(
                        let $part = value_or_return!($part::from_task_parts(request.parts_mut(), &state));
                    )*
                    self($($part,)* request, next).await.into_outcome()
                })
            }
        }
    )* };
}

middlewares! {
    ()
    (A1)
    (A1 A2)
    (A1 A2 A3)
    (A1 A2 A3 A4)
    (A1 A2 A3 A4 A5)
    (A1 A2 A3 A4 A5 A6)
}

/// The layers inside a middleware, and the handler.
#[derive(Clone)]
pub struct Next {
    inner: TaskService,
}

impl Next {
    /// Runs the task.
    pub async fn run(self, request: TaskRequest) -> Outcome {
        // Ready already, unless this is a clone.
        let Ok(outcome) = self.inner.oneshot(request).await;
        outcome
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Next")
    }
}

/// A middleware with its state. Its type is erased so that a mistake in it causes one compiler error, not three.
type Erased = Arc<dyn Fn(TaskRequest, Next) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// A layer made from an async function by [`from_fn()`] or [`from_fn_with_state`].
#[derive(Clone)]
pub struct FromFnLayer {
    call: Erased,
    name: &'static str,
}

impl fmt::Debug for FromFnLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("FromFnLayer").field(&self.name).finish()
    }
}

impl<I> Layer<I> for FromFnLayer {
    type Service = FromFn<I>;

    fn layer(&self, inner: I) -> FromFn<I> {
        FromFn { inner, layer: self.clone() }
    }
}

/// The service of [`FromFnLayer`].
#[derive(Debug, Clone)]
pub struct FromFn<I> {
    inner: I,
    layer: FromFnLayer,
}

impl<I> Service<TaskRequest> for FromFn<I>
where
    I: Service<TaskRequest, Response = Outcome, Error = Infallible> + Clone + Send + Sync + 'static,
    I::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Outcome, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: TaskRequest) -> Self::Future {
        // The ready service goes with the task, since a clone of it need not be ready.
        let fresh = self.inner.clone();
        let next = Next { inner: BoxCloneSyncService::new(mem::replace(&mut self.inner, fresh)) };
        (self.layer.call)(request, next).map(Ok).boxed()
    }
}
