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

/// A look that comes this much after its time is late: the whole process did not run, and no handler is to blame.
const LATE: Duration = Duration::from_millis(500);

/// Measures how long the data path has stood still.
#[derive(Debug)]
pub(crate) struct RuntimeWatchdog {
    beats: Mutex<Beats>,
    elsewhere: Arc<Elsewhere>,
}

/// The last beat of the data path, and the last look of the control path. Pure.
#[derive(Debug, Clone, Copy)]
struct Beats {
    beat: Instant,
    looked: Instant,
}

impl Beats {
    /// The time without a beat, up to the last look: neither path runs in a process that was stopped.
    fn silence(&self) -> Duration {
        self.looked.saturating_duration_since(self.beat)
    }

    /// Takes in a look. Returns the time in which the process did not run.
    fn on_look(&mut self, now: Instant) -> Option<Duration> {
        let lost =
            now.saturating_duration_since(self.looked).checked_sub(INTERVAL).filter(|lost| *lost > LATE);
        self.looked = now;
        if let Some(lost) = lost {
            self.beat = (self.beat + lost).min(now);
        }
        lost
    }
}

/// Since when the event loop of another language, which runs the handlers, is blocked. The driver of that loop sets it.
pub(crate) type Elsewhere = Mutex<Option<Instant>>;

impl RuntimeWatchdog {
    pub(crate) fn new(elsewhere: Arc<Elsewhere>) -> Self {
        let now = Instant::now();
        Self { beats: Mutex::new(Beats { beat: now, looked: now }), elsewhere }
    }

    pub(crate) fn beat(&self) {
        lock(&self.beats).beat = Instant::now();
    }

    /// The time for which the runtime has been blocked; `None` if it is too short for a warning.
    pub(crate) fn blocked(&self) -> Option<Duration> {
        let here = Some(lock(&self.beats).silence()).filter(|silence| is_blocked(*silence));
        here.max(lock(&self.elsewhere).map(|since| since.elapsed()))
    }

    /// Beats for as long as this future is polled, on the data path.
    pub(crate) async fn keep_beating(&self) -> Infallible {
        loop {
            self.beat();
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Logs blocked times until the worker closes, on the control path. `on_lost` is told of each time in which the
    /// process did not run.
    pub(crate) async fn watch(
        &self,
        running: Arc<Running>,
        on_lost: impl Fn(Duration) + Send,
        closing: CancellationToken,
    ) {
        let mut log = BlockedLog::default();
        lock(&self.beats).looked = Instant::now();
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let (lost, silence) = {
                let mut beats = lock(&self.beats);
                (beats.on_look(Instant::now()), beats.silence())
            };
            if let Some(lost) = lost {
                on_lost(lost);
                if lost > MAX_BLOCKED {
                    tracing::warn!(
                        ?lost,
                        "the process did not run: it was stopped or paused, or the machine was suspended or far too busy"
                    );
                }
            }
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
    fn a_process_that_did_not_run_is_not_a_blocked_runtime() {
        let begin = Instant::now();
        let mut beats = Beats { beat: begin, looked: begin };
        let seconds = Duration::from_secs;
        assert_eq!(beats.on_look(begin + INTERVAL), None);
        assert_eq!(beats.on_look(begin + seconds(60)), Some(seconds(59)));
        assert_eq!(beats.silence(), seconds(1), "from before it and after it");
        let mut looks = (1..=4).map(|look| begin + seconds(60) + look * INTERVAL);
        assert!(looks.all(|now| beats.on_look(now).is_none()));
        assert_eq!(beats.silence(), seconds(3), "now the runtime is blocked");
        beats.beat = begin + seconds(62);
        assert_eq!(beats.on_look(begin + seconds(90)), Some(Duration::from_millis(27_500)));
        assert_eq!(beats.silence(), INTERVAL);
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
