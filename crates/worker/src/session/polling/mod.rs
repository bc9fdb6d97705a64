//! The times of polls, and the number of pollers. Pure.
//!
//! | outcome of a poll | pollers | the next poll |
//! |---|---|---|
//! | a task, at once | one more, up to the limit; without a free slot only if others have more than their share | at once |
//! | a task, held | the same number | at once |
//! | a task, while others have less than their share | one less | at once |
//! | a task that was delivered before | one less | as after an empty answer at once |
//! | empty, held | one less | at once |
//! | empty, at once | one less | after `IDLE_POLL_DELAY`, growing while it repeats, and longer for an orchestrator of less weight |
//! | an error | one less | after `TASK_POLL_ERROR_DELAY`, doubling while it repeats |
//! | 401, 403 | one less | after 5 to 6.25 s |
//! | 429 | one less | after `Retry-After`, or 61 to 66 s |
//!
//! A poller that is not the only one ends too if the slot that it has taken leaves fewer free than are reserved.
//!
//! An answer came at once if it took less than 100 ms, or less than three times the shortest exchange so far (where the
//! network is slow), but never if it took 1 s; else the orchestrator held the poll. The last poller never ends. [`hold`]
//! learns what ends polls.

mod hold;

use std::time::Duration;

use fastrand::Rng;
use rxon::backoff::{Backoff, Jitter};
use tokio::time::Instant;

use self::hold::Hold;
pub(crate) use self::hold::{Lesson, PollEnd};
use crate::capacity::turns::Share;
use crate::peer::rate::{RateGate, after_refused_credentials};

/// An answer that took less was not held, however fast the network.
const MIN_HELD: Duration = Duration::from_millis(100);

/// An answer that took this long was held, however slow the network.
const MAX_AT_ONCE: Duration = Duration::from_secs(1);

/// An answer that took this many times the shortest exchange was held.
const TIMES_THE_SHORTEST: u32 = 3;

/// The limit of the growing pauses after empty answers, unless `IDLE_POLL_DELAY` is longer.
const MAX_IDLE_DELAY: Duration = Duration::from_millis(250);

/// The number of pauses that are counted: by then they have grown to their limit.
const MAX_COUNTED_PAUSES: u32 = 16;

/// The longest pause of an orchestrator of little weight, in seconds: a day.
const MAX_PAUSE: f64 = 86_400.0;

const MAX_ERROR_DELAY: Duration = Duration::from_secs(60);

/// The shortest delay: a delay of zero would not grow by doubling.
const MIN_DELAY: Duration = Duration::from_millis(10);

/// The pause after a poller panicked.
const DEATH_DELAY: Duration = Duration::from_secs(1);

/// The options of polls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PollingSettings {
    /// `TASK_POLL_TIMEOUT`.
    pub(crate) poll_timeout: Duration,
    /// `WORKER_MAX_POLLERS`.
    pub(crate) max_pollers: usize,
    /// The number of slots that only the first poller may take.
    pub(crate) reserve: usize,
    /// `TASK_POLL_ERROR_DELAY`.
    pub(crate) error_delay: Duration,
    /// `IDLE_POLL_DELAY`.
    pub(crate) idle_delay: Duration,
}

/// The schedule that all pollers of one orchestrator share.
#[derive(Debug)]
pub(crate) struct Polling {
    settings: PollingSettings,
    /// The number of pollers, including those about to begin.
    pollers: usize,
    failures: Backoff,
    last_failure: Option<Instant>,
    empties_at_once: u32,
    not_before: Option<Instant>,
    /// The shortest exchange, as a measure of the network.
    shortest: Option<Duration>,
    hold: Hold,
    gate: RateGate,
    rng: Rng,
}

/// The outcome of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollOutcome {
    /// A task, with the number of slots it left free, and the orchestrator's share of pollers.
    Task {
        free_slots: usize,
        share: Share,
    },
    /// A task that was delivered before.
    KnownTask,
    Nothing,
    /// 401 or 403.
    Unauthorized,
    /// 429: the rate gate knows.
    RateLimited,
    /// An error, or an answer that cannot be read.
    Error,
    NoAnswer,
}

/// The decision on a poller after its poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollDecision {
    /// The poller goes on.
    Continue,
    /// The poller goes on, and another one begins, which is counted already.
    Grow,
    /// The poller ends, and is not counted any more.
    End,
}

impl Polling {
    pub(crate) fn new(settings: PollingSettings, gate: RateGate, rng: Rng) -> Self {
        let failures = Backoff::new(settings.error_delay.max(MIN_DELAY), MAX_ERROR_DELAY, Jitter::AddQuarter);
        Self {
            settings,
            pollers: 0,
            failures,
            last_failure: None,
            empties_at_once: 0,
            not_before: None,
            shortest: None,
            hold: Hold::new(settings.poll_timeout),
            gate,
            rng,
        }
    }

    /// Counts a first poller if there is none. Returns true if it did: then the poller has to begin.
    pub(crate) fn begin_first(&mut self) -> bool {
        let first = self.pollers == 0;
        self.pollers += usize::from(first);
        first
    }

    /// The number of pollers, including those about to begin.
    pub(crate) fn pollers(&self) -> usize {
        self.pollers
    }

    /// Takes in that a poller ended without a decision.
    pub(crate) fn on_gone(&mut self) {
        self.pollers -= 1;
    }

    /// Takes in that a poller panicked. The pause keeps a panic that repeats at once from becoming a busy loop.
    pub(crate) fn on_died(&mut self, now: Instant) {
        self.pause(now + DEATH_DELAY);
    }

    /// The time from which a poll may be sent; `None` if it may be sent now.
    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let pause = self.not_before.filter(|until| *until > now);
        pause.max(self.gate.closed_until(now))
    }

    /// Decides on a poller that has taken a slot. `free` counts the slots that are free now.
    pub(crate) fn on_slot(&mut self, free: impl FnOnce() -> usize) -> PollDecision {
        let reserve = self.settings.reserve;
        if reserve > 0 && self.pollers > 1 && free() < reserve {
            self.shrink()
        } else {
            PollDecision::Continue
        }
    }

    /// Returns whether a poll may be sent now. If so it is counted, and has to be sent.
    pub(crate) fn may_send(&mut self, now: Instant) -> bool {
        let may = self.wait_until(now).is_none();
        if may {
            self.gate.on_sent(now, true);
        }
        may
    }

    /// Takes in the outcome of a poll. `stride` is the weight of the heaviest orchestrator divided by that of this one.
    pub(crate) fn on_answer(
        &mut self,
        outcome: PollOutcome,
        stride: f64,
        sent: Instant,
        now: Instant,
    ) -> PollDecision {
        match outcome {
            PollOutcome::RateLimited => return self.shrink(),
            PollOutcome::NoAnswer => return self.on_error(sent, now),
            _ => {}
        }
        let took = now.duration_since(sent);
        let at_once = took < at_once_within(self.shortest);
        // A late empty answer was held by the orchestrator, so it is no measure of the network.
        if outcome != PollOutcome::Nothing || took < MAX_IDLE_DELAY {
            self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
        }
        match outcome {
            PollOutcome::Unauthorized => {
                let delay = after_refused_credentials(&mut self.rng);
                self.pause(now + delay);
                return self.shrink();
            }
            PollOutcome::RateLimited | PollOutcome::Error | PollOutcome::NoAnswer => {
                return self.on_error(sent, now);
            }
            PollOutcome::Task { .. } | PollOutcome::Nothing | PollOutcome::KnownTask => {}
        }
        self.failures.reset();
        self.last_failure = None;
        if outcome == PollOutcome::KnownTask || outcome == PollOutcome::Nothing && at_once {
            self.on_empty_at_once(stride, took, now);
        } else {
            self.empties_at_once = 0;
        }
        match outcome {
            PollOutcome::Task { free_slots, share: Share::Less }
                if at_once && free_slots > self.settings.reserve =>
            {
                self.grow()
            }
            PollOutcome::Task { share: Share::Lacking, .. } if at_once => self.grow(),
            PollOutcome::Task { share, .. } if share != Share::More => PollDecision::Continue,
            _ => self.shrink(),
        }
    }

    /// Whether a failed poll was sent after the last failure, and so is a failure of its own.
    pub(crate) fn is_new_failure(&self, sent: Instant) -> bool {
        self.last_failure.is_none_or(|last| sent >= last)
    }

    /// Decides after a failed poll. Polls that were under way together count as one failure.
    fn on_error(&mut self, sent: Instant, now: Instant) -> PollDecision {
        if self.is_new_failure(sent) {
            self.last_failure = Some(now);
            let delay = self.failures.next(&mut self.rng);
            self.pause(now + delay);
        }
        self.shrink()
    }

    /// The time after which a poll is given up, and the time for which the orchestrator is asked to hold it.
    pub(crate) fn limits(&self) -> (Duration, Duration) {
        (self.hold.limit(), self.hold.asked())
    }

    /// Takes in the end of a poll, before its outcome. Polls that were under way together and failed are one.
    pub(crate) fn on_end(&mut self, end: PollEnd, sent: Instant, now: Instant) -> Option<Lesson> {
        if end == PollEnd::Cut && !self.is_new_failure(sent) {
            return None;
        }
        self.hold.on_end(end, now.duration_since(sent))
    }

    /// Takes in that the orchestrator can be reached again: ends the pause after failed polls, but not the growth of pauses.
    pub(crate) fn on_back(&mut self) {
        if self.last_failure.take().is_some() {
            self.not_before = None;
        }
    }

    fn on_empty_at_once(&mut self, stride: f64, took: Duration, now: Instant) {
        let first = self.settings.idle_delay.max(MIN_DELAY);
        let longest = MAX_IDLE_DELAY.max(self.settings.idle_delay);
        // Between two polls of this orchestrator the heaviest is polled `stride` times, each time after its own pause.
        let before = f64::from(self.empties_at_once) * stride;
        let pauses = pauses_until(before + stride, first, longest) - pauses_until(before, first, longest);
        let own = pauses + took.as_secs_f64() * (stride - 1.0);
        self.empties_at_once = (self.empties_at_once + 1).min(MAX_COUNTED_PAUSES);
        self.pause(now + Duration::from_secs_f64(own.clamp(0.0, MAX_PAUSE)));
    }

    /// Pauses all pollers until a time; a longer pause stays as it is.
    fn pause(&mut self, until: Instant) {
        self.not_before = self.not_before.max(Some(until));
    }

    // Pollers are counted where the decision is made, under one lock: two that decide at the same time must not both
    // start the last poller allowed, nor both end.

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

/// The sum of the first `count` pauses, in seconds: each is twice the one before, up to the longest.
fn pauses_until(count: f64, first: Duration, longest: Duration) -> f64 {
    let (mut pause, longest) = (first.as_secs_f64(), longest.as_secs_f64());
    let (mut left, mut sum) = (count, 0.0);
    while left > 0.0 {
        // All pauses from here on are the longest.
        let now = if pause >= longest { left } else { left.min(1.0) };
        sum += pause.min(longest) * now;
        left -= now;
        pause *= 2.0;
    }
    sum
}

/// The time below which an answer came at once, given the shortest exchange so far.
fn at_once_within(shortest: Option<Duration>) -> Duration {
    shortest.map_or(MIN_HELD, |way| way.saturating_mul(TIMES_THE_SHORTEST).clamp(MIN_HELD, MAX_AT_ONCE))
}

#[cfg(test)]
mod tests;
