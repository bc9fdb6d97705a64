use tower_layer::Layer;

use super::Trace;

/// Puts a span around what is inside, for handlers that are traced.
///
/// The span is named `handler`, its level is info, and it has the fields `task`, `task_id`, `job_id`, and, where the
/// orchestrator sent a valid W3C `traceparent`, `trace_id` and `parent_id`. Two events at the level of debug say when
/// it began and how it ended, with `outcome` and `duration`.
///
/// It is not there unless it is added: each task has a span `task` with the ids and the orchestrator around all its
/// layers, and a line for its start and its end, without it.
///
/// ```
/// use avtomatika_worker::middleware::trace::TraceLayer;
/// use avtomatika_worker::prelude::*;
///
/// let builder = Worker::builder().task("nothing", async || ()).layer(TraceLayer);
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace::new(inner)
    }
}
