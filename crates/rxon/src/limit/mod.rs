//! Time limits that count only time in which the process ran.
//!
//! A process that was stopped (SIGSTOP, a paused container) or whose runtime was blocked finds, when it goes on, that its
//! timers have fired *and* that answers lie in its sockets. A plain time limit gives up first and reads never. [`within`]
//! and [`Limits::watch`] count in steps of a second, or of five seconds for a long limit: a step that ended late counts as
//! planned, and before anything is given up the runtime looks at its sockets once more.

mod alarm;
mod countdown;
mod movement;
mod timer;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

pub use self::alarm::Alarm;
pub use self::countdown::{Expired, Limits};
pub use self::movement::Movement;
pub(crate) use self::timer::LimitTimer;

impl Limits {
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

#[cfg(test)]
mod tests {
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
