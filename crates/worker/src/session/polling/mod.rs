//! When to poll, and how many at once. Pure.
//!
//! | what a poll brought | pollers | the next poll |
//! |---|---|---|
//! | a task, at once | one more, up to the limit; without a free slot only where others have more than their share | at once |
//! | a task, after it was held | as many | at once |
//! | a task, while others have less than their share | one less | at once |
//! | a task that was delivered before | one less | as after nothing at once |
//! | nothing, after it was held | one less, down to one | at once |
//! | nothing, at once | one less | after `IDLE_POLL_DELAY`, growing while it repeats; longer by the weight of the orchestrator |
//! | an error | one less | after `TASK_POLL_ERROR_DELAY`, doubling while it repeats |
//! | 401, 403 | one less | after 5 to 6.25 s |
//! | 429 | one less | after `Retry-After`, or 61 to 66 s |
//!
//! At once is what came within 100 ms, or within three times the shortest exchange before it, where the way is long;
//! never what took 1 s. There is always one poller: the last of them does not end.

use std::time::Duration;

use fastrand::Rng;
use rxon::backoff::{Backoff, Jitter};
use tokio::time::Instant;

use crate::capacity::turns::Share;
use crate::peer::rate::RateGate;
use crate::peer::rate::after_refused_credentials;

/// An answer that came within this time was not waited for, however short the way.
const AT_ONCE: Duration = Duration::from_millis(100);

/// One that took this long was waited for, however long the way.
const LONGEST_AT_ONCE: Duration = Duration::from_secs(1);

/// An answer that took so many times the shortest was waited for.
const TIMES_THE_SHORTEST: u32 = 3;

/// Answers with nothing that come at once lead to a poll at least this seldom in the end.
const LONGEST_IDLE_DELAY: Duration = Duration::from_millis(250);

/// After so many pauses none is longer than the one before: twice 10 ms is 0.25 s by then.
const ALL_ALIKE: u32 = 16;

/// However light an orchestrator is beside the heaviest, in seconds: a day.
const LONGEST_PAUSE: f64 = 86_400.0;

const LONGEST_ERROR_DELAY: Duration = Duration::from_secs(60);

/// A delay of nothing would never grow: doubled, it begins here.
const SHORTEST_DELAY: Duration = Duration::from_millis(10);

/// The pause after a poller panicked.
const DEATH_DELAY: Duration = Duration::from_secs(1);

/// How polling is configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PollingSettings {
    pub(crate) max_pollers: usize,
    pub(crate) error_delay: Duration,
    pub(crate) idle_delay: Duration,
}

/// The schedule that all pollers of one orchestrator share.
#[derive(Debug)]
pub(crate) struct Polling {
    settings: PollingSettings,
    /// Pollers that live, and places reserved for those about to begin.
    pollers: usize,
    failures: Backoff,
    last_failure: Option<Instant>,
    instant_empties: u32,
    not_before: Option<Instant>,
    /// The shortest exchange that tells how long the way is.
    shortest: Option<Duration>,
    gate: RateGate,
    rng: Rng,
}

/// The outcome of a poll that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollOutcome {
    /// A task, which left so many slots free; `share` is what other orchestrators leave to this one.
    Task { free_slots: usize, share: Share },
    /// A task that was delivered before.
    KnownTask,
    /// Nothing.
    Nothing,
    /// A refusal of our credentials.
    Unauthorized,
    /// 429: the rate gate has been told.
    RateLimited,
    /// An error, or what nobody understands.
    Error,
}

/// What is left to do after a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollDecision {
    /// Poll on.
    Continue,
    /// Poll on, and let one more poller begin: its place is reserved.
    Grow,
    /// This poller ends: its place is free already.
    End,
}

impl Polling {
    pub(crate) fn new(settings: PollingSettings, gate: RateGate, rng: Rng) -> Self {
        let failures =
            Backoff::new(settings.error_delay.max(SHORTEST_DELAY), LONGEST_ERROR_DELAY, Jitter::AddQuarter);
        Self {
            settings,
            pollers: 0,
            failures,
            last_failure: None,
            instant_empties: 0,
            not_before: None,
            shortest: None,
            gate,
            rng,
        }
    }

    /// Reserves a place if there is no poller at all. True when it did.
    pub(crate) fn begin_first(&mut self) -> bool {
        let first = self.pollers == 0;
        self.pollers += usize::from(first);
        first
    }

    /// How many pollers there are, reserved places among them.
    pub(crate) fn pollers(&self) -> usize {
        self.pollers
    }

    /// A poller is gone, though no answer said that it should.
    pub(crate) fn on_gone(&mut self) {
        self.pollers -= 1;
    }

    /// A poller panicked, which is a mistake of ours: should it come again at once, it shall not be a hot loop.
    pub(crate) fn on_died(&mut self, now: Instant) {
        self.pause(now + DEATH_DELAY);
    }

    /// None when a poll may be sent now, else when it may.
    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let pause = self.not_before.filter(|until| *until > now);
        pause.max(self.gate.closed_until(now))
    }

    /// Whether a poll may be sent now. It is counted then: it has to be sent.
    pub(crate) fn may_send(&mut self, now: Instant) -> bool {
        let may = self.wait_until(now).is_none();
        if may {
            self.gate.on_sent(now, true);
        }
        may
    }

    /// A poll was answered. `stride` is how many times less often than the heaviest this orchestrator is polled.
    pub(crate) fn on_answer(
        &mut self,
        outcome: PollOutcome,
        stride: f64,
        sent: Instant,
        now: Instant,
    ) -> PollDecision {
        if outcome == PollOutcome::RateLimited {
            // It tells nothing but the silence.
            return self.shrink();
        }
        let took = now.duration_since(sent);
        let at_once = took < at_once_within(self.shortest);
        // Nothing that came late was held by the orchestrator: that tells nothing of the way.
        if outcome != PollOutcome::Nothing || took < LONGEST_IDLE_DELAY {
            self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
        }
        match outcome {
            PollOutcome::Task { free_slots, share } => {
                self.went_well();
                self.instant_empties = 0;
                match share {
                    Share::Less if at_once && free_slots > 0 => self.grow(),
                    Share::Lacking if at_once => self.grow(),
                    Share::More => self.shrink(),
                    _ => PollDecision::Continue,
                }
            }
            PollOutcome::Nothing if !at_once => {
                self.went_well();
                self.instant_empties = 0;
                self.shrink()
            }
            PollOutcome::Nothing | PollOutcome::KnownTask => {
                self.went_well();
                self.brought_nothing_at_once(stride, took, now);
                self.shrink()
            }
            PollOutcome::Unauthorized => {
                let delay = after_refused_credentials(&mut self.rng);
                self.pause(now + delay);
                self.shrink()
            }
            PollOutcome::RateLimited | PollOutcome::Error => self.on_error(sent, now),
        }
    }

    /// Whether a failed poll that was sent at this time was not under way already when the last one failed.
    pub(crate) fn is_new_failure(&self, sent: Instant) -> bool {
        self.last_failure.is_none_or(|last| sent >= last)
    }

    /// A poll failed. Several that were under way together count as one failure.
    pub(crate) fn on_error(&mut self, sent: Instant, now: Instant) -> PollDecision {
        if self.is_new_failure(sent) {
            self.last_failure = Some(now);
            let delay = self.failures.next(&mut self.rng);
            self.pause(now + delay);
        }
        self.shrink()
    }

    /// The orchestrator is back: a pause after failed polls is over, though not the growth of the next.
    pub(crate) fn on_back(&mut self) {
        if self.last_failure.take().is_some() {
            self.not_before = None;
        }
    }

    fn brought_nothing_at_once(&mut self, stride: f64, took: Duration, now: Instant) {
        let first = self.settings.idle_delay.max(SHORTEST_DELAY);
        let longest = LONGEST_IDLE_DELAY.max(self.settings.idle_delay);
        // While this one is polled once, the heaviest is polled so many times, each after a pause of its own.
        let before = f64::from(self.instant_empties) * stride;
        let pauses = pauses_until(before + stride, first, longest) - pauses_until(before, first, longest);
        let own = pauses + took.as_secs_f64() * (stride - 1.0);
        self.instant_empties = (self.instant_empties + 1).min(ALL_ALIKE);
        self.pause(now + Duration::from_secs_f64(own.clamp(0.0, LONGEST_PAUSE)));
    }

    /// Never cuts short a pause that another poller was told.
    fn pause(&mut self, until: Instant) {
        self.not_before = self.not_before.max(Some(until));
    }

    fn went_well(&mut self) {
        self.failures.reset();
        self.last_failure = None;
    }

    // Who decides also counts, under one lock: two that decide together must not both take the last place, nor both
    // leave.

    fn grow(&mut self) -> PollDecision {
        if self.pollers >= self.settings.max_pollers {
            return PollDecision::Continue;
        }
        self.pollers += 1;
        PollDecision::Grow
    }

    fn shrink(&mut self) -> PollDecision {
        if self.pollers <= 1 {
            return PollDecision::Continue;
        }
        self.pollers -= 1;
        PollDecision::End
    }
}

/// How many seconds the first `count` pauses take together: each is twice the one before, up to the longest.
fn pauses_until(count: f64, first: Duration, longest: Duration) -> f64 {
    let (mut pause, longest) = (first.as_secs_f64(), longest.as_secs_f64());
    let (mut left, mut sum) = (count, 0.0);
    while left > 0.0 {
        // All that follow are alike.
        let now = if pause >= longest { left } else { left.min(1.0) };
        sum += pause.min(longest) * now;
        left -= now;
        pause *= 2.0;
    }
    sum
}

/// An answer that took less than this came at once, when the shortest exchange so far took this long.
fn at_once_within(shortest: Option<Duration>) -> Duration {
    shortest.map_or(AT_ONCE, |way| way.saturating_mul(TIMES_THE_SHORTEST).clamp(AT_ONCE, LONGEST_AT_ONCE))
}

#[cfg(test)]
mod tests;
