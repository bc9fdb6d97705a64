//! Outcomes made of the errors of layers.

use std::any::type_name;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

use crate::task::extract::TaskRequest;
use crate::task::outcome::{IntoOutcome, Outcome};

/// Makes an outcome of an error of the layers inside this one, by an async function.
///
/// Put it around layers that can fail, such as tower's `timeout` and `load_shed`: a worker's tasks always end in an
/// [`Outcome`](crate::Outcome).
///
/// ```
/// use std::time::Duration;
///
/// use avtomatika_worker::middleware::handle_error::HandleErrorLayer;
/// use avtomatika_worker::prelude::*;
/// use tower::timeout::TimeoutLayer;
/// use tower::{BoxError, ServiceBuilder};
///
/// async fn timed_out(error: BoxError) -> TaskError {
///     TaskError::timeout(error)
/// }
///
/// let limited = ServiceBuilder::new()
///     .layer(HandleErrorLayer::new(timed_out))
///     .layer(TimeoutLayer::new(Duration::from_secs(60)));
/// let builder = Worker::builder().task("nothing", async || ()).layer(limited);
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
#[derive(Clone, Copy)]
pub struct HandleErrorLayer<F> {
    function: F,
}

impl<F> HandleErrorLayer<F> {
    /// Creates a layer that calls `async fn(error) -> impl IntoOutcome`.
    pub fn new(function: F) -> Self {
        Self { function }
    }
}

impl<F> fmt::Debug for HandleErrorLayer<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("HandleErrorLayer").field(&type_name::<F>()).finish()
    }
}

impl<S, F: Clone> Layer<S> for HandleErrorLayer<F> {
    type Service = HandleError<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        HandleError { inner, function: self.function.clone() }
    }
}

/// The service of [`HandleErrorLayer`].
#[derive(Clone, Copy)]
pub struct HandleError<S, F> {
    inner: S,
    function: F,
}

impl<S: fmt::Debug, F> fmt::Debug for HandleError<S, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("HandleError").field(&self.inner).field(&type_name::<F>()).finish()
    }
}

impl<S, F, Fut> Service<TaskRequest> for HandleError<S, F>
where
    S: Service<TaskRequest, Response = Outcome> + Clone + Send + 'static,
    S::Error: Send,
    S::Future: Send,
    F: FnOnce(S::Error) -> Fut + Clone + Send + 'static,
    Fut: Future<Output: IntoOutcome> + Send,
{
    type Response = Outcome;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Outcome, Infallible>>;

    /// Always ready: the inner service can also fail while it becomes ready, and `call` handles that error too.
    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: TaskRequest) -> Self::Future {
        let (inner, function) = (self.inner.clone(), self.function.clone());
        Box::pin(async move {
            Ok(match inner.oneshot(request).await {
                Ok(outcome) => outcome,
                Err(error) => function(error).await.into_outcome(),
            })
        })
    }
}
