//! The time, read once per event and handed to whoever decides.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Further ahead than anybody waits; keeps sums of times from overflowing.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// One reading of both clocks: one for what is to happen, one for what people are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Of the clock that only goes forward.
    pub(crate) instant: Instant,
    /// Seconds since 1970.
    pub(crate) unix: f64,
}

impl Now {
    /// Reads the clocks. Follows tokio's clock, so that tests can hold it.
    pub(crate) fn read() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Self { instant: tokio::time::Instant::now().into_std(), unix }
    }

    /// The moment that is so much later, a year at most.
    pub(crate) fn after(self, wait: Duration) -> Self {
        let wait = wait.min(LONGEST);
        Self { instant: self.instant + wait, unix: self.unix + wait.as_secs_f64() }
    }
}
