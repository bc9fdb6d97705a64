//! Durations on a machine that does other things too.

mod canary;
mod threads;

use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use self::canary::Canary;
pub(crate) use self::threads::{unwatch, watch};

/// Measures how long something takes, and how long the test was held up meanwhile by a lack of processors.
///
/// Canaries count the time for which this process, and each program that it started with [`Program`](crate::Program),
/// was ready to run and did not: all threads that wait for a processor, a thread whose sleep ends late, and, for a
/// stopwatch started on a runtime of tokio, timers that fire late because the runtime's thread is at work. A runtime whose
/// thread is blocked or asleep is not excused.
///
/// For promises in wall time only: a promise that the order of events or tokio's paused clock can show needs no
/// stopwatch, and on a paused clock it does not work.
#[derive(Debug)]
pub struct Stopwatch {
    canary: &'static Canary,
    start: Instant,
    late: Duration,
}

impl Stopwatch {
    /// Starts a stopwatch.
    pub fn start() -> Self {
        let canary = Canary::of_this_process();
        canary.watch_this_runtime();
        // Read before the canaries are: time that passes between the two is on the stopwatch, not excused.
        let start = Instant::now();
        Self { canary, start, late: canary.late_until_now() }
    }

    /// The time since the start.
    pub fn took(&self) -> Took {
        let late = self.canary.late_until_now().saturating_sub(self.late);
        let wall = self.start.elapsed();
        // Lateness cannot make it seem shorter: the stopwatch was started before the measured work began.
        Took { wall, late, most: wall }
    }

    /// The time from the start to a moment, such as the arrival of a request.
    pub fn until(&self, moment: Instant) -> Took {
        let wall = moment.saturating_duration_since(self.start);
        Took { wall, late: self.canary.late_between(self.start, moment), most: wall }
    }

    /// The time between two moments since the start, such as the arrivals of two requests. Lateness at the first makes it
    /// seem shorter, lateness at the second longer.
    pub fn between(&self, first: Instant, second: Instant) -> Took {
        let wall = second.saturating_duration_since(first);
        let late = self.canary.late_between(first, second);
        Took { wall, late, most: wall + late }
    }
}

/// The time that something took.
#[derive(Clone, Copy)]
pub struct Took {
    wall: Duration,
    late: Duration,
    most: Duration,
}

impl Took {
    /// Whether it took less than the limit, not counting the time for which the machine held it up.
    pub fn is_below(self, limit: Duration) -> bool {
        self.undisturbed() < limit
    }

    /// Whether it took the time, or may have: see [`Stopwatch::between`].
    pub fn is_at_least(self, time: Duration) -> bool {
        self.most >= time
    }

    /// Whether it is at least the start of the range and below its end.
    pub fn is_within(self, limits: Range<Duration>) -> bool {
        self.is_at_least(limits.start) && self.is_below(limits.end)
    }

    /// The time on the clock.
    pub fn wall(self) -> Duration {
        self.wall
    }

    /// The time on the clock without that for which the machine may have held it up.
    pub fn undisturbed(self) -> Duration {
        self.wall.saturating_sub(self.late)
    }
}

impl fmt::Debug for Took {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}, held up by the machine for at most {:?}", self.wall, self.late)
    }
}
