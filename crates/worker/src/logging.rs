//! Logs on standard error, as `LOG_LEVEL` and `LOG_FORMAT` say.
//!
//! A program that has a subscriber of its own leaves this alone: the worker only emits [`tracing`] events.

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{LogFormat, WorkerConfig};

/// Writes what is left when it is dropped: keep it until `main` ends.
#[derive(Debug)]
#[must_use = "lines are lost that were not written when it is dropped"]
pub struct LogGuard {
    _flushes_on_drop: Option<WorkerGuard>,
}

/// Installs the process's log. Does nothing where there is one already.
///
/// Lines are written by a thread of their own, so that a reader that does not keep up never stops the worker; beyond
/// 128,000 waiting ones lines are dropped.
pub fn init(config: &WorkerConfig) -> LogGuard {
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).finish(std::io::stderr());
    let level = LevelFilter::from_level(config.log_level);
    let base = fmt::layer().with_writer(writer).with_ansi(false);
    let layer = match config.log_format {
        LogFormat::Text => base.boxed(),
        // All spans are listed, the innermost among them: what it says need not stand there twice.
        LogFormat::Json => base.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let installed = tracing_subscriber::registry().with(layer.with_filter(level)).try_init();
    LogGuard { _flushes_on_drop: installed.is_ok().then_some(guard) }
}
