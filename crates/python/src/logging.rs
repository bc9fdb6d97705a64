//! The worker's log lines, on their way to Python's `logging`.
//!
//! They are collected on the thread that logs them, without Python's lock, and handed over in batches by the loop's
//! pump. They contain no secrets, and each is one line.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use avtomatika_worker::logging;
use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::bridge::Bridge;
use crate::lines::{Fields, Value, level_number};

/// Returns a text as it may appear in a log: without secrets, and on one line.
#[pyfunction]
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    logging::one_line(text)
}

/// The subscriber that collects the lines of one worker.
pub(crate) fn dispatch(bridge: &Arc<Bridge>) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(Forward(Arc::downgrade(bridge))))
}

struct Forward(Weak<Bridge>);

/// The fields of a span, which every line within it has.
struct OfSpan(Fields);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Forward {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let own = ["avtomatika", "rxon"].iter().any(|name| metadata.target().starts_with(name));
        // Users cannot act upon the informational lines of other crates.
        (own || *metadata.level() <= Level::WARN)
            && self.0.upgrade().is_some_and(|bridge| bridge.lines.wants(*metadata.level()))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut texts = Texts::default();
        attributes.record(&mut texts);
        span.extensions_mut().insert(OfSpan(texts.fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut texts = Texts::default();
        values.record(&mut texts);
        if let Some(fields) = span.extensions_mut().get_mut::<OfSpan>() {
            fields.0.append(&mut texts.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(bridge) = self.0.upgrade() else { return };
        let mut texts = Texts::default();
        event.record(&mut texts);
        let mut spans = Vec::new();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(OfSpan(fields)) = span.extensions().get() {
                spans.push((span.name(), fields.clone()));
            }
        }
        let fields = spans.iter_mut().flat_map(|(_, fields)| fields).chain(&mut texts.fields);
        let values =
            fields.filter_map(|(_, value)| if let Value::Text(text) = value { Some(text) } else { None });
        for text in values.chain([&mut texts.message]) {
            if let Cow::Owned(line) = logging::one_line(text) {
                *text = line;
            }
        }
        let metadata = event.metadata();
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let thread = std::thread::current().name().unwrap_or("avtomatika").to_owned();
        let target = metadata.target().to_owned();
        let level = level_number(*metadata.level());
        bridge.lines.push((level, at, target, thread, texts.message, texts.fields, spans));
        bridge.wake();
    }
}

/// The message and the fields of an event or a span.
#[derive(Default)]
struct Texts {
    message: String,
    fields: Fields,
}

impl Visit for Texts {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name(), Value::Float(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), Value::Signed(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), Value::Unsigned(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), Value::Bool(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name(), Value::Text(value.to_owned())));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a `String` never fails.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.fields.push((field.name(), Value::Text(format!("{value:?}"))));
        }
    }
}
