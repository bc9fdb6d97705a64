//! Waiting for something to become true.

use std::thread;
use std::time::{Duration, Instant};

/// What any single condition is given: far more than it needs, and less than what ends a test from outside.
pub const LIMIT: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// Asks `probe` until it gives something.
///
/// # Panics
/// After `limit`, naming `what` was waited for.
pub fn until<T>(what: &str, limit: Duration, probe: impl FnMut() -> Option<T>) -> T {
    within(limit, probe).unwrap_or_else(|| panic!("waited {limit:?} in vain: {what}"))
}

/// Asks `probe` until it gives something, or gives nothing after `limit`.
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
