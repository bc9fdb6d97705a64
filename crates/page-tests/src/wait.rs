//! Waiting for conditions.

use std::time::{Duration, Instant};

/// The time limit of each single condition: far more than it needs, and less than the limit of the whole test.
pub const LIMIT: Duration = Duration::from_secs(45);

const PAUSE: Duration = Duration::from_millis(25);

/// Calls `probe` until it returns a value.
///
/// # Panics
/// After [`LIMIT`]; the message names `what` was waited for.
pub async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
