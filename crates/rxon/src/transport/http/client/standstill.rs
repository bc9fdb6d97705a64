//! The time limit of an exchange in which no byte moves.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Beyond this delay the limit was noticed too late: the process was stopped, or nobody asked.
const LATE: Duration = Duration::from_secs(1);

/// Ends once no byte has moved for the limit.
pub(super) struct Standstill {
    limit: Duration,
    /// The number of bytes that had moved when they were last looked at, and the time of the last change.
    moved: u64,
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Standstill {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, moved: 0, since: Instant::now(), timer: Box::pin(sleep(limit)) }
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// To be polled whenever bytes may have moved, with their number so far.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, moved: u64) -> Poll<()> {
        if moved != self.moved {
            (self.moved, self.since) = (moved, Instant::now());
        }
        loop {
            ready!(self.timer.as_mut().poll(context));
            let now = Instant::now();
            if now > self.timer.deadline() + LATE {
                // What has arrived in the meantime is looked at before anything is given up.
                self.since = now;
            }
            let end = self.since + self.limit;
            if end <= now {
                return Poll::Ready(());
            }
            // The timer is not set back with every byte.
            self.timer.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Returns the time until it ends, if a byte moves at each of these times and nothing is asked in between.
    async fn ended(moves: &[u64]) -> Duration {
        let begin = Instant::now();
        let mut standstill = Standstill::new(LIMIT);
        let mut moved = 0;
        for second in moves {
            let next = tokio::time::sleep_until(begin + Duration::from_secs(*second));
            tokio::select! {
                () = poll_fn(|context| standstill.poll(context, moved)) => return begin.elapsed(),
                () = next => moved += 1,
            }
        }
        poll_fn(|context| standstill.poll(context, moved)).await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_time_without_a_byte_counts() {
        for (moves, end) in [(&[][..], 30), (&[29], 59), (&[10, 39, 68, 97], 127), (&[31], 30)] {
            assert_eq!(ended(moves).await.as_secs(), end, "{moves:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_noticed_late_begins_anew() {
        let begin = Instant::now();
        let mut standstill = Standstill::new(LIMIT);
        // Nobody looked for an hour: the process was stopped, or the body was not asked for.
        tokio::time::advance(Duration::from_secs(3600)).await;
        poll_fn(|context| standstill.poll(context, 0)).await;
        assert_eq!(begin.elapsed().as_secs(), 3630);
    }
}
