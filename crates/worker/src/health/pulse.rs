//! Whether the caller's runtime gets to run at all.
//!
//! The data path beats, the control path watches. On a runtime that a handler blocks, polls, handlers and results
//! stand still; heartbeats go on, so that nothing else would tell.

use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rxon::TaskId;
use tokio_util::sync::CancellationToken;

use crate::execution::running::Running;
use crate::threads::lock;

/// How often it beats: hardly ever, for whoever is idle.
const INTERVAL: Duration = Duration::from_millis(500);

/// Blocked for longer than this is worth a warning.
const LONGEST: Duration = Duration::from_secs(1);

/// When the data path beat last.
#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    /// In milliseconds since then.
    last: AtomicU64,
    elsewhere: Arc<Elsewhere>,
}

/// What runs handlers elsewhere than on the data path: another language's event loop. Whoever drives it says when it
/// does not run.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere(Mutex<Option<Instant>>);

impl Elsewhere {
    pub(crate) fn blocked_since(&self, since: Option<Instant>) {
        *lock(&self.0) = since;
    }
}

impl Pulse {
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

    /// How long the runtime has been blocked, when that is longer than it should.
    pub(crate) fn blocked(&self) -> Option<Duration> {
        let here = Some(self.silence()).filter(|silence| is_blocked(*silence));
        here.max(lock(&self.elsewhere.0).map(|since| since.elapsed()))
    }
}

fn is_blocked(silence: Duration) -> bool {
    silence > INTERVAL + LONGEST
}

/// What beats, for the data path, and what watches, for the control path.
pub(crate) fn pair(
    pulse: Arc<Pulse>,
    running: Arc<Running>,
    closing: CancellationToken,
) -> (impl Future<Output = Infallible> + Send, impl Future<Output = ()> + Send) {
    // What came before, such as hooks that took long, was no silence.
    pulse.beat();
    let beating = pulse.clone();
    let beat = async move {
        loop {
            beating.beat();
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let watch = async move {
        let mut blocked = Blocked::default();
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let silence = pulse.silence();
            match blocked.on_look(silence) {
                Some(Said::Blocked) => {
                    let running: Vec<_> = running.task_ids();
                    let running: Vec<_> = running.iter().map(TaskId::shown).collect();
                    let task_ids = running.join(", ");
                    tracing::warn!(
                        ?silence,
                        task_ids,
                        "the runtime the worker runs on is blocked: polls, handlers and results stand still, heartbeats \
                         go on; a handler that blocks its thread is registered as `blocking(…)`"
                    );
                }
                Some(Said::Over(duration)) => tracing::warn!(?duration, "the runtime is no longer blocked"),
                None => {}
            }
        }
    };
    (beat, watch)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What is worth saying. Pure.
#[derive(Debug, Default)]
struct Blocked {
    longest: Option<Duration>,
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Blocked,
    /// It was, for about so long.
    Over(Duration),
}

impl Blocked {
    /// A look at how long the last beat is ago.
    fn on_look(&mut self, silence: Duration) -> Option<Said> {
        if !is_blocked(silence) {
            return self.longest.take().map(Said::Over);
        }
        let first = self.longest.is_none();
        self.longest = self.longest.max(Some(silence));
        first.then_some(Said::Blocked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_blocked_elsewhere_counts_for_as_long_as_it_is() {
        let elsewhere = Arc::new(Elsewhere::default());
        let pulse = Pulse::new(elsewhere.clone());
        assert_eq!(pulse.blocked(), None);
        let since = Instant::now().checked_sub(Duration::from_secs(3)).expect("a clock that has run for 3 s");
        elsewhere.blocked_since(Some(since));
        assert!(pulse.blocked().is_some_and(|silence| silence >= Duration::from_secs(3)));
        elsewhere.blocked_since(None);
        assert_eq!(pulse.blocked(), None);
    }

    #[test]
    fn a_blocked_runtime_is_said_once_and_that_it_is_over_once() {
        let mut blocked = Blocked::default();
        let seconds = Duration::from_secs;
        assert_eq!(blocked.on_look(seconds(1)), None, "it beats twice a second");
        assert_eq!(blocked.on_look(seconds(2)), Some(Said::Blocked));
        assert_eq!(blocked.on_look(seconds(3)), None);
        assert_eq!(blocked.on_look(Duration::ZERO), Some(Said::Over(seconds(3))));
        assert_eq!(blocked.on_look(Duration::ZERO), None);
    }
}
