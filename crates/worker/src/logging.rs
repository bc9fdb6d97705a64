//! Logs on standard error, with the level `LOG_LEVEL` and in the format `LOG_FORMAT`.
//!
//! A program with a subscriber of its own does not need this module: the worker only emits [`tracing`] events. In these,
//! texts from orchestrators are already without secrets; texts from handlers are not, and their line ends are not escaped.
//! [`one_line`] does both.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::io;
use std::panic::PanicHookInfo;

use rxon::secrets::{Secrets, masked};
use tracing::field::display;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{LogFormat, WorkerConfig};
use crate::threads::panic_message;

/// Writes the remaining lines when it is dropped: keep it until `main` ends.
#[derive(Debug)]
#[must_use = "the log ends when it is dropped"]
pub struct LogGuard {
    _flushes_on_drop: Option<WorkerGuard>,
    _secrets: Secrets,
}

/// Installs the log of the process. Does nothing if there is one already.
///
/// Lines are written by a thread of their own, so that a slow reader never stops the worker; when 128,000 lines wait,
/// further ones are dropped. Panics are logged too: the panic hook of the process is replaced.
///
/// The secrets of this configuration, and of all workers in the process, are masked. In the text format each record is one
/// line: control characters are escaped (`\n`, `\t`, `\u{1b}` …).
pub fn init(config: &WorkerConfig) -> LogGuard {
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).finish(std::io::stderr());
    let level = LevelFilter::from_level(config.log_level);
    let base = fmt::layer().with_ansi(false);
    let base = base.with_writer(Lines { inner: writer, format: config.log_format });
    let layer = match config.log_format {
        LogFormat::Text => base.boxed(),
        // The list of spans has the innermost one, too: it need not be written twice.
        LogFormat::Json => base.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let installed = tracing_subscriber::registry().with(layer.with_filter(level)).try_init();
    // If a panic ends the process, the line would not be written.
    if installed.is_ok() && cfg!(panic = "unwind") {
        std::panic::set_hook(Box::new(log_panic));
    }
    LogGuard { _flushes_on_drop: installed.is_ok().then_some(guard), _secrets: config.hold_secrets() }
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
    struct Written(Arc<Mutex<Vec<u8>>>);

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
        let bytes = lock(&written.0).clone();
        String::from_utf8(bytes).expect("UTF-8")
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
    fn a_usual_text_is_not_copied() {
        assert!(matches!(one_line("task ended `ü`"), Cow::Borrowed(_)));
    }
}
