//! Time limits that count only time in which the process ran.
//!
//! A process that was stopped (SIGSTOP, a paused container) or whose runtime was blocked finds, when it goes on, that its
//! timers have fired *and* that answers lie in its sockets. A plain time limit gives up first and reads never. [`within`]
//! and [`Limits::watch`] count in steps of a second, or of five seconds for a long limit: a step that ended late counts as
//! planned, and before anything is given up the runtime looks at its sockets once more.

mod countdown;
mod timer;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

pub(crate) use self::timer::LimitTimer;

/// The limits of an exchange.
///
/// ```
/// use std::time::Duration;
/// use rxon::limit::{Limits, Movement};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// // Ten minutes in all, and never thirty seconds without a byte.
/// let limits = Limits::new(Duration::from_secs(600)).idle(Duration::from_secs(30));
/// let movement = Movement::default();
/// let exchange = async { movement.record(1); "done" };
/// assert_eq!(limits.watch(&movement, exchange).await, Ok("done"));
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    total: Duration,
    idle: Option<Duration>,
}

impl Limits {
    /// Limits the time in all. [`Duration::MAX`] is no limit.
    pub const fn new(total: Duration) -> Self {
        Self { total, idle: None }
    }

    /// Limits the time without a byte moving as well.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Waits for a future within these limits. `movement` tells whether bytes move.
    ///
    /// # Errors
    /// Returns [`Expired`] when a limit was reached. The future is dropped with the call.
    pub async fn watch<F: Future>(&self, movement: &Movement, future: F) -> Result<F::Output, Expired> {
        let (mut future, mut expired) = (pin!(future), pin!(self.expired(movement)));
        // The future first: it may be ready because of what was read in the turn in which the timer fired.
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => expired.as_mut().poll(context).map(Err),
        })
        .await
    }

    /// Waits until a limit is reached. In a `select!` it belongs behind whatever it limits, as it only ends in a later turn
    /// than the one in which its time was up.
    pub async fn expired(&self, movement: &Movement) -> Expired {
        let mut timer = LimitTimer::new(*self, movement.clone());
        poll_fn(|context| timer.poll(context)).await
    }
}

impl From<Duration> for Limits {
    fn from(total: Duration) -> Self {
        Self::new(total)
    }
}

/// Waits for a future within a time limit.
///
/// # Errors
/// Returns [`Expired`] when the limit was reached. The future is dropped with the call.
pub async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Expired> {
    Limits::new(limit).watch(&Movement::default(), future).await
}

/// Waits for a time in which the process runs, and a last look at the sockets. In a `select!` it belongs behind whatever it
/// limits.
pub async fn elapsed(limit: Duration) {
    Limits::new(limit).expired(&Movement::default()).await;
}

/// The number of bytes that a connection has moved, in both directions. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Movement(Arc<AtomicU64>);

impl Movement {
    /// Counts bytes that were read or written.
    pub fn record(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the number of bytes so far.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// The limit.
    pub limit: Duration,
    /// Whether it is the limit of the time without a byte moving.
    pub is_idle: bool,
}

impl fmt::Display for Expired {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, is_idle } = self;
        write!(formatter, "{limit:?}{}", if *is_idle { " without a byte moving" } else { "" })
    }
}

impl std::error::Error for Expired {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_future_that_becomes_ready_while_nothing_runs_is_not_given_up() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let answering = async {
            sleep(2 * SECOND).await;
            tokio::time::advance(60 * SECOND).await;
            // The timer has fired; the answer is found only in the turn after it.
            tokio::task::yield_now().await;
            sender.send("an answer").expect("it is still waited for");
        };
        let (waited, ()) = tokio::join!(within(10 * SECOND, receiver), answering);
        assert_eq!(waited, Ok(Ok("an answer")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_never_ends_is_given_up() {
        let begun = Instant::now();
        let expired = within(10 * SECOND, std::future::pending::<()>()).await;
        assert_eq!(expired, Err(Expired { limit: 10 * SECOND, is_idle: false }));
        assert!((10 * SECOND..11 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
}
