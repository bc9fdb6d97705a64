//! A timer that is kept between waits.

use std::future::{self, Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer for waits that are nearly always over long before it rings.
///
/// To set a timer for each of them and to remove it would cost more than the rest of a wait, so it stays set between waits,
/// and is set to the right time only when its own has come.
#[derive(Debug, Default)]
pub struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Waits until a time, or forever if there is none.
    ///
    /// # Cancel safety
    /// The alarm stays set when the future is dropped.
    pub async fn wait(&mut self, at: Option<Instant>) {
        let Some(at) = at else { return future::pending().await };
        poll_fn(|context| self.poll(context, at)).await;
    }

    /// Returns whether a time has come.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, at: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }

    /// The time to which it is set.
    #[cfg(test)]
    pub(crate) fn set_to(&self) -> Option<Instant> {
        self.0.as_ref().map(|sleep| sleep.deadline())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_rings_in_time_whatever_it_was_set_to_before() {
        let (mut alarm, began) = (Alarm::default(), Instant::now());
        assert!(alarm.wait(Some(began + 60 * SECOND)).now_or_never().is_none());
        assert!(alarm.wait(None).now_or_never().is_none());
        alarm.wait(Some(began + SECOND)).await;
        assert_eq!(began.elapsed(), SECOND, "set to an earlier time");
        assert!(alarm.wait(Some(began + 3 * SECOND)).now_or_never().is_none());
        alarm.wait(Some(began + 9 * SECOND)).await;
        assert_eq!(began.elapsed(), 9 * SECOND, "set to a later time");
        alarm.wait(Some(began + 4 * SECOND)).await;
        assert_eq!(began.elapsed(), 9 * SECOND, "that time had come");
    }
}
