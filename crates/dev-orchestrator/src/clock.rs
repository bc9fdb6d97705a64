//! The time, read once for each event and passed to the code that decides.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest wait: a limit that keeps sums of times from overflowing.
const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// One reading of two clocks: a monotonic one for scheduling, and the time of day for display.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// The time of the monotonic clock.
    pub(crate) instant: Instant,
    /// The time of day, in seconds since 1970.
    pub(crate) unix: f64,
}

impl Now {
    /// Reads the clocks. The monotonic one is tokio's, so that tests can pause it.
    pub(crate) fn read() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Self { instant: tokio::time::Instant::now().into_std(), unix }
    }

    /// Returns the reading of the monotonic clock at a time of day, as far as that clock reaches.
    pub(crate) fn instant_at(self, unix: f64) -> Instant {
        let wait = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(MAX_WAIT).min(MAX_WAIT);
        if unix >= self.unix {
            return self.instant + wait(unix - self.unix);
        }
        self.instant.checked_sub(wait(self.unix - unix)).unwrap_or(self.instant)
    }

    /// Returns the time after `wait`, a year at most.
    pub(crate) fn after(self, wait: Duration) -> Self {
        let wait = wait.min(MAX_WAIT);
        Self { instant: self.instant + wait, unix: self.unix + wait.as_secs_f64() }
    }
}
