//! The text format: time, level, spans with their fields, module, message and fields.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};

use tracing::Event;
use tracing::field::{Field, Visit};

use super::level;
use crate::logging::clock::Clock;
use crate::logging::spans::{Key, SPANS};

pub(super) fn write_event(event: &Event<'_>, spans: &[Key], clock: &mut Clock, line: &mut String) {
    clock.write_now(line);
    line.push(' ');
    line.push_str(level::name(*event.metadata().level()));
    line.push(' ');
    for span in spans.iter().rev() {
        SPANS.show(*span, |name, fields| {
            line.push_str(name);
            if !fields.text.is_empty() {
                line.push('{');
                line.push_str(&fields.text);
                line.push('}');
            }
            line.push(':');
        });
    }
    if !spans.is_empty() {
        line.push(' ');
    }
    line.push_str(event.metadata().target());
    line.push_str(": ");
    event.record(&mut TextFields::new(line));
}

/// Writes fields as `name=value`, and the message alone.
pub(super) struct TextFields<'a> {
    line: &'a mut String,
    is_first: bool,
}

impl<'a> TextFields<'a> {
    pub(super) fn new(line: &'a mut String) -> Self {
        Self { line, is_first: true }
    }

    /// Writes the name of a field, and returns the start of its value.
    fn begin(&mut self, field: &Field) -> usize {
        if !std::mem::take(&mut self.is_first) {
            self.line.push(' ');
        }
        let name = field.name();
        if name != "message" {
            self.line.push_str(name.strip_prefix("r#").unwrap_or(name));
            self.line.push('=');
        }
        self.line.len()
    }
}

impl Visit for TextFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let start = self.begin(field);
        // Writing to a `String` fails only if the value does: then it has written less.
        let _ = write!(self.line, "{value}");
        if let Some(source) = value.source() {
            let _ = write!(self.line, " {}.sources={:?}", field.name(), Sources(source));
        }
        without_controls(self.line, start);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let start = self.begin(field);
        let _ = write!(self.line, "{value:?}");
        if field.name() == "message" {
            without_controls(self.line, start);
        }
    }
}

/// An error and those behind it.
struct Sources<'a>(&'a (dyn Error + 'static));

impl Debug for Sources<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = std::iter::successors(Some(self.0), |error| (*error).source());
        formatter.debug_list().entries(errors.map(|error| Plain(error.to_string()))).finish()
    }
}

/// A text that is shown as it is.
struct Plain(String);

impl Debug for Plain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Escapes the characters that control a terminal from a place on, as `tracing-subscriber` does in messages and errors:
/// programs that read logs know the form. The others are escaped with the rest of the line.
fn without_controls(line: &mut String, start: usize) {
    let is_control =
        |character: char| matches!(character, '\u{1b}' | '\u{7}' | '\u{8}' | '\u{c}' | '\u{7f}'..='\u{9f}');
    if !line[start..].contains(is_control) {
        return;
    }
    let tail = line.split_off(start);
    for character in tail.chars() {
        let _ = match character {
            _ if !is_control(character) => line.write_char(character),
            '\u{80}'.. => write!(line, "\\u{{{:x}}}", u32::from(character)),
            _ => write!(line, "\\x{:02x}", u32::from(character)),
        };
    }
}
