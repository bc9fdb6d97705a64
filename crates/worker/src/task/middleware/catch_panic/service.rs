use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tower_service::Service;

use crate::task::extract::TaskRequest;
use crate::task::outcome::Outcome;
use crate::task::outcome::panicked;
use crate::threads::panic_message;

/// Ends a task whose handler panics with `TRANSIENT_ERROR`.
#[derive(Debug, Clone)]
pub struct CatchPanic<S> {
    inner: S,
}

impl<S> CatchPanic<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<TaskRequest> for CatchPanic<S>
where
    S: Service<TaskRequest, Response = Outcome, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: TaskRequest) -> Self::Future {
        // What the handler leaves half done is its own: its task is over, and nobody looks at it again.
        match catch_unwind(AssertUnwindSafe(|| self.inner.call(request))) {
            Ok(future) => Box::pin(async move {
                AssertUnwindSafe(future)
                    .catch_unwind()
                    .await
                    .unwrap_or_else(|payload| Ok(panicked(panic_message(&*payload))))
            }),
            Err(payload) => {
                let outcome = panicked(panic_message(&*payload));
                Box::pin(async move { Ok(outcome) })
            }
        }
    }
}
