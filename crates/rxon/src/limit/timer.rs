//! The timer that counts limits.

use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::alarm::Alarm;
use super::countdown::{Countdown, Expired, Limits};
use super::movement::Movement;

/// Counts the limits of exchanges that follow one another. An exchange is nearly always over long before its first step
/// is, so its alarm stays set between them.
#[derive(Debug)]
pub(crate) struct LimitTimer {
    movement: Movement,
    countdown: Countdown,
    /// The beginning and the end of the current step.
    begun: Instant,
    end: Instant,
    alarm: Alarm,
}

impl LimitTimer {
    pub(crate) fn new(limits: Limits, movement: Movement) -> Self {
        let (countdown, begun) = (Countdown::new(limits, movement.total()), Instant::now());
        let end = begun + countdown.step();
        Self { movement, countdown, begun, end, alarm: Alarm::default() }
    }

    /// Counts the limits of another exchange, which begins now.
    #[cfg(any(test, feature = "http"))]
    pub(crate) fn restart(&mut self, limits: Limits, now: Instant) {
        self.countdown = Countdown::new(limits, self.movement.total());
        self.begin_step(now);
    }

    fn begin_step(&mut self, now: Instant) {
        self.begun = now;
        self.end = now + self.countdown.step();
    }

    /// Returns whether a limit is reached. To be polled after the bytes that can be moved were moved.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Expired> {
        loop {
            ready!(self.alarm.poll(context, self.end));
            let now = Instant::now();
            let (planned, took) = (self.end - self.begun, now - self.begun);
            if let Err(expired) = self.countdown.on_step(planned, took, self.movement.total()) {
                return Poll::Ready(expired);
            }
            self.begin_step(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::sleep_until;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const LIMIT: Duration = Duration::from_secs(30);

    /// Only bytes that move count.
    const IDLE: Limits = Limits::new(Duration::MAX).idle(LIMIT);

    async fn expires(timer: &mut LimitTimer) -> Expired {
        poll_fn(|context| timer.poll(context)).await
    }

    async fn is_counting(timer: &mut LimitTimer) {
        assert!(poll_fn(|context| Poll::Ready(timer.poll(context).is_pending())).await);
    }

    /// Returns the seconds until it ends, if a byte moves at each of these times.
    async fn ended(moves: &[u64]) -> u64 {
        let begin = Instant::now();
        let movement = Movement::default();
        let mut timer = LimitTimer::new(IDLE, movement.clone());
        for second in moves {
            let next = sleep_until(begin + Duration::from_secs(*second));
            tokio::select! {
                _ = expires(&mut timer) => return begin.elapsed().as_secs(),
                () = next => movement.record(1),
            }
        }
        expires(&mut timer).await;
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
        let mut timer = LimitTimer::new(IDLE, Movement::default());
        // The process was stopped, or the body was not asked for.
        tokio::time::advance(Duration::from_secs(3600)).await;
        expires(&mut timer).await;
        assert!(begin.elapsed().as_secs() >= 3628, "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn every_exchange_has_the_whole_of_its_limit() {
        let mut timer = LimitTimer::new(LIMIT.into(), Movement::default());
        // Longer and shorter limits than the one before, begun while the timer is set and after it has fired.
        for (limit, before) in [(20, 300), (10, 2900), (10, 0), (7, 999), (30, 1000), (1, 0), (40, 1)] {
            timer.restart(LIMIT.into(), Instant::now());
            is_counting(&mut timer).await;
            tokio::time::sleep(Duration::from_millis(before)).await;
            let (begin, limit) = (Instant::now(), limit * SECOND);
            timer.restart(limit.into(), begin);
            assert_eq!(expires(&mut timer).await.limit, limit);
            let took = begin.elapsed();
            assert!((limit..limit + SECOND / 10).contains(&took), "{limit:?}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn exchanges_that_end_at_once_set_the_timer_once() {
        let mut timer = LimitTimer::new(LIMIT.into(), Movement::default());
        is_counting(&mut timer).await;
        let set = timer.alarm.set_to();
        for _ in 0..10 {
            tokio::time::advance(SECOND / 100).await;
            timer.restart(LIMIT.into(), Instant::now());
            is_counting(&mut timer).await;
        }
        assert_eq!(timer.alarm.set_to(), set);
    }
}
