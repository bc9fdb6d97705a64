//! Logs on standard error, with the level `LOG_LEVEL` and in the format `LOG_FORMAT`.
//!
//! A program with a subscriber of its own does not need this module: the worker only emits [`tracing`] events. In these,
//! texts from orchestrators are already without secrets; texts from handlers are not, and their line ends are not escaped.
//! [`one_line`] does both.

mod clock;
mod format;
mod spans;
mod subscriber;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::env;
use std::io::{self, IsTerminal, Write as _};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use rxon::secrets::Secrets;
use tracing::field::display;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use self::format::Format;
use self::format::terminal::{Terminal, has_colours};
use self::subscriber::Log;
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
    let (levels, refused) =
        levels(LevelFilter::from_level(config.log_level), variable("RUST_LOG").as_deref());
    let format = match config.log_format {
        LogFormat::Text if io::stderr().is_terminal() => {
            let has_colours = has_colours(variable("NO_COLOR").as_deref(), variable("TERM").as_deref());
            Format::Terminal(Terminal { has_colours })
        }
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    let log = Log { levels, format, writer: writer.clone() };
    let installed = tracing::subscriber::set_global_default(log).is_ok();
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

#[cfg(test)]
mod tests;
