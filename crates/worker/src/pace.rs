//! How long to wait where every part of the worker waits alike.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use rxon::backoff::add_quarter;
use tokio::time::Instant;

/// What was refused for its credentials is tried this often, plus up to a quarter.
const UNAUTHORIZED_INTERVAL: Duration = Duration::from_secs(5);

/// This much silence opens a window of requests again: 45 s are not enough, 61 s are (measured).
pub(crate) const USUAL_SILENCE: Duration = Duration::from_secs(61);

/// At most this many seconds are added, so that workers do not come back together.
const SILENCE_JITTER: f64 = 5.0;

/// `Retry-After: 0`, or a date that is past, is no invitation to knock without pause.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);

/// The delay after credentials were refused.
pub(crate) fn after_refused_credentials(rng: &mut Rng) -> Duration {
    add_quarter(UNAUTHORIZED_INTERVAL, rng)
}

/// The silence after a 429: what `Retry-After` says, else as long as reopens the window of the known orchestrators.
pub(crate) fn after_too_many_requests(retry_after: Option<Duration>, rng: &mut Rng) -> Duration {
    retry_after
        .unwrap_or_else(|| USUAL_SILENCE + Duration::from_secs_f64(SILENCE_JITTER * rng.f64()))
        .max(SHORTEST_SILENCE)
}

/// Waits until a moment, or for ever when there is none.
pub(crate) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Locks what only whole values are ever written to, so that a panic elsewhere leaves nothing half done in it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
