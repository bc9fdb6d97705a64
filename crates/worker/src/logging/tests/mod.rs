//! The log as a whole. `recorded/` has the lines of every format.

mod examples;

use std::sync::{Arc, Mutex};

use rxon::secrets::Secrets;

use super::*;
use crate::threads::lock;

#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(super) fn text(&self) -> String {
        String::from_utf8(lock(&self.0).clone()).expect("UTF-8")
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that a function logs, whatever their level.
pub(super) fn lines_of(format: Format, emit: impl FnOnce()) -> String {
    let written = Written::default();
    let (writer, thread) = LineWriter::start(written.clone(), LogFormat::Text).expect("a thread");
    let levels = Targets::new().with_default(LevelFilter::TRACE);
    tracing::subscriber::with_default(Log { levels, format, writer: writer.clone() }, emit);
    writer.close();
    thread.join().expect("it ends");
    written.text()
}

/// The lines of a record with the same text in every place that can hold a text.
fn logged(format: Format, text: &'static str) -> String {
    lines_of(format, || {
        tracing::error_span!("span", shown = %text, quoted = ?text, text).in_scope(|| {
            let error: &(dyn std::error::Error + 'static) = &io::Error::other(text);
            tracing::error!(shown = %text, quoted = ?text, text, error, "said: {text}");
        });
    })
}

#[test]
fn a_record_is_one_line_whatever_is_in_it() {
    for format in [Format::Text, Format::Json] {
        let log = logged(format, "a\nb\rc\u{1b}[2J\u{85}\u{2028}d\te\u{7f}");
        assert_eq!(log.matches('\n').count(), 1, "{log}");
        assert!(log.ends_with('\n'), "{log}");
        assert!(!log.contains('\u{1b}') && !log.contains('\r'), "{log:?}");
    }
    let log = logged(Format::Text, "a\nb\u{85}\u{2028}\u{7f}");
    assert!(
        !log.trim_end_matches('\n').contains(|char: char| char.is_control() || char == '\u{2028}'),
        "{log:?}"
    );
    assert!(log.contains(r"said: a\nb"), "{log}");
}

#[test]
fn no_place_of_a_record_shows_a_secret() {
    let _held = Secrets::new(["written-\"token\"-1".to_owned()]);
    for format in [Format::Text, Format::Json] {
        let log = logged(format, "a written-\"token\"-1 b");
        assert!(!log.contains("written") && log.contains("a *** b"), "{log}");
    }
}

#[test]
fn a_line_of_json_stays_json() {
    let log = logged(Format::Json, "a\nb\u{7f}");
    assert!(serde_json::from_str::<serde_json::Value>(&log).is_ok(), "{log}");
}

#[test]
fn rust_log_wins_where_it_says_something() {
    use tracing::Level;

    let shown = |rust_log, target, level| {
        let (levels, refused) = levels(LevelFilter::INFO, rust_log);
        assert_eq!(refused.is_some(), rust_log == Some("a=b=c"), "{refused:?}");
        levels.would_enable(target, &level)
    };
    for nothing in [None, Some(""), Some("a=b=c")] {
        assert!(shown(nothing, "avtomatika_worker", Level::INFO), "{nothing:?}");
        assert!(!shown(nothing, "avtomatika_worker", Level::DEBUG), "{nothing:?}");
    }
    let debug = Some("debug");
    assert!(shown(debug, "anything", Level::DEBUG) && !shown(debug, "anything", Level::TRACE));
    let one = Some("avtomatika_worker::session=trace");
    assert!(shown(one, "avtomatika_worker::session::driver", Level::TRACE));
    assert!(shown(one, "other", Level::INFO) && !shown(one, "other", Level::DEBUG));
    assert!(!shown(Some("off,a=info"), "b", Level::ERROR));
}

#[test]
fn a_usual_text_is_not_copied() {
    assert!(matches!(one_line("task ended `ü`"), Cow::Borrowed(_)));
}

fn without_time(line: &str) -> String {
    let end = line.find('Z').map_or(0, |end| end + 1);
    let (time, rest) = line.split_at(end);
    // Of a coloured time, the colour stays.
    let (before, time) = time.split_at(time.rfind('m').map_or(0, |end| end + 1));
    format!("{before}{}{rest}", time.replace(|digit: char| digit.is_ascii_digit(), "d"))
}

/// `UPDATE_LOG_LINES=1` writes the files anew after a deliberate change.
#[test]
fn every_format_is_as_recorded() {
    let _held = Secrets::new([examples::SECRET.to_owned()]);
    let terminal = |has_colours| Format::Terminal(Terminal { has_colours });
    let formats = [
        ("text", Format::Text),
        ("json", Format::Json),
        ("terminal", terminal(false)),
        ("colours", terminal(true)),
    ];
    for (name, format) in formats {
        let path = format!("{}/src/logging/recorded/{name}.log", env!("CARGO_MANIFEST_DIR"));
        let lines = lines_of(format, examples::emit);
        let lines: String = lines.lines().map(|line| without_time(line) + "\n").collect();
        if env::var_os("UPDATE_LOG_LINES").is_some() {
            std::fs::write(&path, &lines).expect("written");
        }
        let recorded = std::fs::read_to_string(&path).expect("the recorded lines");
        for (number, (line, recorded)) in lines.lines().zip(recorded.lines()).enumerate() {
            assert_eq!(line, recorded, "{name}, line {}", number + 1);
        }
        assert_eq!(lines.lines().count(), recorded.lines().count(), "{name}");
    }
}

#[test]
fn a_span_ends_with_its_last_handle_and_its_place_is_used_again() {
    let log = lines_of(Format::Text, || {
        for number in 0..3 {
            let outer = tracing::info_span!("outer", number);
            let inner = tracing::info_span!(parent: &outer, "inner");
            drop(outer);
            inner.in_scope(|| tracing::info!("inside"));
            let again = inner.clone();
            drop(inner);
            again.in_scope(|| tracing::Span::current().in_scope(|| tracing::info!("still inside")));
        }
        tracing::info!("outside");
    });
    for number in 0..3 {
        let spans = format!("outer{{number={number}}}:inner: ");
        assert_eq!(log.matches(&spans).count(), 2, "{log}");
    }
    assert!(log.ends_with(" INFO avtomatika_worker::logging::tests: outside\n"), "{log}");
}

#[test]
fn the_current_span_goes_with_work_to_another_thread() {
    let log = lines_of(Format::Text, || {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let span = tracing::info_span!("task", number = 1).in_scope(tracing::Span::current);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    span.in_scope(|| tracing::info!("on a thread"));
                    tracing::info!("without it");
                });
            });
        });
    });
    assert!(log.contains(" task{number=1}: avtomatika_worker::logging::tests: on a thread\n"), "{log}");
    assert!(log.contains(" INFO avtomatika_worker::logging::tests: without it\n"), "{log}");
}

#[test]
fn a_line_that_is_not_asked_for_costs_nothing_and_spans_keep_theirs() {
    let written = Written::default();
    let (writer, thread) = LineWriter::start(written.clone(), LogFormat::Text).expect("a thread");
    let levels = Targets::new().with_default(LevelFilter::WARN);
    let log = Log { levels, format: Format::Text, writer: writer.clone() };
    tracing::subscriber::with_default(log, || {
        let span = tracing::error_span!("task", task_id = %"t1");
        let _entered = span.enter();
        assert!(tracing::info_span!("of a handler").is_disabled());
        tracing::info!("value: {:?}", Never);
        tracing::warn!("a warning");
    });
    writer.close();
    thread.join().expect("it ends");
    let text = written.text();
    assert!(
        text.ends_with("  WARN task{task_id=t1}: avtomatika_worker::logging::tests: a warning\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
}

/// A value that must not be formatted.
struct Never;

impl std::fmt::Debug for Never {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        unreachable!("nobody asked for the line")
    }
}
