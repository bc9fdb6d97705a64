//! Log lines, captured so that a test can read them.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Level};
use tracing_subscriber::fmt::MakeWriter;

use crate::patience::{eventually, give_up};

/// The log lines of one test. A cheap handle: clones share the lines.
///
/// ```
/// let logs = testkit::capture::Logs::new();
/// let _guard = logs.start();
/// tracing::warn!(worker = "w1", "not registered yet");
/// assert!(logs.contains("not registered yet worker=\"w1\""));
/// ```
#[derive(Clone)]
pub struct Logs {
    lines: Arc<Lines>,
    dispatch: Dispatch,
}

#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<String>>,
    changed: Notify,
}

impl Logs {
    /// Captures lines down to debug level.
    #[expect(clippy::new_without_default, reason = "it sets a subscriber up, that is no default value")]
    pub fn new() -> Self {
        Self::at(Level::DEBUG)
    }

    /// Captures lines down to this level.
    pub fn at(level: Level) -> Self {
        // With a single dispatcher, tracing-core asks only the first thread that reaches a line. If that thread (of
        // another test) has none, the line is off for good. With two dispatchers, it asks all of them.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(NoSubscriber::default()));
        let lines = Arc::new(Lines::default());
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .with_writer(LogWriter(lines.clone()))
            .finish();
        Self { lines, dispatch: Dispatch::new(subscriber) }
    }

    /// Captures the lines of this thread until the guard is dropped.
    #[must_use]
    pub fn start(&self) -> tracing::subscriber::DefaultGuard {
        tracing::dispatcher::set_default(&self.dispatch)
    }

    /// The dispatch for other threads: `tracing::dispatcher::with_default(&logs.dispatch(), || …)`.
    pub fn dispatch(&self) -> Dispatch {
        self.dispatch.clone()
    }

    /// Returns true if a line contains this text.
    pub fn contains(&self, text: &str) -> bool {
        self.lines.lock().iter().any(|line| line.contains(text))
    }

    /// The number of lines that contain this text.
    pub fn count(&self, text: &str) -> usize {
        self.lines.lock().iter().filter(|line| line.contains(text)).count()
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Waits for a line with this text, earlier lines included, and returns it.
    ///
    /// # Panics
    /// After [`PATIENCE`](crate::PATIENCE), with everything that was logged.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> impl Future<Output = String> + Send + use<> {
        let caller = Location::caller();
        let lines = self.lines.clone();
        let text = text.to_owned();
        async move {
            let find = || lines.lock().iter().find(|line| line.contains(&text)).cloned();
            match eventually(&lines.changed, find).await {
                Some(line) => line,
                None => give_up(caller, &format!("a line with `{text}`"), &lines.lock().join("\n")),
            }
        }
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.lines.lock().iter()).finish()
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Receives the output of the formatter: each call has one whole event.
struct LogWriter(Arc<Lines>);

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self(self.0.clone())
    }
}

impl io::Write for LogWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        self.0.lock().extend(text.lines().map(str::to_owned));
        self.0.changed.notify_waiters();
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
