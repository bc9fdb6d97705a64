//! The watchdog of the runtime that the caller runs the worker on.
//!
//! The data path notes a time twice a second, and the control path watches it. While a handler blocks the runtime, polls,
//! handlers and results stand still but heartbeats go on, so that orchestrators do not notice.

use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rxon::TaskId;
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
    began: Instant,
    /// The last beat, in milliseconds after `began`.
    last: AtomicU64,
    elsewhere: Arc<Elsewhere>,
}

/// Since when the event loop of another language, which runs the handlers, is blocked. The driver of that loop sets it.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere(Mutex<Option<Instant>>);

impl Elsewhere {
    pub(crate) fn blocked_since(&self, since: Option<Instant>) {
        *lock(&self.0) = since;
    }
}

impl RuntimeWatchdog {
    pub(crate) fn new(elsewhere: Arc<Elsewhere>) -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0), elsewhere }
    }

    fn beat(&self) {
        self.last.store(millis(self.began.elapsed()), Ordering::Relaxed);
    }

    fn silence(&self) -> Duration {
        let now = millis(self.began.elapsed());
        Duration::from_millis(now.saturating_sub(self.last.load(Ordering::Relaxed)))
    }

    /// The time for which the runtime has been blocked; `None` if it is too short for a warning.
    pub(crate) fn blocked(&self) -> Option<Duration> {
        let here = Some(self.silence()).filter(|silence| is_blocked(*silence));
        here.max(lock(&self.elsewhere.0).map(|since| since.elapsed()))
    }
}

fn is_blocked(silence: Duration) -> bool {
    silence > INTERVAL + MAX_BLOCKED
}

/// The future that beats, for the data path, and the future that watches, for the control path.
pub(crate) fn pair(
    watchdog: Arc<RuntimeWatchdog>,
    running: Arc<Running>,
    closing: CancellationToken,
) -> (impl Future<Output = Infallible> + Send, impl Future<Output = ()> + Send) {
    // The time of the start-up hooks does not count.
    watchdog.beat();
    let beating = watchdog.clone();
    let beat = async move {
        loop {
            beating.beat();
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let watch = async move {
        let mut blocked = BlockedLog::default();
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let silence = watchdog.silence();
            match blocked.on_look(silence) {
                Some(BlockedChange::Blocked) => {
                    let task_ids =
                        running.task_ids().iter().map(TaskId::shown).collect::<Vec<_>>().join(", ");
                    tracing::warn!(
                        ?silence,
                        task_ids,
                        "the runtime the worker runs on is blocked: polls, handlers and results stand still, heartbeats \
                         go on; a handler that blocks its thread is registered as `blocking(…)`"
                    );
                }
                Some(BlockedChange::Over(duration)) => {
                    tracing::warn!(?duration, "the runtime is no longer blocked")
                }
                None => {}
            }
        }
    };
    (beat, watch)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
        elsewhere.blocked_since(Some(since));
        assert!(watchdog.blocked().is_some_and(|silence| silence >= Duration::from_secs(3)));
        elsewhere.blocked_since(None);
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
