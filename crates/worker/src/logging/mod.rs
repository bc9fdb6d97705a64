//! Logs on standard error, with the level `LOG_LEVEL` and in the format `LOG_FORMAT`.
//!
//! A program with a subscriber of its own does not need this module: the worker only emits [`tracing`] events. In these,
//! texts from orchestrators are already without secrets; texts from handlers are not, and their line ends are not escaped.
//! [`one_line`] does both.

mod line;

pub use line::one_line;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use rxon::secrets::Secrets;
use tracing::field::display;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use self::line::{Form, Lines};
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
    let layer = match config.log_format {
        LogFormat::Text => base.with_writer(Lines::new(writer, Form::Text)).boxed(),
        // The list of spans has the innermost one, too: it need not be written twice.
        LogFormat::Json => {
            let base = base.json().flatten_event(true).with_current_span(false);
            base.with_writer(Lines::new(writer, Form::Json)).boxed()
        }
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
