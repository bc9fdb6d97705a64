use std::time::Duration;

use tower_layer::Layer;

use super::Timeout;

/// Ends a task with `TIMEOUT_ERROR` when what is inside this layer takes longer than a limit. Layers outside see that
/// as an outcome, and may make another of it.
///
/// An async handler ends at its next `await`. A blocking one cannot be interrupted: its
/// [`TaskContext::is_cancelled`](crate::TaskContext::is_cancelled) turns true, and its slot stays taken until it ends.
///
/// A limit for the whole of a task, layers too, is [`TaskOptions::time_limit`](crate::TaskOptions::time_limit), or
/// `WORKER_TASK_TIMEOUT` for all.
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
    /// A limit; one that clocks cannot express is none, zero lets end only what does not wait.
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, self.limit)
    }
}
