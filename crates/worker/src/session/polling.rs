//! When to poll, and how many at once. Pure.
//!
//! | what a poll brought | pollers | the next poll |
//! |---|---|---|
//! | a task, at once | one more, up to the limit | at once |
//! | a task, after it was held | as many | at once |
//! | nothing, after it was held | one less, down to one | at once |
//! | nothing, at once | one less | after `IDLE_POLL_DELAY`, growing while it repeats |
//! | an error | one less | after `TASK_POLL_ERROR_DELAY`, doubling while it repeats |
//! | 429 | one less | after `Retry-After`, or 61 to 66 s |

use std::time::Duration;

use fastrand::Rng;
use rxon::backoff::{Backoff, Jitter, add_quarter};
use tokio::time::Instant;

use super::rate::RateGate;

/// An answer that came within this time was not waited for.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Answers with nothing that come at once lead to a poll at least this seldom in the end.
const LONGEST_IDLE_DELAY: Duration = Duration::from_millis(250);

const LONGEST_ERROR_DELAY: Duration = Duration::from_secs(60);

/// A delay of nothing would never grow: doubled, it begins here.
const SHORTEST_DELAY: Duration = Duration::from_millis(10);

/// What was refused for its credentials is tried this often, plus up to a quarter.
const UNAUTHORIZED_INTERVAL: Duration = Duration::from_secs(5);

/// How polling is configured.
#[derive(Debug, Clone)]
pub(crate) struct PollingSettings {
    pub(crate) max_pollers: usize,
    pub(crate) error_delay: Duration,
    pub(crate) idle_delay: Duration,
}

/// The schedule that all pollers of one orchestrator share.
#[derive(Debug)]
pub(crate) struct Polling {
    settings: PollingSettings,
    /// Pollers that live.
    pollers: usize,
    failures: Backoff,
    last_failure: Option<Instant>,
    instant_empties: u32,
    not_before: Option<Instant>,
    gate: RateGate,
    rng: Rng,
}

/// What is left to do after a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Poll on.
    Continue,
    /// Poll on, and let one more poller begin.
    Grow,
    /// This poller ends.
    End,
}

impl Polling {
    pub(crate) fn new(settings: PollingSettings, rng: Rng) -> Self {
        let failures =
            Backoff::new(settings.error_delay.max(SHORTEST_DELAY), LONGEST_ERROR_DELAY, Jitter::AddQuarter);
        Self {
            settings,
            pollers: 0,
            failures,
            last_failure: None,
            instant_empties: 0,
            not_before: None,
            gate: RateGate::default(),
            rng,
        }
    }

    /// A poller begins.
    pub(crate) fn on_begin(&mut self) {
        self.pollers += 1;
    }

    /// A poller is gone, whatever the reason.
    pub(crate) fn on_gone(&mut self) {
        self.pollers -= 1;
    }

    /// How many pollers live.
    pub(crate) fn pollers(&self) -> usize {
        self.pollers
    }

    /// None when a poll may be sent now, else when it may.
    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let pause = self.not_before.filter(|until| *until > now);
        pause.max(self.gate.closed_until(now))
    }

    /// A poll is about to be sent.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.gate.on_sent(now, true, &mut self.rng);
    }

    /// A poll brought a task.
    pub(crate) fn on_task(&mut self, sent: Instant, now: Instant, free_slots: usize) -> Next {
        self.went_well();
        self.instant_empties = 0;
        let at_once = now.duration_since(sent) < AT_ONCE;
        if at_once && self.pollers < self.settings.max_pollers && free_slots > 0 {
            Next::Grow
        } else {
            Next::Continue
        }
    }

    /// A poll brought nothing.
    pub(crate) fn on_empty(&mut self, sent: Instant, now: Instant) -> Next {
        self.went_well();
        if now.duration_since(sent) < AT_ONCE {
            let first = self.settings.idle_delay.max(SHORTEST_DELAY);
            let grown = first.mul_f64(2f64.powi(self.instant_empties.min(16) as i32));
            let delay = grown.min(LONGEST_IDLE_DELAY.max(self.settings.idle_delay));
            self.instant_empties += 1;
            self.not_before = Some(now + delay);
        } else {
            self.instant_empties = 0;
        }
        self.shrink()
    }

    /// A poll failed. Several that were under way together count as one failure.
    pub(crate) fn on_error(&mut self, sent: Instant, now: Instant) -> Next {
        if self.last_failure.is_none_or(|last| sent >= last) {
            self.last_failure = Some(now);
            self.not_before = Some(now + self.failures.next(&mut self.rng));
        }
        self.shrink()
    }

    /// A poll was refused for its credentials.
    pub(crate) fn on_unauthorized(&mut self, now: Instant) -> Next {
        self.not_before = Some(now + add_quarter(UNAUTHORIZED_INTERVAL, &mut self.rng));
        self.shrink()
    }

    /// A poll was refused for the rate of polls. True when that is worth saying.
    pub(crate) fn on_rate_limited(&mut self, now: Instant, retry_after: Option<Duration>) -> (bool, Next) {
        let first = self.gate.on_refused(now, retry_after, &mut self.rng);
        (first, self.shrink())
    }

    fn went_well(&mut self) {
        self.failures.reset();
        self.last_failure = None;
    }

    fn shrink(&mut self) -> Next {
        if self.pollers > 1 { Next::End } else { Next::Continue }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn polling() -> Polling {
        let settings = PollingSettings {
            max_pollers: 3,
            error_delay: 5 * SECOND,
            idle_delay: Duration::from_millis(10),
        };
        let mut polling = Polling::new(settings, Rng::with_seed(1));
        polling.on_begin();
        polling
    }

    #[test]
    fn pollers_grow_while_tasks_come_at_once_and_shrink_when_none_come() {
        let (mut polling, now) = (polling(), Instant::now());
        assert_eq!(polling.on_task(now, now, 0), Next::Continue, "no slot is free");
        for _ in 0..2 {
            assert_eq!(polling.on_task(now, now, 1), Next::Grow);
            polling.on_begin();
        }
        assert_eq!(polling.on_task(now, now, 1), Next::Continue, "as many as are allowed");
        for _ in 0..2 {
            assert_eq!(polling.on_empty(now, now + 30 * SECOND), Next::End);
            polling.on_gone();
        }
        assert_eq!(polling.on_empty(now, now + 30 * SECOND), Next::Continue, "one stays");
        assert_eq!(polling.on_task(now, now + SECOND, 1), Next::Continue, "it was waited for");
    }

    #[test]
    fn nothing_at_once_is_asked_for_less_and_less_often() {
        let (mut polling, mut now) = (polling(), Instant::now());
        let mut delays = Vec::new();
        for _ in 0..8 {
            polling.on_empty(now, now);
            let until = polling.wait_until(now).expect("a pause");
            delays.push(until.duration_since(now).as_millis());
            now = until;
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 250, 250, 250]);
        polling.on_task(now, now, 0);
        assert_eq!(polling.wait_until(now), None);
        polling.on_empty(now, now);
        assert_eq!(polling.wait_until(now), Some(now + Duration::from_millis(10)), "it begins anew");
    }

    #[test]
    fn delays_of_nothing_grow_too() {
        let settings =
            PollingSettings { max_pollers: 1, error_delay: Duration::ZERO, idle_delay: Duration::ZERO };
        let (mut polling, mut now) = (Polling::new(settings, Rng::with_seed(1)), Instant::now());
        for _ in 0..8 {
            polling.on_empty(now, now);
            now = polling.wait_until(now).expect("a pause");
        }
        polling.on_empty(now, now);
        assert_eq!(polling.wait_until(now), Some(now + LONGEST_IDLE_DELAY));
        now += SECOND;
        for _ in 0..8 {
            polling.on_error(now, now);
            now = polling.wait_until(now).expect("a pause");
        }
        polling.on_error(now, now);
        assert!(polling.wait_until(now) >= Some(now + SECOND), "10 ms, doubled eight times");
    }

    #[test]
    fn errors_double_the_delay_and_never_cut_it_short() {
        let (mut polling, mut now) = (polling(), Instant::now());
        for base in [5.0, 10.0, 20.0, 40.0, 60.0, 60.0] {
            polling.on_error(now, now);
            let until = polling.wait_until(now).expect("a pause");
            let delay = until.duration_since(now).as_secs_f64();
            assert!((base..=base * 1.25 + 0.001).contains(&delay), "{delay} for {base}");
            now = until;
        }
    }

    #[test]
    fn polls_that_fail_together_are_one_failure() {
        let (mut polling, now) = (polling(), Instant::now());
        for _ in 0..8 {
            polling.on_error(now, now + SECOND);
        }
        let until = polling.wait_until(now).expect("a pause");
        assert!(until <= now + SECOND + Duration::from_millis(6250));
    }
}
