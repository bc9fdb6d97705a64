//! The worker's log lines, on their way to Python's `logging`.
//!
//! They are caught where they are made, without Python's lock, and handed over in batches by the loop's pump. None has a
//! secret in it, and each is one line.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
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

/// More lines than this are dropped, the newest first, until somebody comes for them.
const MOST_WAITING: usize = 10_000;

/// Lines that wait for the loop.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    waiting: Mutex<Waiting>,
    /// What Python's logger wants to hear, as a number of `logging`.
    level: AtomicU8,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Line>,
    dropped: u64,
}

/// One line: level of `logging`, seconds since 1970, target, thread, text, fields.
pub(crate) type Line = (u8, f64, String, String, String, Vec<(&'static str, String)>);

impl Lines {
    /// Takes what Python's logger wants to hear.
    pub(crate) fn set_level(&self, level: u8) {
        self.level.store(level, Ordering::Relaxed);
    }

    /// Everything there is, and how many were dropped before.
    pub(crate) fn take(&self) -> (VecDeque<Line>, u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = std::mem::take(&mut waiting.dropped);
        (std::mem::take(&mut waiting.lines), dropped)
    }

    fn push(&self, line: Line) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() < MOST_WAITING {
            waiting.lines.push_back(line);
        } else {
            waiting.dropped += 1;
        }
    }

    fn wants(&self, level: Level) -> bool {
        number(level) >= self.level.load(Ordering::Relaxed)
    }
}

/// A text as it may stand in a log: without secrets, and on one line.
#[pyfunction]
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    logging::one_line(text)
}

/// What catches the lines of one worker.
pub(crate) fn dispatch(bridge: &Arc<Bridge>) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(Forward(Arc::downgrade(bridge))))
}

/// As `logging` counts.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

struct Forward(Weak<Bridge>);

/// The fields of a span, for every line within.
struct Fields(Vec<(&'static str, String)>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Forward {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let own = ["avtomatika", "rxon"].iter().any(|name| metadata.target().starts_with(name));
        // What other crates say of their own doings is nothing to act upon.
        (own || *metadata.level() <= Level::WARN)
            && self.0.upgrade().is_some_and(|bridge| bridge.lines.wants(*metadata.level()))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut said = Said::default();
        attributes.record(&mut said);
        span.extensions_mut().insert(Fields(said.fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut said = Said::default();
        values.record(&mut said);
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            fields.0.append(&mut said.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(bridge) = self.0.upgrade() else { return };
        let mut said = Said::default();
        event.record(&mut said);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(Fields(fields)) = span.extensions().get() {
                said.fields.extend(fields.iter().cloned());
            }
        }
        for text in said.fields.iter_mut().map(|(_, value)| value).chain([&mut said.message]) {
            if let Cow::Owned(line) = logging::one_line(text) {
                *text = line;
            }
        }
        let metadata = event.metadata();
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let thread = std::thread::current().name().unwrap_or("avtomatika").to_owned();
        let target = metadata.target().to_owned();
        bridge.lines.push((number(*metadata.level()), at, target, thread, said.message, said.fields));
        bridge.wake();
    }
}

/// What an event or a span says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a text never fails.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.fields.push((field.name(), format!("{value:?}")));
        }
    }
}
