//! A timer that is kept between waits.

use std::future;
use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer for waits that nearly always end before it: it may ring too early, so that it need not be set for each of them.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Waits until a time, or forever if there is none. May end too early, but not twice in a row.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(crate) async fn wait(&mut self, at: Option<Instant>) {
        let Some(at) = at else { return future::pending().await };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at || sleep.is_elapsed() {
            sleep.as_mut().reset(at);
        }
        sleep.await;
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
        assert_eq!(began.elapsed(), 3 * SECOND, "too early: it was not set again");
        alarm.wait(Some(began + 9 * SECOND)).await;
        assert_eq!(began.elapsed(), 9 * SECOND, "but once only");
    }
}
