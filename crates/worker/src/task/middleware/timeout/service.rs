use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_service::Service;

use crate::task::extract::TaskRequest;
use crate::task::outcome::{Outcome, TaskError};

/// Ends what takes longer than a limit with `TIMEOUT_ERROR`.
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    inner: S,
    limit: Duration,
}

impl<S> Timeout<S> {
    pub(super) fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit }
    }
}

impl<S> Service<TaskRequest> for Timeout<S>
where
    S: Service<TaskRequest, Response = Outcome>,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, S::Error>> + Send>>;

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
