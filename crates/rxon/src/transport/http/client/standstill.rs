//! The time limit of an exchange in which no byte moves.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::limit::{Countdown, Expired, Limits, Movement};

/// Ends once no byte has moved for the limit, counted as by [`Limits::watch`], but polled from more than one future.
pub(super) struct Standstill {
    movement: Movement,
    countdown: Countdown,
    begun: Instant,
    planned: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Standstill {
    pub(super) fn new(limit: Duration, movement: Movement) -> Self {
        let countdown = Countdown::new(Limits::new(Duration::MAX).idle(limit), movement.total());
        let planned = countdown.step();
        Self { movement, countdown, begun: Instant::now(), planned, timer: Box::pin(sleep(planned)) }
    }

    /// To be polled after the bytes that can be moved were moved.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Expired> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let now = Instant::now();
            if let Err(expired) =
                self.countdown.on_step(self.planned, now - self.begun, self.movement.total())
            {
                return Poll::Ready(expired);
            }
            self.planned = self.countdown.step();
            self.begun = now;
            self.timer.as_mut().reset(now + self.planned);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Returns the seconds until it ends, if a byte moves at each of these times.
    async fn ended(moves: &[u64]) -> u64 {
        let begin = Instant::now();
        let movement = Movement::default();
        let mut standstill = Standstill::new(LIMIT, movement.clone());
        for second in moves {
            let next = tokio::time::sleep_until(begin + Duration::from_secs(*second));
            tokio::select! {
                _ = poll_fn(|context| standstill.poll(context)) => return begin.elapsed().as_secs(),
                () = next => movement.record(1),
            }
        }
        poll_fn(|context| standstill.poll(context)).await;
        begin.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_time_without_a_byte_counts() {
        for (moves, end) in [(&[][..], 30), (&[29], 59), (&[10, 39, 68, 97], 127), (&[35], 30)] {
            let ended = ended(moves).await;
            // A byte counts from the end of its second.
            assert!((end..=end + 1).contains(&ended), "{moves:?}: {ended}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_in_which_nobody_looked_counts_for_a_second() {
        let begin = Instant::now();
        let mut standstill = Standstill::new(LIMIT, Movement::default());
        // The process was stopped, or the body was not asked for.
        tokio::time::advance(Duration::from_secs(3600)).await;
        poll_fn(|context| standstill.poll(context)).await;
        assert!(begin.elapsed().as_secs() >= 3628, "{:?}", begin.elapsed());
    }
}
