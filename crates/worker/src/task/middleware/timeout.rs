//! A time limit for the layers and the handler further inside.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tower_layer::Layer;
use tower_service::Service;

use crate::task::extract::TaskRequest;
use crate::task::outcome::{Outcome, TaskError};

/// Ends a task with `TIMEOUT_ERROR` when the layers and the handler inside this one take longer than a limit. The layers
/// outside see an ordinary outcome, and may replace it.
///
/// An async handler ends at its next `await`. A blocking handler cannot be interrupted: its
/// [`TaskContext::is_cancelled`](crate::TaskContext::is_cancelled) turns true, and it keeps its slot until it ends.
///
/// To limit the whole task, layers included, use [`TaskOptions::time_limit`](crate::TaskOptions::time_limit), or
/// `WORKER_TASK_TIMEOUT` for all tasks.
///
/// ```
/// use std::time::Duration;
///
/// use avtomatika_worker::middleware::timeout::TimeoutLayer;
/// use avtomatika_worker::prelude::*;
///
/// let limit = TimeoutLayer::new(Duration::from_secs(60));
/// let builder = Worker::builder().task("nothing", async || ()).layer(limit);
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TimeoutLayer {
    limit: Duration,
}

impl TimeoutLayer {
    /// Creates a layer with this limit. A limit too long for the clock to express is no limit; with a limit of zero only
    /// a handler that never waits completes.
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, limit: self.limit }
    }
}

/// The service of [`TimeoutLayer`].
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    inner: S,
    limit: Duration,
}

impl<S> Service<TaskRequest> for Timeout<S>
where
    S: Service<TaskRequest, Response = Outcome>,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Outcome, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: TaskRequest) -> Self::Future {
        let limit = self.limit;
        let future = self.inner.call(request);
        Box::pin(async move {
            tokio::time::timeout(limit, future).await.unwrap_or_else(|_| {
                let message = format!("the handler took longer than its limit of {limit:?}");
                Ok(Outcome::Failed(TaskError::timeout(message)))
            })
        })
    }
}
