//! The log as people read it in a terminal: time, level, message, fields. The ids of a task are shortened.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::time::{SystemTime, UNIX_EPOCH};

use rxon::text::one_line;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The length of a shortened id: enough to tell the tasks of one terminal apart.
const ID_LENGTH: usize = 8;

const DIM: &str = "2";

/// Formats records for a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    pub(super) has_colours: bool,
}

impl Terminal {
    fn painted<'a>(self, text: &'a str, colour: &str) -> Cow<'a, str> {
        if self.has_colours && !text.is_empty() {
            Cow::Owned(format!("\u{1b}[{colour}m{text}\u{1b}[0m"))
        } else {
            Cow::Borrowed(text)
        }
    }
}

impl<S, N> FormatEvent<S, N> for Terminal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (level, colour) = match *event.metadata().level() {
            Level::ERROR => ("ERROR", "31"),
            Level::WARN => ("WARN ", "33"),
            Level::INFO => ("INFO ", "32"),
            Level::DEBUG => ("DEBUG", "34"),
            Level::TRACE => ("TRACE", "35"),
        };
        let mut parts = Parts { terminal: *self, message: String::new(), fields: String::new() };
        event.record(&mut parts);
        let time = self.painted(&time_of_day(SystemTime::now()), DIM).into_owned();
        write!(writer, "{time} {} {}{}", self.painted(level, colour), parts.message, parts.fields)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) =
                span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty())
            {
                write!(writer, "  {}", self.painted(&one_line(fields), DIM))?;
            }
        }
        writeln!(writer)
    }
}

/// The message and the other fields of a record, without secrets and control characters.
struct Parts {
    terminal: Terminal,
    message: String,
    fields: String,
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = one_line(&format!("{value:?}")).into_owned();
        } else {
            let separator = if self.fields.is_empty() { "  " } else { " " };
            let name = format!("{}=", field.name());
            self.fields.push_str(separator);
            self.fields.push_str(&self.terminal.painted(&name, DIM));
            self.fields.push_str(&one_line(&format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Formats the fields of spans: ids are shortened, and the orchestrator of a task is left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShortFields;

impl<'writer> FormatFields<'writer> for ShortFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut short = Short { writer, result: Ok(()), separator: "" };
        fields.record(&mut short);
        short.result
    }
}

struct Short<'writer> {
    writer: Writer<'writer>,
    result: fmt::Result,
    separator: &'static str,
}

impl Visit for Short<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.result.is_err() || matches!(field.name(), "orchestrator" | "trace_id" | "parent_span_id") {
            return;
        }
        let separator = std::mem::replace(&mut self.separator, " ");
        let mut text = format!("{value:?}");
        if field.name().ends_with("_id")
            && let Some((end, _)) = text.char_indices().nth(ID_LENGTH)
        {
            text.truncate(end);
        }
        self.result = write!(self.writer, "{separator}{}={text}", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// The time of day in UTC. The standard library knows no other.
fn time_of_day(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{:02}:{:02}:{:02}Z", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// Whether a terminal gets colours, by the values of `NO_COLOR` and `TERM`.
pub(super) fn has_colours(no_color: Option<&str>, term: Option<&str>) -> bool {
    no_color.is_none_or(str::is_empty) && term != Some("dumb")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rxon::secrets::Secrets;
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::tests::Written;
    use super::*;

    fn logged(has_colours: bool, emit: impl FnOnce()) -> String {
        let written = Written::default();
        let of_writer = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(ShortFields)
            .event_format(Terminal { has_colours })
            .with_writer(move || of_writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), emit);
        written.text()
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
    fn the_time_of_day_is_in_utc() {
        assert_eq!(time_of_day(UNIX_EPOCH + Duration::from_secs(86_400 * 3 + 3600 * 13 + 62)), "13:01:02Z");
    }

    #[test]
    fn no_color_and_dumb_terminals_are_honoured() {
        assert!(has_colours(None, Some("xterm")) && has_colours(Some(""), None));
        assert!(!has_colours(Some("1"), Some("xterm")) && !has_colours(None, Some("dumb")));
    }
}
