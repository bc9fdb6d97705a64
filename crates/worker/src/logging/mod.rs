//! Logs on standard error, with the level `LOG_LEVEL` and in the format `LOG_FORMAT`.
//!
//! A program with a subscriber of its own does not need this module: the worker only emits [`tracing`] events. In these,
//! texts from orchestrators are already without secrets; texts from handlers are not, and their line ends are not escaped.
//! [`one_line`] does both.

mod terminal;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::env;
use std::io::{self, IsTerminal, Write as _};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use rxon::secrets::{Secrets, masked};
use tracing::field::display;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use self::terminal::{ShortFields, Terminal, has_colours};
use self::writer::LineWriter;
use crate::config::{LogFormat, WorkerConfig};
use crate::threads::panic_message;

/// The time that the last lines have to be written before the process may end.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The log of the process, once it is installed.
static WRITER: OnceLock<LineWriter> = OnceLock::new();

/// Writes the remaining lines when it is dropped: keep it until `main` ends.
#[derive(Debug)]
#[must_use = "the log ends when it is dropped"]
pub struct LogGuard {
    thread: Option<(LineWriter, JoinHandle<()>)>,
    _secrets: Secrets,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let Some((writer, thread)) = self.thread.take() else { return };
        writer.close();
        // A thread that is held up by a slow reader is left behind.
        if writer.flush(FLUSH_LIMIT) {
            let _ = thread.join();
        }
    }
}

/// Installs the log of the process. Does nothing if there is one already.
///
/// Lines are written by a thread of their own, so that a slow reader never stops the worker; when 16 MiB of text wait,
/// further lines are dropped and counted. Panics are logged too: the panic hook of the process is replaced.
///
/// In a terminal a line of the text format is short: time, level, message and fields, in colours unless `NO_COLOR` is
/// set; of a task's ids it has the first 8 characters. Elsewhere it is complete.
///
/// `LOG_LEVEL` is the level of all lines. `RUST_LOG`, if set, wins where it says something: `RUST_LOG=debug` replaces
/// the level, `RUST_LOG=avtomatika_worker::session=trace,hyper=info` only that of the modules named.
///
/// The secrets of this configuration, and of all workers in the process, are masked. In the text format each record is one
/// line: control characters are escaped (`\n`, `\t`, `\u{1b}` …).
pub fn init(config: &WorkerConfig) -> LogGuard {
    let secrets = config.hold_secrets();
    let variable = |name| env::var(name).ok();
    let (writer, thread) = match LineWriter::start(io::stderr(), config.log_format) {
        Ok(started) => started,
        Err(error) => {
            let _ =
                writeln!(io::stderr(), "error: no log: the thread that writes it cannot be started: {error}");
            return LogGuard { thread: None, _secrets: secrets };
        }
    };
    let (filter, refused) =
        levels(LevelFilter::from_level(config.log_level), variable("RUST_LOG").as_deref());
    let lines = Lines { inner: writer.clone(), format: config.log_format };
    let layer = match config.log_format {
        LogFormat::Text if io::stderr().is_terminal() => {
            let colours = has_colours(variable("NO_COLOR").as_deref(), variable("TERM").as_deref());
            let format = Terminal { has_colours: colours };
            fmt::layer().fmt_fields(ShortFields).event_format(format).with_writer(writer.clone()).boxed()
        }
        LogFormat::Text => fmt::layer().with_ansi(false).with_writer(lines).boxed(),
        // The list of spans has the innermost one, too: it need not be written twice.
        LogFormat::Json => {
            let layer = fmt::layer().with_ansi(false).with_writer(lines);
            layer.json().flatten_event(true).with_current_span(false).boxed()
        }
    };
    let installed = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok();
    if installed {
        let _ = WRITER.set(writer.clone());
        // If a panic ends the process, the line would not be written.
        if cfg!(panic = "unwind") {
            std::panic::set_hook(Box::new(log_panic));
        }
        if let Some(refused) = refused {
            tracing::warn!("{refused}");
        }
    }
    LogGuard { thread: Some((writer, thread)), _secrets: secrets }
}

/// Waits until the lines so far are written, for at most a second. Does nothing in a program with a log of its own.
pub(crate) fn flush() {
    if let Some(writer) = WRITER.get() {
        writer.flush(FLUSH_LIMIT);
    }
}

/// The levels that `LOG_LEVEL` and `RUST_LOG` ask for, and what is wrong with the latter.
fn levels(level: LevelFilter, rust_log: Option<&str>) -> (Targets, Option<String>) {
    let Some(text) = rust_log.filter(|text| !text.is_empty()) else {
        return (Targets::new().with_default(level), None);
    };
    let (asked, refused) = match text.parse::<Targets>() {
        Ok(asked) => (asked, None),
        Err(error) => {
            let expected = "expected levels and modules, as in `info,avtomatika_worker=debug`";
            (
                Targets::new(),
                Some(format!("`RUST_LOG` is `{}` ({error}), {expected}: ignored", one_line(text))),
            )
        }
    };
    let level = asked.default_level().unwrap_or(level);
    (asked.with_default(level), refused)
}

/// Logs a panic with the task in which it happened, and with a backtrace if `RUST_BACKTRACE` asks for it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic_message(panic.payload());
    let location = panic.location().map(display);
    let thread = std::thread::current().name().map(str::to_owned);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| display(backtrace));
    tracing::error!(location, thread, backtrace, "panicked: {message}");
}

/// Prepares a text for a log: the secrets of all workers in this process become `***`, and characters that would end the
/// line or control a terminal are escaped (`\n`, `\t`, `\u{1b}` …).
///
/// For programs that write their log themselves; the log of [`init`] is already like this.
///
/// ```
/// use avtomatika_worker::logging::one_line;
///
/// assert_eq!(one_line("no route\n\u{1b}[2J"), r"no route\n\u{1b}[2J");
/// ```
pub fn one_line(text: &str) -> Cow<'_, str> {
    rxon::text::one_line(text)
}

/// Turns the records of the formatter into lines without secrets. Each call writes one whole record.
#[derive(Debug, Clone)]
struct Lines<W> {
    inner: W,
    format: LogFormat,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Lines<W> {
    type Writer = Lines<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines { inner: self.inner.make_writer(), format: self.format }
    }
}

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        let mut line = match self.format {
            LogFormat::Text => one_line(text),
            // JSON has its own way of escaping.
            LogFormat::Json => masked(text),
        }
        .into_owned();
        line.push_str(end);
        self.inner.write_all(line.as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
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

    /// The lines of a record with the same text in every place that can hold a text.
    fn logged(format: LogFormat, text: &'static str) -> String {
        let written = Written::default();
        let of_writer = written.clone();
        let lines = Lines { inner: move || of_writer.clone(), format };
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines);
        let emit = || {
            tracing::error_span!("span", shown = %text, quoted = ?text, text).in_scope(|| {
                let error: &(dyn std::error::Error + 'static) = &io::Error::other(text);
                tracing::error!(shown = %text, quoted = ?text, text, error, "said: {text}");
            });
        };
        match format {
            LogFormat::Text => tracing::subscriber::with_default(subscriber.finish(), emit),
            LogFormat::Json => tracing::subscriber::with_default(subscriber.json().finish(), emit),
        }
        written.text()
    }

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = logged(format, "a\nb\rc\u{1b}[2J\u{85}\u{2028}d\te\u{7f}");
            assert_eq!(log.matches('\n').count(), 1, "{log}");
            assert!(log.ends_with('\n'), "{log}");
            assert!(!log.contains('\u{1b}') && !log.contains('\r'), "{log:?}");
        }
        let log = logged(LogFormat::Text, "a\nb\u{85}\u{2028}\u{7f}");
        assert!(
            !log.trim_end_matches('\n').contains(|char: char| char.is_control() || char == '\u{2028}'),
            "{log:?}"
        );
        assert!(log.contains(r"said: a\nb"), "{log}");
    }

    #[test]
    fn no_place_of_a_record_shows_a_secret() {
        let _held = Secrets::new(["written-\"token\"-1".to_owned()]);
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = logged(format, "a written-\"token\"-1 b");
            assert!(!log.contains("written") && log.contains("a *** b"), "{log}");
        }
    }

    #[test]
    fn a_line_of_json_stays_json() {
        let log = logged(LogFormat::Json, "a\nb\u{7f}");
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
}
