//! Handlers as tower services.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::util::BoxCloneSyncService;
use tower_service::Service;

use super::function::Handler;
use crate::task::extract::TaskRequest;
use crate::task::outcome::Outcome;

/// The service of one task name, which always ends in an outcome.
pub type TaskService = BoxCloneSyncService<TaskRequest, Outcome, Infallible>;

/// A handler with its state, as a [`Service`] that layers can wrap.
pub struct HandlerService<H, M, S> {
    handler: H,
    state: S,
    marker: PhantomData<fn() -> M>,
}

impl<H, M, S> HandlerService<H, M, S> {
    /// Creates a service that calls this handler.
    pub fn new(handler: H, state: S) -> Self {
        Self { handler, state, marker: PhantomData }
    }
}

impl<H: Clone, M, S: Clone> Clone for HandlerService<H, M, S> {
    fn clone(&self) -> Self {
        Self::new(self.handler.clone(), self.state.clone())
    }
}

impl<H, M, S> fmt::Debug for HandlerService<H, M, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("HandlerService").field(&std::any::type_name::<H>()).finish()
    }
}

impl<H, M, S> Service<TaskRequest> for HandlerService<H, M, S>
where
    H: Handler<M, S>,
    S: Clone + Send + Sync + 'static,
{
    type Response = Outcome;
    type Error = Infallible;
    type Future = HandlerFuture<H::Future>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: TaskRequest) -> Self::Future {
        HandlerFuture { handler: self.handler.clone().call(request, self.state.clone()) }
    }
}

pin_project! {
    /// The future of a [`HandlerService`].
    #[derive(Debug)]
    pub struct HandlerFuture<F> {
        #[pin]
        handler: F,
    }
}

impl<F: Future<Output = Outcome>> Future for HandlerFuture<F> {
    type Output = Result<Outcome, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().handler.poll(context).map(Ok)
    }
}
