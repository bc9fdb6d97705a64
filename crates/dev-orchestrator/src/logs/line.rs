//! One line of a log: its text, and what a program says beside it in a JSON line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::LogSource;

/// The longest text of a line, and of its other members together, in bytes.
const MAX_TEXT: usize = 8 * 1024;

/// A longer line is not read as JSON, in bytes.
const MAX_JSON: usize = 256 * 1024;

/// The longest name of a level and of a worker, in characters.
const MAX_NAME: usize = 128;

/// A line that is to be kept.
#[derive(Debug, Clone)]
pub(crate) struct NewLine {
    /// The time that the program says, in seconds since 1970; `None` for now.
    pub(crate) at: Option<f64>,
    pub(crate) level: Option<String>,
    pub(crate) text: String,
    /// The other members of a JSON line, an object.
    pub(crate) fields: Option<Box<RawValue>>,
    /// Whether the text or the fields were too long.
    pub(crate) is_cut: bool,
    pub(crate) source: LogSource,
    /// The worker; empty if it is unknown.
    pub(crate) worker_id: String,
    /// The task or job id that the program says.
    pub(crate) task_id: Option<String>,
}

/// A line that is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// The number, higher than that of every line before it.
    pub(crate) n: u64,
    /// In seconds since 1970.
    pub(crate) at: f64,
    pub(crate) level: Option<String>,
    pub(crate) text: String,
    pub(crate) source: LogSource,
    pub(crate) worker_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fields: Option<Box<RawValue>>,
    #[serde(default, rename = "cut", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_cut: bool,
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

impl NewLine {
    /// Reads a line of a program. A JSON line with a message has its level, its task, and other members beside the text;
    /// any other line is the text itself.
    pub(crate) fn read(worker_id: &str, source: LogSource, line: &[u8]) -> Self {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let worker_id = crate::text::cut(worker_id, MAX_NAME);
        let plain = Self {
            at: None,
            level: None,
            text: String::new(),
            fields: None,
            is_cut: false,
            source,
            worker_id,
            task_id: None,
        };
        let members = (line.first() == Some(&b'{') && line.len() <= MAX_JSON)
            .then(|| serde_json::from_slice::<Members<'_>>(line).ok())
            .flatten();
        if let Some(line) = members.and_then(|members| plain.clone().structured(members)) {
            return line;
        }
        // Longer than the limit in characters of any length, and cut to it below.
        let (line, is_long) =
            line.split_at_checked(4 * MAX_TEXT).map_or((line, false), |(line, _)| (line, true));
        let (text, is_cut) = cut_text(&String::from_utf8_lossy(line));
        Self { text, is_cut: is_cut || is_long, ..plain }
    }

    /// Returns the line with these members; `None` without a message.
    fn structured(self, mut members: Members<'_>) -> Option<Self> {
        let mut inner = inner_members(&members, "fields");
        let message = ["message", "msg", "event"]
            .into_iter()
            .find_map(|name| take_text(&mut members, name).or_else(|| take_text(inner.as_mut()?, name)))?;
        if let Some(inner) = inner {
            members.remove("fields");
            for (name, value) in inner {
                members.entry(name).or_insert(value);
            }
        }
        let level =
            ["level", "levelname", "severity"].into_iter().find_map(|name| take_text(&mut members, name));
        let task_id = take_text(&mut members, "task_id").or_else(|| task_of_spans(&members));
        for known in ["timestamp", "asctime", "time", "task_id", "worker_id"] {
            members.remove(known);
        }
        let (text, is_text_cut) = cut_text(&message);
        let (fields, are_fields_cut) = cut_fields(&members);
        Some(Self {
            level: level.map(|level| crate::text::cut(&level.to_uppercase(), MAX_NAME)),
            text,
            fields,
            is_cut: is_text_cut || are_fields_cut,
            task_id,
            ..self
        })
    }
}

impl Line {
    /// The memory of the line, in bytes, about.
    pub(super) fn weight(&self) -> usize {
        const OVERHEAD: usize = 256;
        OVERHEAD + self.text.len() + self.fields.as_ref().map_or(0, |fields| fields.get().len())
    }
}

/// Returns at most 8 KiB of a text, and whether there was more.
pub(crate) fn cut_text(text: &str) -> (String, bool) {
    if text.len() <= MAX_TEXT {
        return (text.to_owned(), false);
    }
    (text[..text.floor_char_boundary(MAX_TEXT)].to_owned(), true)
}

/// Returns members as one object, unless they are too long, and whether they were.
pub(crate) fn cut_fields(members: &impl Serialize) -> (Option<Box<RawValue>>, bool) {
    match to_raw_value(members) {
        Ok(fields) if fields.get() == "{}" => (None, false),
        Ok(fields) if fields.get().len() <= MAX_TEXT => (Some(fields), false),
        _ => (None, true),
    }
}

fn take_text(members: &mut Members<'_>, name: &str) -> Option<String> {
    let text = text_of(members, name)?;
    members.remove(name);
    Some(text)
}

fn text_of(members: &Members<'_>, name: &str) -> Option<String> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

/// Returns the members of a member that is an object: subscribers of `tracing` have the message in `fields`.
fn inner_members<'a>(members: &Members<'a>, name: &str) -> Option<Members<'a>> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

/// Returns the task of the innermost span that has one.
fn task_of_spans(members: &Members<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Span {
        task_id: Option<String>,
    }
    let of = |name: &str| members.get(name).map(|value| value.get());
    let own = of("span").and_then(|span| serde_json::from_str::<Span>(span).ok()?.task_id);
    own.or_else(|| {
        let spans: Vec<Span> = serde_json::from_str(of("spans")?).ok()?;
        spans.into_iter().rev().find_map(|span| span.task_id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: impl AsRef<[u8]>) -> NewLine {
        NewLine::read("w", LogSource::Stderr, line.as_ref())
    }

    #[test]
    fn the_json_lines_of_known_loggers_are_understood() {
        let rows = [
            // The worker's own, in Rust and Python.
            r#"{"timestamp":"t","level":"INFO","message":"hello","size":1,"spans":[{"name":"a"},{"task_id":"t1","name":"task"}]}"#,
            r#"{"asctime":"t","levelname":"INFO","message":"hello","worker_id":"w","task_id":"t1","size":1,"name":"x"}"#,
            // tracing-subscriber's, and structlog's.
            r#"{"timestamp":"t","level":"INFO","fields":{"message":"hello","size":1},"span":{"task_id":"t1"},"spans":[]}"#,
            r#"{"event":"hello","level":"info","task_id":"t1","size":1}"#,
        ];
        for row in rows {
            let line = read(row);
            assert_eq!(
                (line.text.as_str(), line.level.as_deref(), line.task_id.as_deref()),
                ("hello", Some("INFO"), Some("t1")),
                "{row}"
            );
            let fields: serde_json::Value =
                serde_json::from_str(line.fields.expect("fields").get()).expect("JSON");
            assert_eq!(fields["size"], 1, "{row}");
            assert!(fields.get("message").is_none() && fields.get("timestamp").is_none(), "{fields}");
        }
    }

    #[test]
    fn any_other_line_is_text() {
        for row in ["", "hello", "{", "{}", r#"{"message": 5}"#, r#"{"level": "INFO"}"#, "[1]", "5", "\"a\""]
        {
            let line = read(format!("{row}\r\n"));
            assert_eq!((line.text.as_str(), line.level, line.task_id), (row, None, None));
            assert!(line.fields.is_none() && !line.is_cut, "{row}");
        }
        assert_eq!(read(b"a\xff\xfeb").text, "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let line = read("ж".repeat(1_000_000));
        assert_eq!((line.text.len(), line.is_cut), (8 * 1024, true));
        let line = read(format!("a{}", "ж".repeat(5000)));
        assert_eq!((line.text.len(), line.is_cut), (8 * 1024 - 1, true));
        assert!(!read("x".repeat(8 * 1024)).is_cut);
        let long = "x".repeat(9000);
        let line = read(format!(r#"{{"message":"{long}","task_id":"t1","more":"{long}"}}"#));
        assert_eq!((line.text.len(), line.is_cut, line.task_id.as_deref()), (8 * 1024, true, Some("t1")));
        assert!(line.fields.is_none());
    }

    #[test]
    fn numbers_in_fields_are_exact() {
        let line = read(r#"{"message":"m","n":12345678901234567890123,"f":1.10}"#);
        assert_eq!(line.fields.expect("fields").get(), r#"{"f":1.10,"n":12345678901234567890123}"#);
    }
}
