//! A panic ends its task, and nothing else.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tower_layer::Layer;
use tower_service::Service;

use crate::task::extract::TaskRequest;
use crate::task::outcome::{Outcome, panicked};
use crate::threads::panic_message;

/// Ends a task with `TRANSIENT_ERROR` when its handler panics. This layer is around every handler already, inside all
/// other layers.
#[derive(Debug, Clone, Copy, Default)]
pub struct CatchPanicLayer;

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic { inner }
    }
}

/// The service of [`CatchPanicLayer`].
#[derive(Debug, Clone)]
pub struct CatchPanic<S> {
    inner: S,
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
        // The task is over after a panic, so nothing looks again at what the handler left half done.
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
