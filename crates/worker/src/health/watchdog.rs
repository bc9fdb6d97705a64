//! The watchdog of the runtime that the caller runs the worker on.
//!
//! The data path notes a time twice a second, and the control path watches it. While a handler blocks the runtime, polls,
//! handlers and results stand still but heartbeats go on, so that orchestrators do not notice.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::execution::running::Running;
use crate::threads::lock;

/// The time between two beats: long, so that an idle worker costs nothing.
const INTERVAL: Duration = Duration::from_millis(500);

/// A runtime that is blocked for longer than this is worth a warning.
const MAX_BLOCKED: Duration = Duration::from_secs(1);

/// Measures how long the data path has stood still.
#[derive(Debug)]
pub(crate) struct RuntimeWatchdog {
    last_beat: Mutex<Instant>,
    elsewhere: Arc<Elsewhere>,
}

/// Since when the event loop of another language, which runs the handlers, is blocked. The driver of that loop sets it.
pub(crate) type Elsewhere = Mutex<Option<Instant>>;

impl RuntimeWatchdog {
    pub(crate) fn new(elsewhere: Arc<Elsewhere>) -> Self {
        Self { last_beat: Mutex::new(Instant::now()), elsewhere }
    }

    pub(crate) fn beat(&self) {
        *lock(&self.last_beat) = Instant::now();
    }

    /// The time for which the runtime has been blocked; `None` if it is too short for a warning.
    pub(crate) fn blocked(&self) -> Option<Duration> {
        let here = Some(lock(&self.last_beat).elapsed()).filter(|silence| is_blocked(*silence));
        here.max(lock(&self.elsewhere).map(|since| since.elapsed()))
    }

    /// Beats for as long as this future is polled, on the data path.
    pub(crate) async fn keep_beating(&self) -> Infallible {
        loop {
            self.beat();
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Logs blocked times until the worker closes, on the control path.
    pub(crate) async fn watch(self: Arc<Self>, running: Arc<Running>, closing: CancellationToken) {
        let mut log = BlockedLog::default();
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let silence = lock(&self.last_beat).elapsed();
            match log.on_look(silence) {
                Some(BlockedChange::Blocked) => {
                    let task_ids: Vec<_> =
                        running.task_ids().iter().map(|id| id.shown().to_string()).collect();
                    tracing::warn!(
                        ?silence,
                        task_ids = task_ids.join(", "),
                        "the runtime the worker runs on is blocked: polls, handlers and results stand still, heartbeats \
                         go on; register a handler that blocks its thread as one that blocks"
                    );
                }
                Some(BlockedChange::Over(duration)) => {
                    tracing::warn!(?duration, "the runtime is no longer blocked");
                }
                None => {}
            }
        }
    }
}

fn is_blocked(silence: Duration) -> bool {
    silence > INTERVAL + MAX_BLOCKED
}

/// Decides which looks at the beat are logged. Pure.
#[derive(Debug, Default)]
struct BlockedLog {
    longest: Option<Duration>,
}

#[derive(Debug, PartialEq, Eq)]
enum BlockedChange {
    Blocked,
    /// The runtime was blocked, for about this long.
    Over(Duration),
}

impl BlockedLog {
    /// Takes in the time since the last beat.
    fn on_look(&mut self, silence: Duration) -> Option<BlockedChange> {
        if !is_blocked(silence) {
            return self.longest.take().map(BlockedChange::Over);
        }
        let first = self.longest.is_none();
        self.longest = self.longest.max(Some(silence));
        first.then_some(BlockedChange::Blocked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_loop_of_another_language_counts_until_it_runs_again() {
        let elsewhere = Arc::new(Elsewhere::default());
        let watchdog = RuntimeWatchdog::new(elsewhere.clone());
        assert_eq!(watchdog.blocked(), None);
        let since = Instant::now().checked_sub(Duration::from_secs(3)).expect("a clock that has run for 3 s");
        *lock(&elsewhere) = Some(since);
        assert!(watchdog.blocked().is_some_and(|silence| silence >= Duration::from_secs(3)));
        *lock(&elsewhere) = None;
        assert_eq!(watchdog.blocked(), None);
    }

    #[test]
    fn a_blocked_runtime_is_logged_once_and_its_end_once() {
        let mut blocked = BlockedLog::default();
        let seconds = Duration::from_secs;
        assert_eq!(blocked.on_look(seconds(1)), None, "it beats twice a second");
        assert_eq!(blocked.on_look(seconds(2)), Some(BlockedChange::Blocked));
        assert_eq!(blocked.on_look(seconds(3)), None);
        assert_eq!(blocked.on_look(Duration::ZERO), Some(BlockedChange::Over(seconds(3))));
        assert_eq!(blocked.on_look(Duration::ZERO), None);
    }
}
