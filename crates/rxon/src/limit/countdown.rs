//! Limits, and the steps in which they are counted.

use std::fmt;
use std::time::Duration;

/// The longest step: so much may be counted of a time in which the process did not run.
const STEP: Duration = Duration::from_secs(1);

/// The longest step of a limit above [`LONG`], where bytes do not count: an open poll should not wake the processor every
/// second.
const LONG_STEP: Duration = Duration::from_secs(5);

/// The limit above which steps are long.
const LONG: Duration = Duration::from_secs(20);

/// A step that ends this much after its plan is late: the process, or its runtime, did not run.
const LATE: Duration = Duration::from_millis(200);

/// The time of one last look. A timer of any length makes the runtime look at its sockets.
const LOOK: Duration = Duration::from_millis(5);

/// The number of last looks in a row while bytes still move: what lies in a socket is more than one look can read.
const MAX_LOOKS: u32 = 200;

/// The limits of an exchange.
///
/// ```
/// use std::time::Duration;
/// use rxon::limit::{Limits, Movement};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// // Ten minutes in all, and never thirty seconds without a byte.
/// let limits = Limits::new(Duration::from_secs(600)).idle(Duration::from_secs(30));
/// let movement = Movement::default();
/// let exchange = async { movement.record(1); "done" };
/// assert_eq!(limits.watch(&movement, exchange).await, Ok("done"));
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    total: Duration,
    idle: Option<Duration>,
}

impl Limits {
    /// Limits the time in all. [`Duration::MAX`] is no limit.
    pub const fn new(total: Duration) -> Self {
        Self { total, idle: None }
    }

    /// Limits the time without a byte moving as well.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }
}

impl From<Duration> for Limits {
    fn from(total: Duration) -> Self {
        Self::new(total)
    }
}

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// The limit.
    pub limit: Duration,
    /// Whether it is the limit of the time without a byte moving.
    pub is_idle: bool,
}

impl fmt::Display for Expired {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, is_idle } = self;
        write!(formatter, "{limit:?}{}", if *is_idle { " without a byte moving" } else { "" })
    }
}

impl std::error::Error for Expired {}

/// What is left of the limits. Pure.
#[derive(Debug)]
pub(super) struct Countdown {
    limits: Limits,
    left: Duration,
    idle_left: Duration,
    moved: u64,
    /// Set once a limit was reached only because a step was late: the step after it is added.
    is_extended: bool,
    /// The limit that was reached, and the number of looks since.
    expired: Option<(Expired, u32)>,
}

impl Countdown {
    pub(super) fn new(limits: Limits, moved: u64) -> Self {
        let idle_left = limits.idle.unwrap_or(Duration::MAX);
        Self { limits, left: limits.total, idle_left, moved, is_extended: false, expired: None }
    }

    /// Returns the length of the next step.
    pub(super) fn step(&self) -> Duration {
        let is_long = self.limits.idle.is_none() && self.limits.total > LONG;
        let longest = if is_long { LONG_STEP } else { STEP };
        if self.expired.is_some() { LOOK } else { self.left.min(self.idle_left).min(longest) }
    }

    /// Takes in a step.
    pub(super) fn on_step(&mut self, planned: Duration, took: Duration, moved: u64) -> Result<(), Expired> {
        let is_late = took > planned.saturating_add(LATE);
        let has_moved = std::mem::replace(&mut self.moved, moved) != moved;
        if let Some((expired, looks)) = &mut self.expired {
            *looks += 1;
            let goes_on = (has_moved || is_late) && *looks < MAX_LOOKS;
            return if goes_on { Ok(()) } else { Err(*expired) };
        }
        // What is beyond the plan of a late step is given back.
        let counted = if is_late { planned } else { took };
        self.left = self.left.saturating_sub(counted);
        self.idle_left = match self.limits.idle {
            Some(idle) if has_moved => idle,
            _ => self.idle_left.saturating_sub(counted),
        };
        let has_expired = self.left.is_zero() || self.idle_left.is_zero();
        if has_expired && is_late && !self.is_extended {
            self.is_extended = true;
            self.left = self.left.max(STEP);
            self.idle_left = self.idle_left.max(STEP);
        } else if has_expired {
            let is_idle = !self.left.is_zero();
            let limit = self.limits.idle.filter(|_| is_idle).unwrap_or(self.limits.total);
            self.expired = Some((Expired { limit, is_idle }, 0));
        } else if !is_late {
            self.is_extended = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Runs steps that take what `took` says, and returns the time by plan and the time in all when it ends.
    fn run(
        limits: Limits,
        mut took: impl FnMut(u32, Duration) -> (Duration, u64),
    ) -> (u32, Duration, Expired) {
        let mut countdown = Countdown::new(limits, 0);
        let (mut steps, mut all, mut moved) = (0, Duration::ZERO, 0);
        loop {
            let planned = countdown.step();
            let (took, bytes) = took(steps, planned);
            moved += bytes;
            all += took;
            steps += 1;
            if let Err(expired) = countdown.on_step(planned, took, moved) {
                return (steps, all, expired);
            }
        }
    }

    #[test]
    fn a_limit_is_reached_on_time_after_one_more_look() {
        for limit in [Duration::ZERO, Duration::from_millis(150), 10 * SECOND, 35 * SECOND] {
            let (_, all, expired) = run(limit.into(), |_, planned| (planned, 0));
            assert_eq!((all, expired), (limit + LOOK, Expired { limit, is_idle: false }));
        }
    }

    #[test]
    fn small_delays_count() {
        let late = Duration::from_millis(100);
        let (_, all, _) = run((10 * SECOND).into(), |_, planned| (planned + late, 0));
        assert!((10 * SECOND..11 * SECOND + 2 * late).contains(&all), "{all:?}");
    }

    #[test]
    fn time_in_which_the_process_did_not_run_is_given_back() {
        for (limit, steps) in [(10 * SECOND, 10), (50 * SECOND, 10)] {
            for stopped_in in 0..steps {
                let stop =
                    |step, planned| (if step == stopped_in { planned + 60 * SECOND } else { planned }, 0);
                let (_, all, _) = run(limit.into(), stop);
                // In the last step it may be that all of it was left.
                let ran = all.saturating_sub(60 * SECOND);
                assert!((limit..=limit + SECOND + LOOK).contains(&ran), "stopped in {stopped_in}: {ran:?}");
            }
        }
    }

    #[test]
    fn a_long_limit_wakes_the_processor_seldom() {
        for (limits, steps) in [
            (Limits::new(20 * SECOND), 20),
            (Limits::new(300 * SECOND), 60),
            (Limits::new(300 * SECOND).idle(30 * SECOND), 30),
        ] {
            // And one look.
            assert_eq!(run(limits, |_, planned| (planned, 0)).0, steps + 1, "{limits:?}");
        }
    }

    #[test]
    fn a_runtime_that_is_always_late_still_reaches_the_limit() {
        let (steps, ..) = run((10 * SECOND).into(), |_, planned| (planned + 2 * SECOND, 0));
        assert!((11..=11 + MAX_LOOKS).contains(&steps), "{steps}");
    }

    #[test]
    fn bytes_that_move_extend_the_idle_limit_and_not_the_total() {
        let limits = Limits::new(600 * SECOND).idle(30 * SECOND);
        let (_, all, expired) = run(limits, |_, planned| (planned, 0));
        assert_eq!((all, expired), (30 * SECOND + LOOK, Expired { limit: 30 * SECOND, is_idle: true }));
        let (_, all, expired) = run(limits, |step, planned| (planned, u64::from(step < 100)));
        assert_eq!((all, expired.is_idle), (130 * SECOND + LOOK, true));
        let every_second = |_, planned| (planned, u64::from(planned > LOOK));
        let (_, all, expired) = run(limits, every_second);
        assert_eq!((all, expired), (600 * SECOND + LOOK, Expired { limit: 600 * SECOND, is_idle: false }));
        assert_eq!(expired.to_string(), "600s");
        assert_eq!(Expired { limit: SECOND, is_idle: true }.to_string(), "1s without a byte moving");
    }

    #[test]
    fn what_still_arrives_is_read_for_a_while_and_not_for_ever() {
        let (_, all, _) = run(SECOND.into(), |step, planned| (planned, u64::from(step < 20)));
        assert_eq!(all, SECOND + 20 * LOOK);
        let (steps, ..) = run(SECOND.into(), |_, planned| (planned, 1));
        assert_eq!(steps, 1 + MAX_LOOKS);
    }
}
