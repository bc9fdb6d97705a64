use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tower_service::Service;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::task::context::TaskContext;
use crate::task::extract::TaskRequest;
use crate::task::outcome::Outcome;
use crate::task::trace_parent::TraceParent;

/// Puts a span around what is inside.
#[derive(Debug, Clone)]
pub struct Trace<S> {
    inner: S,
}

impl<S> Trace<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<TaskRequest> for Trace<S>
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
        let span = span(request.context());
        let future = span.in_scope(|| self.inner.call(request));
        let traced = async move {
            let mut run = Run::begin();
            let result = future.await;
            run.outcome = Some(result.as_ref().map_or("error", Outcome::label).to_owned());
            result
        };
        Box::pin(traced.instrument(span))
    }
}

fn span(context: &TaskContext) -> Span {
    let span = tracing::info_span!(
        "handler",
        task = %context.name().shown(),
        task_id = %context.task_id().shown(),
        job_id = %context.job_id().shown(),
        trace_id = Empty,
        parent_id = Empty,
    );
    if let Some(parent) = TraceParent::of(context.tracing_context()).filter(|_| !span.is_disabled()) {
        span.record("trace_id", parent.trace_id).record("parent_id", parent.parent_id);
    }
    span
}

/// What is inside, from its beginning to its end, which may also be that it is dropped.
struct Run {
    began: Instant,
    outcome: Option<String>,
}

impl Run {
    fn begin() -> Self {
        tracing::debug!("handler began");
        Self { began: Instant::now(), outcome: None }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let duration = self.began.elapsed();
        if let Some(outcome) = &self.outcome {
            tracing::debug!(outcome, ?duration, "handler ended");
        } else {
            tracing::debug!(?duration, "handler was given up");
        }
    }
}
