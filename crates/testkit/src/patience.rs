//! Waiting for something that a test expects, without sleeping.

use std::panic::Location;
use std::time::Duration;

use tokio::sync::Notify;

/// The time limit of everything that a test waits for. It only ends a test that hangs, so it is longer than any busy
/// machine needs; a promise in wall time is measured with a [`Stopwatch`](crate::Stopwatch).
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again after every change until `check` finds what it looks for; gives up after [`PATIENCE`].
pub(crate) async fn eventually<T>(changed: &Notify, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let waiting = async {
        loop {
            let notified = changed.notified();
            tokio::pin!(notified);
            // Registered before looking, or a change between the look and the wait would be missed.
            notified.as_mut().enable();
            if let Some(found) = check() {
                return found;
            }
            notified.await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.ok()
}

/// Fails the test, naming the line of the test that waited.
pub(crate) fn give_up(caller: &Location<'_>, wanted: &str, seen: &str) -> ! {
    panic!("{caller}: waited {}s for {wanted}; seen so far:\n{seen}", PATIENCE.as_secs())
}
