//! The trace a task belongs to, as the W3C's recommendation "Trace Context" has it.

use std::collections::BTreeMap;

use tracing::Span;

/// Where in a trace a task was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TraceParent<'a> {
    /// 32 hex digits.
    pub(super) trace_id: &'a str,
    /// 16 hex digits.
    pub(super) span_id: &'a str,
    pub(super) flags: u8,
}

impl<'a> TraceParent<'a> {
    /// Reads a `traceparent`. None for what the recommendation calls invalid: then there is no trace to belong to.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace_id, span_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
        let well_formed =
            is_hex(version, 2) && is_hex(trace_id, 32) && is_hex(span_id, 16) && is_hex(flags, 2);
        // Later versions may have more parts, this one has none.
        let is_whole = version != "00" || parts.next().is_none();
        let usable = well_formed && is_whole && version != "ff" && !is_zero(trace_id) && !is_zero(span_id);
        usable.then(|| Some(Self { trace_id, span_id, flags: u8::from_str_radix(flags, 16).ok()? }))?
    }
}

/// Makes what the orchestrator says the parent of a task's span.
pub(super) fn adopt(span: &Span, context: &BTreeMap<String, String>) {
    let Some(text) = context.get("traceparent") else { return };
    let Some(parent) = TraceParent::read(text) else {
        let text = rxon::text::excerpt(text);
        return span
            .in_scope(|| tracing::debug!("`traceparent` of the task is none, and is ignored: `{text}`"));
    };
    span.record("trace_id", parent.trace_id);
    span.record("parent_span_id", parent.span_id);
    #[cfg(feature = "opentelemetry")]
    export(span, parent, context.get("tracestate").map(String::as_str));
}

/// Tells the layer of tracing-opentelemetry, where one is installed.
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
    // Without such a layer there is nobody to tell.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote));
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_well_formed_one_is_read() {
        for (text, flags) in [
            (format!("00-{TRACE}-{SPAN}-01"), 1),
            (format!("00-{TRACE}-{SPAN}-00"), 0),
            (format!("cc-{TRACE}-{SPAN}-ff-what-the-future-holds"), 255),
        ] {
            assert_eq!(
                TraceParent::read(&text),
                Some(TraceParent { trace_id: TRACE, span_id: SPAN, flags }),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}x-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "é".repeat(16)),
        ] {
            assert_eq!(TraceParent::read(&text), None, "{text}");
        }
    }
}
