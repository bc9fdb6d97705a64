//! The formats of lines. Each writes straight into a buffer that is used again.

pub(super) mod json;
mod level;
pub(super) mod terminal;
pub(super) mod text;

use std::borrow::Cow;

use rxon::secrets::{masked, masked_later};
use rxon::text::one_line;
use tracing::Event;
use tracing::field::Visit;

use self::json::Members;
use self::terminal::{ShortFields, Terminal};
use self::text::TextFields;
use super::clock::Clock;
use super::spans::{Key, SpanFields};

/// The format of lines.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    Text,
    Json,
    Terminal(Terminal),
}

/// The fields of an event or a span.
pub(super) trait Fields {
    /// Shows each field to the visitor.
    fn visit(&self, visitor: &mut dyn Visit);
}

impl Fields for Event<'_> {
    fn visit(&self, visitor: &mut dyn Visit) {
        self.record(visitor);
    }
}

impl Fields for tracing::span::Attributes<'_> {
    fn visit(&self, visitor: &mut dyn Visit) {
        self.record(visitor);
    }
}

impl Fields for tracing::span::Record<'_> {
    fn visit(&self, visitor: &mut dyn Visit) {
        self.record(visitor);
    }
}

impl Format {
    /// Writes the fields of a span as its lines show them. Secrets are masked in the finished line.
    pub(super) fn write_span(self, fields: &dyn Fields, to: &mut SpanFields) {
        match self {
            Self::Text => masked_later(|| fields.visit(&mut TextFields::new(&mut to.text))),
            Self::Json => masked_later(|| fields.visit(&mut Members(to))),
            // What it shortens is masked before.
            Self::Terminal(_) => fields.visit(&mut ShortFields(&mut to.text)),
        }
    }

    /// Writes the line of an event. `spans` are those it is in, from the innermost on.
    pub(super) fn write_event(self, event: &Event<'_>, spans: &[Key], clock: &mut Clock, line: &mut String) {
        match self {
            Self::Text => masked_later(|| text::write_event(event, spans, clock, line)),
            Self::Json => masked_later(|| json::write_event(event, spans, clock, line)),
            Self::Terminal(terminal) => terminal.write_event(event, spans, line),
        }
    }

    /// The line as it may be written: without secrets, and without anything that would end it.
    pub(super) fn finished(self, line: &str) -> Cow<'_, str> {
        match self {
            Self::Text => one_line(line),
            // JSON has its own way of escaping.
            Self::Json => masked(line),
            // Its colours would be escaped: each part is prepared for itself.
            Self::Terminal(_) => Cow::Borrowed(line),
        }
    }
}
