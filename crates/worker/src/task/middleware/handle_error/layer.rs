use std::fmt;

use tower_layer::Layer;

use super::HandleError;

/// Makes an outcome of the error of whatever is inside, by an async function.
///
/// Layers that fail, such as tower's `timeout` and `load_shed`, need it around them: a worker's tasks always end in an
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
/// async fn refused(error: BoxError) -> TaskError {
///     TaskError::timeout(error)
/// }
///
/// let limited = ServiceBuilder::new()
///     .layer(HandleErrorLayer::new(refused))
///     .layer(TimeoutLayer::new(Duration::from_secs(60)));
/// let builder = Worker::builder().task("nothing", async || ()).layer(limited);
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
#[derive(Clone, Copy)]
pub struct HandleErrorLayer<F> {
    function: F,
}

impl<F> HandleErrorLayer<F> {
    /// A layer that calls `async fn(error) -> impl IntoOutcome`.
    pub fn new(function: F) -> Self {
        Self { function }
    }
}

impl<F> fmt::Debug for HandleErrorLayer<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("HandleErrorLayer").field(&std::any::type_name::<F>()).finish()
    }
}

impl<S, F: Clone> Layer<S> for HandleErrorLayer<F> {
    type Service = HandleError<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        HandleError::new(inner, self.function.clone())
    }
}
