//! Logs on standard error, as `LOG_LEVEL` and `LOG_FORMAT` say.
//!
//! A program that has a subscriber of its own leaves this alone: the worker only emits [`tracing`] events. In these, texts
//! of orchestrators are without secrets already; handlers' words are not, and line ends in them are not escaped:
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

/// Writes what is left when it is dropped: keep it until `main` ends.
#[derive(Debug)]
#[must_use = "lines are lost that were not written when it is dropped"]
pub struct LogGuard {
    _flushes_on_drop: Option<WorkerGuard>,
    _secrets: Secrets,
}

/// Installs the process's log. Does nothing where there is one already.
///
/// Lines are written by a thread of their own, so that a reader that does not keep up never stops the worker; beyond
/// 128,000 waiting ones lines are dropped. Panics are lines of it, too: the process's panic hook is replaced.
///
/// Whatever is written is without secrets, those of this configuration and those of workers that live. As text each
/// record is one line: control characters are escaped (`\n`, `\t`, `\u{1b}` …).
pub fn init(config: &WorkerConfig) -> LogGuard {
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).finish(std::io::stderr());
    let level = LevelFilter::from_level(config.log_level);
    let base = fmt::layer().with_ansi(false);
    let layer = match config.log_format {
        LogFormat::Text => base.with_writer(Lines::new(writer, Form::Text)).boxed(),
        // All spans are listed, the innermost among them: what it says need not stand there twice.
        LogFormat::Json => {
            let base = base.json().flatten_event(true).with_current_span(false);
            base.with_writer(Lines::new(writer, Form::Json)).boxed()
        }
    };
    let installed = tracing_subscriber::registry().with(layer.with_filter(level)).try_init();
    // Where a panic ends the process, nobody would write the line.
    if installed.is_ok() && cfg!(panic = "unwind") {
        std::panic::set_hook(Box::new(say_panic));
    }
    LogGuard { _flushes_on_drop: installed.is_ok().then_some(guard), _secrets: config.hold_secrets() }
}

/// A panic is a line like any other, with the task it is in; with where it came from as `RUST_BACKTRACE` says.
fn say_panic(panic: &PanicHookInfo<'_>) {
    let message = panic_message(panic.payload());
    let location = panic.location().map(display);
    let thread = std::thread::current().name().map(str::to_owned);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| display(backtrace));
    tracing::error!(location, thread, backtrace, "panicked: {message}");
}
