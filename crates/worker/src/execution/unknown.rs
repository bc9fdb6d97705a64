//! Tasks that no handler is registered for. The newer orchestrator gives a worker without tasks those that are queued for
//! another one, whatever their type. A final answer would end a job that the other worker could do, and an answer at once
//! would use up its retries: so each is sent back later, and later still while it repeats.

use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use rxon::backoff::{Backoff, Jitter};
use rxon::model::{ErrorCode, Generation};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::threads::lock;

const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The longest delay. The task keeps its slot, so that no more of them come than there are slots.
const MAX_DELAY: Duration = Duration::from_secs(15);

/// The time without such a task after which the delays begin anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(120);

/// Decides when and how such tasks are answered.
#[derive(Debug)]
pub(crate) struct UnknownTasks {
    delays: Mutex<Delays>,
    /// Once it is cancelled, they are answered at once.
    pub(super) stop: CancellationToken,
}

#[derive(Debug)]
struct Delays {
    backoff: Backoff,
    last: Option<Instant>,
}

impl UnknownTasks {
    /// They are answered at once when `stop` is cancelled.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        let backoff = Backoff::new(FIRST_DELAY, MAX_DELAY, Jitter::AddQuarter);
        Self { delays: Mutex::new(Delays { backoff, last: None }), stop }
    }

    /// Answers them at once from now on, for tests.
    #[cfg(feature = "testing")]
    pub(crate) fn answer_at_once(&self) {
        self.stop.cancel();
    }

    /// The code of the answer to a task that arrives now, and the delay before it.
    pub(super) fn on_arrival(&self, generation: Generation, now: Instant) -> (ErrorCode, Duration) {
        if !generation.steals_tasks() {
            return (ErrorCode::Permanent, Duration::ZERO);
        }
        let mut delays = lock(&self.delays);
        if delays.last.replace(now).is_some_and(|last| now.duration_since(last) >= FORGOTTEN_AFTER) {
            delays.backoff.reset();
        }
        (ErrorCode::Transient, delays.backoff.next(&mut Rng::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_generation_waits_longer_and_longer_and_the_older_gets_a_final_answer_at_once() {
        let tasks = UnknownTasks::new(CancellationToken::new());
        let began = Instant::now();
        let seconds = Duration::from_secs;
        // The time of an arrival, and the delay without its jitter.
        let cases = [(0, 1), (10, 2), (20, 4), (100, 8), (219, 15), (220, 15), (340, 1), (341, 2)];
        for (at, base) in cases {
            let (code, delay) = tasks.on_arrival(Generation::Newer, began + seconds(at));
            assert_eq!(code, ErrorCode::Transient);
            assert!((seconds(base)..=seconds(base).mul_f64(1.25)).contains(&delay), "{at}: {delay:?}");
        }
        assert_eq!(tasks.on_arrival(Generation::Older, began), (ErrorCode::Permanent, Duration::ZERO));
    }
}
