//! That something worth a heartbeat happened.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Tells the control path of changes, many times a second and at hardly any cost.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    burst: Mutex<Option<Burst>>,
    began: Notify,
}

/// Changes that no heartbeat has told of yet.
#[derive(Debug, Clone, Copy)]
struct Burst {
    first: Instant,
    last: Instant,
}

impl Changes {
    /// Something changed.
    pub(crate) fn happened(&self) {
        let now = Instant::now();
        let mut burst = self.burst.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *burst {
            // Whoever waits looks at the time of the last one before it acts: it needs no further wake-up.
            Some(burst) => burst.last = now,
            none => {
                *none = Some(Burst { first: now, last: now });
                self.began.notify_one();
            }
        }
    }

    /// A heartbeat is about to tell of everything that happened until now.
    pub(crate) fn told(&self) {
        *self.burst.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits until a burst of changes is over: `delay` after the last of it, or after max(1 s, `delay`) of a burst
    /// that goes on.
    ///
    /// # Cancel safety
    /// Nothing is forgotten: what was not [`told`](Self::told) is still there for the next call.
    pub(crate) async fn settled(&self, delay: Duration) {
        loop {
            let burst = *self.burst.lock().unwrap_or_else(PoisonError::into_inner);
            match burst {
                None => self.began.notified().await,
                Some(burst) => {
                    let longest = delay.max(Duration::from_secs(1));
                    let due = (burst.last + delay).min(burst.first + longest);
                    if due <= Instant::now() {
                        return;
                    }
                    tokio::time::sleep_until(due).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_told_of_once_after_its_last_change() {
        let changes = Changes::default();
        let began = Instant::now();
        let burst = async {
            for _ in 0..5 {
                changes.happened();
                tokio::time::sleep(DELAY / 2).await;
            }
        };
        let ((), ()) = tokio::join!(burst, changes.settled(DELAY));
        let took = began.elapsed();
        assert!((DELAY * 3..DELAY * 4).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_that_never_ends_is_told_of_every_second() {
        let changes = Changes::default();
        let began = Instant::now();
        tokio::select! {
            () = changes.settled(DELAY) => {}
            () = async { loop { changes.happened(); tokio::time::sleep(DELAY / 10).await; } } => {}
        }
        let took = began.elapsed();
        assert!((Duration::from_secs(1)..Duration::from_millis(1100)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_is_over() {
        let changes = Changes::default();
        changes.happened();
        changes.settled(DELAY).await;
        changes.told();
        let waited = tokio::time::timeout(DELAY * 100, changes.settled(DELAY)).await;
        assert!(waited.is_err(), "nothing new happened");
    }
}
