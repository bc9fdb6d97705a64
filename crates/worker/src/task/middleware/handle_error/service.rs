use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::ServiceExt;
use tower_service::Service;

use crate::task::extract::TaskRequest;
use crate::task::outcome::{IntoOutcome, Outcome};

/// Makes an outcome of the error of a service.
#[derive(Clone, Copy)]
pub struct HandleError<S, F> {
    inner: S,
    function: F,
}

impl<S, F> HandleError<S, F> {
    pub(super) fn new(inner: S, function: F) -> Self {
        Self { inner, function }
    }
}

impl<S: fmt::Debug, F> fmt::Debug for HandleError<S, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HandleError")
            .field("inner", &self.inner)
            .field("function", &std::any::type_name::<F>())
            .finish()
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
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, Infallible>> + Send>>;

    /// Always: a service may also fail while it is waited for, and that too is the function's to answer.
    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: TaskRequest) -> Self::Future {
        let (inner, function) = (self.inner.clone(), self.function.clone());
        Box::pin(async move {
            match inner.oneshot(request).await {
                Ok(outcome) => Ok(outcome),
                Err(error) => Ok(function(error).await.into_outcome()),
            }
        })
    }
}
