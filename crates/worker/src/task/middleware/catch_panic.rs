//! A panic ends its task, and nothing else.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower_layer::Layer;
use tower_service::Service;

use crate::task::extract::TaskRequest;
use crate::task::outcome::{Outcome, panicked};
use crate::threads::hook::{caught, caught_async};

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
    type Future = BoxFuture<'static, Result<Outcome, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: TaskRequest) -> Self::Future {
        // A panic ends the task, so nothing uses the state that the handler left unfinished.
        let called = caught(|| self.inner.call(request));
        Box::pin(async move {
            let ended = match called {
                Ok(future) => caught_async(|| future).await,
                Err(message) => Err(message),
            };
            ended.unwrap_or_else(|message| Ok(panicked(&message)))
        })
    }
}
