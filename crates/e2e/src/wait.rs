//! Waiting for conditions.

use std::thread;
use std::time::{Duration, Instant};

/// The time limit of each single condition: far more than it needs, and less than the limit of the whole test.
pub const LIMIT: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// Calls `probe` until it returns a value.
///
/// # Panics
/// After `limit`; the message names `what` was waited for.
pub fn until<T>(what: &str, limit: Duration, probe: impl FnMut() -> Option<T>) -> T {
    within(limit, probe).unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// Calls `probe` until it returns a value; returns `None` after `limit`.
pub fn within<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if start.elapsed() >= limit {
            return None;
        }
        thread::sleep(PAUSE);
    }
}
