//! The JSON format: an object per line, with time, level, message and fields, module, and the spans from the outermost on.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::level;
use crate::logging::clock::Clock;
use crate::logging::spans::{Key, SPANS, SpanFields};

pub(super) fn write_event(event: &Event<'_>, spans: &[Key], clock: &mut Clock, line: &mut String) {
    begin(*event.metadata().level(), clock, line);
    event.record(&mut Members(line));
    line.set("target", |line| write_text(event.metadata().target(), line));
    if !spans.is_empty() {
        line.push_str(",\"spans\":[");
        for (index, span) in spans.iter().rev().enumerate() {
            line.push_str(if index == 0 { "{" } else { ",{" });
            SPANS.show(*span, |name, fields| {
                for (name, value) in fields.members() {
                    write_text(name, line);
                    line.push(':');
                    line.push_str(value);
                    line.push(',');
                }
                line.push_str("\"name\":");
                write_text(name, line);
            });
            line.push('}');
        }
        line.push(']');
    }
    line.push('}');
}

fn begin(severity: Level, clock: &mut Clock, line: &mut String) {
    line.push_str("{\"timestamp\":\"");
    clock.write_now(line);
    line.push_str("\",\"level\":\"");
    line.push_str(level::name(severity).trim_start());
    line.push('"');
}

/// An object that fields become members of.
pub(super) trait Object {
    /// Whether they are those of a span: by tradition, some values look different there.
    const IS_SPAN: bool;

    /// Adds a member. The function writes its value.
    fn set(&mut self, name: &'static str, write: impl FnOnce(&mut String));
}

/// The object of a line, which has members already.
impl Object for String {
    const IS_SPAN: bool = false;

    fn set(&mut self, name: &'static str, write: impl FnOnce(&mut String)) {
        self.push(',');
        write_text(name, self);
        self.push(':');
        write(self);
    }
}

impl Object for SpanFields {
    const IS_SPAN: bool = true;

    fn set(&mut self, name: &'static str, write: impl FnOnce(&mut String)) {
        self.set(name, write);
    }
}

/// Adds fields to an object.
pub(super) struct Members<'a, O>(pub(super) &'a mut O);

impl<O: Object> Visit for Members<'_, O> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // The longest is `-2.2250738585072014e-308`.
        let mut digits = [0; 32];
        let mut rest = &mut digits[..];
        let written = serde_json::to_writer(&mut rest, &value).map(|()| 32 - rest.len());
        let text = written.ok().and_then(|length| str::from_utf8(&digits[..length]).ok()).unwrap_or("null");
        self.0.set(field.name(), |line| line.push_str(text));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        // Writing to a `String` fails only if the value does: then it has written less.
        self.0.set(field.name(), |line| _ = write!(line, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.set(field.name(), |line| _ = write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.set(field.name(), |line| line.push_str(if value { "true" } else { "false" }));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.set(field.name(), |line| write_text(value, line));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        if O::IS_SPAN {
            // Without its spaces, a list in Rust is one in JSON.
            let list = format!("{value:?}").replace(' ', "");
            self.0.set(field.name(), |line| line.push_str(&list));
        } else {
            let hexadecimal: Vec<String> = value.iter().map(|byte| format!("{byte:02x}")).collect();
            self.record_debug(field, &format_args!("[{}]", hexadecimal.join(" ")));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name();
        let name = if O::IS_SPAN { name.strip_prefix("r#").unwrap_or(name) } else { name };
        self.0.set(name, |line| {
            line.push('"');
            let _ = write!(Escaped(line), "{value:?}");
            line.push('"');
        });
    }
}

fn write_text(text: &str, line: &mut String) {
    line.push('"');
    let _ = Escaped(line).write_str(text);
    line.push('"');
}

/// Escapes what the texts of JSON cannot hold.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Without an early end, this is a few instructions per 16 bytes; most texts need no escape.
        if !text.bytes().fold(false, |found, byte| found | needs_escape(byte)) {
            self.0.push_str(text);
            return Ok(());
        }
        let mut copied = 0;
        for (index, byte) in text.bytes().enumerate() {
            if !needs_escape(byte) {
                continue;
            }
            self.0.push_str(&text[copied..index]);
            copied = index + 1;
            match byte {
                b'"' => self.0.push_str("\\\""),
                b'\\' => self.0.push_str("\\\\"),
                b'\n' => self.0.push_str("\\n"),
                b'\r' => self.0.push_str("\\r"),
                b'\t' => self.0.push_str("\\t"),
                0x08 => self.0.push_str("\\b"),
                0x0c => self.0.push_str("\\f"),
                _ => write!(self.0, "\\u{byte:04x}")?,
            }
        }
        self.0.push_str(&text[copied..]);
        Ok(())
    }
}

fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\')
}
