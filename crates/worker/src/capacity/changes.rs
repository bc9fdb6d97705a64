//! That something worth a heartbeat happened.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::threads::lock;

/// Tells the control path of changes, many times a second and at hardly any cost. Each orchestrator is told for itself.
#[derive(Debug)]
pub(crate) struct Changes {
    listeners: Vec<Listener>,
}

/// What one orchestrator has not been told yet.
#[derive(Debug, Default)]
struct Listener {
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
    /// For so many orchestrators.
    pub(crate) fn new(orchestrators: usize) -> Self {
        Self { listeners: (0..orchestrators).map(|_| Listener::default()).collect() }
    }

    /// Something changed.
    pub(crate) fn happened(&self) {
        let now = Instant::now();
        for listener in &self.listeners {
            match &mut *lock(&listener.burst) {
                // Whoever waits looks at the time of the last one before it acts: it needs no further wake-up.
                Some(burst) => burst.last = now,
                none => {
                    *none = Some(Burst { first: now, last: now });
                    listener.began.notify_one();
                }
            }
        }
    }

    /// A heartbeat is about to tell this orchestrator of everything that happened until now.
    pub(crate) fn told(&self, who: usize) {
        *lock(&self.listeners[who].burst) = None;
    }

    /// Waits until a burst of changes is over: `delay` after the last of it, or after max(1 s, `delay`) of a burst
    /// that goes on.
    ///
    /// # Cancel safety
    /// Nothing is forgotten: what was not [`told`](Self::told) is still there for the next call.
    pub(crate) async fn settled(&self, who: usize, delay: Duration) {
        let listener = &self.listeners[who];
        loop {
            let burst = *lock(&listener.burst);
            match burst {
                None => listener.began.notified().await,
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
        let changes = Changes::new(1);
        let began = Instant::now();
        let burst = async {
            for _ in 0..5 {
                changes.happened();
                tokio::time::sleep(DELAY / 2).await;
            }
        };
        let ((), ()) = tokio::join!(burst, changes.settled(0, DELAY));
        let took = began.elapsed();
        assert!((DELAY * 3..DELAY * 4).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_that_never_ends_is_told_of_every_second() {
        let changes = Changes::new(1);
        let began = Instant::now();
        tokio::select! {
            () = changes.settled(0, DELAY) => {}
            () = async { loop { changes.happened(); tokio::time::sleep(DELAY / 10).await; } } => {}
        }
        let took = began.elapsed();
        assert!((Duration::from_secs(1)..Duration::from_millis(1100)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_was_told_the_others_were_not() {
        let changes = Changes::new(2);
        changes.happened();
        changes.told(0);
        changes.settled(1, DELAY).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_is_over() {
        let changes = Changes::new(1);
        changes.happened();
        changes.settled(0, DELAY).await;
        changes.told(0);
        let waited = tokio::time::timeout(DELAY * 100, changes.settled(0, DELAY)).await;
        assert!(waited.is_err(), "nothing new happened");
    }
}
