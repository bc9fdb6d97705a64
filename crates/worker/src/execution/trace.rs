//! The trace that a task belongs to.

use std::collections::BTreeMap;

use tracing::Span;

use crate::task::trace_parent::TraceParent;

/// Makes the span that the orchestrator names in `traceparent` the parent of a task's span.
pub(super) fn adopt(span: &Span, context: &BTreeMap<String, String>) {
    let Some(text) = TraceParent::text_in(context) else { return };
    let Some(parent) = TraceParent::parse(text) else {
        let text = rxon::text::excerpt(text);
        return span
            .in_scope(|| tracing::debug!("the task's `traceparent` is not valid and is ignored: `{text}`"));
    };
    span.record("trace_id", parent.trace_id);
    span.record("parent_span_id", parent.span_id);
    #[cfg(feature = "opentelemetry")]
    export(span, parent, context.get("tracestate").map(String::as_str));
}

/// Sets the parent for the layer of tracing-opentelemetry, if one is installed.
#[cfg(feature = "opentelemetry")]
fn export(span: &Span, parent: TraceParent<'_>, state: Option<&str>) {
    use std::str::FromStr;

    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let (Ok(trace_id), Ok(span_id)) = (TraceId::from_hex(parent.trace_id), SpanId::from_hex(parent.span_id))
    else {
        return;
    };
    let state = state.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    let remote = SpanContext::new(trace_id, span_id, TraceFlags::new(parent.flags), true, state);
    // Without such a layer this fails, and nothing is lost.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote));
}
