//! The log as people read it in a terminal: time, level, message, fields. The ids of a task are shortened.

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::time::SystemTime;

use rxon::text::one_line;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::level;
use crate::logging::clock::write_time_of_day;
use crate::logging::spans::{Key, SPANS};

/// The length of a shortened id: enough to tell the tasks of one terminal apart.
const ID_LENGTH: usize = 8;

const DIM: &str = "2";

/// Writes lines for a terminal.
#[derive(Debug, Clone, Copy)]
pub(in crate::logging) struct Terminal {
    pub(in crate::logging) has_colours: bool,
}

impl Terminal {
    pub(super) fn write_event(self, event: &Event<'_>, spans: &[Key], line: &mut String) {
        let severity = *event.metadata().level();
        let colour = match severity {
            Level::ERROR => "31",
            Level::WARN => "33",
            Level::INFO => "32",
            Level::DEBUG => "34",
            Level::TRACE => "35",
        };
        self.paint(DIM, line, |line| write_time_of_day(SystemTime::now(), line));
        line.push(' ');
        self.paint(colour, line, |line| _ = write!(line, "{:<5}", level::name(severity).trim_start()));
        line.push(' ');
        let mut fields = String::new();
        event.record(&mut Parts { terminal: self, message: line, fields: &mut fields });
        line.push_str(&fields);
        for span in spans {
            SPANS.show(*span, |_, fields| {
                if !fields.text.is_empty() {
                    line.push_str("  ");
                    self.paint(DIM, line, |line| line.push_str(&one_line(&fields.text)));
                }
            });
        }
    }

    /// Writes a text, which is not empty, in a colour.
    fn paint(self, colour: &str, line: &mut String, write: impl FnOnce(&mut String)) {
        if !self.has_colours {
            return write(line);
        }
        line.extend(["\u{1b}[", colour, "m"]);
        write(line);
        line.push_str("\u{1b}[0m");
    }
}

/// The message and the other fields of a record, without secrets and control characters.
struct Parts<'a> {
    terminal: Terminal,
    message: &'a mut String,
    fields: &'a mut String,
}

impl Visit for Parts<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.message.push_str(&one_line(&value));
        } else {
            self.fields.push_str(if self.fields.is_empty() { "  " } else { " " });
            self.terminal.paint(DIM, self.fields, |fields| fields.extend([field.name(), "="]));
            self.fields.push_str(&one_line(&value));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Writes the fields of spans: ids are shortened, and the orchestrator of a task is left out.
pub(super) struct ShortFields<'a>(pub(super) &'a mut String);

impl Visit for ShortFields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name();
        if matches!(name, "orchestrator" | "trace_id" | "parent_span_id") {
            return;
        }
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.extend([name, "="]);
        let start = self.0.len();
        // Writing to a `String` fails only if the value does: then it has written less.
        let _ = write!(self.0, "{value:?}");
        if name.ends_with("_id")
            && let Some((end, _)) = self.0[start..].char_indices().nth(ID_LENGTH)
        {
            self.0.truncate(start + end);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Whether a terminal gets colours, by the values of `NO_COLOR` and `TERM`.
pub(in crate::logging) fn has_colours(no_color: Option<&str>, term: Option<&str>) -> bool {
    no_color.is_none_or(str::is_empty) && term != Some("dumb")
}

#[cfg(test)]
mod tests {
    use rxon::secrets::Secrets;

    use super::*;
    use crate::logging::format::Format;
    use crate::logging::tests::lines_of;

    fn logged(has_colours: bool, emit: impl FnOnce()) -> String {
        lines_of(Format::Terminal(Terminal { has_colours }), emit)
    }

    fn a_task_ends() {
        let span = tracing::error_span!(
            "task",
            task_id = %"0123456789abcdef",
            job_id = %"üüüüüüüüü",
            orchestrator = %"http://127.0.0.1:8080"
        );
        span.in_scope(|| tracing::info!(task = "echo", seconds = 0.5, "task ended: success"));
    }

    #[test]
    fn a_line_is_time_level_message_fields_and_short_ids() {
        let line = logged(false, a_task_ends);
        let (time, rest) = line.split_once(' ').expect("a time");
        assert_eq!(
            rest,
            "INFO  task ended: success  task=echo seconds=0.5  task_id=01234567 job_id=üüüüüüüü\n"
        );
        assert_eq!((time.len(), time.ends_with('Z')), (9, true), "{time}");
        let coloured = logged(true, a_task_ends);
        assert!(
            coloured.contains("\u{1b}[32mINFO \u{1b}[0m task ended: success  \u{1b}[2mtask=\u{1b}[0mecho"),
            "{coloured:?}"
        );
    }

    #[test]
    fn only_our_own_colours_reach_the_terminal() {
        let _held = Secrets::new(["a-secret-of-the-terminal".to_owned()]);
        let hostile = "a-secret-of-the-terminal\n\u{1b}[2J";
        for has_colours in [false, true] {
            let line = logged(has_colours, || {
                tracing::error_span!("span", text = %hostile).in_scope(|| {
                    tracing::error!(shown = %hostile, quoted = ?hostile, hostile, "{hostile}");
                });
            });
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            assert!(!line.contains("[2J") || !line.contains("\u{1b}[2J"), "{line:?}");
            assert!(!line.contains("a-secret"), "{line:?}");
        }
    }

    #[test]
    fn no_color_and_dumb_terminals_are_honoured() {
        assert!(has_colours(None, Some("xterm")) && has_colours(Some(""), None));
        assert!(!has_colours(Some("1"), Some("xterm")) && !has_colours(None, Some("dumb")));
    }
}
