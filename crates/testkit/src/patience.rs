//! Waiting for an expected event, without sleeping.

use std::panic::Location;
use std::time::Duration;

use tokio::sync::Notify;

/// The time after which waiting in this crate fails the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Calls `check` after every change until it returns a value; gives up after [`PATIENCE`].
pub(crate) async fn eventually<T>(changed: &Notify, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let waiting = async {
        loop {
            let notified = changed.notified();
            tokio::pin!(notified);
            // Registered before the check, or a change between the check and the wait would be missed.
            notified.as_mut().enable();
            if let Some(found) = check() {
                return found;
            }
            notified.await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.ok()
}

/// Fails the test, and names the line of the test that waited.
pub(crate) fn give_up(caller: &Location<'_>, wanted: &str, seen: &str) -> ! {
    panic!("{caller}: waited {}s for {wanted}; seen so far:\n{seen}", PATIENCE.as_secs())
}
