//! Figures for each second of the last hour. Pure.
//!
//! Seconds are counted on the monotonic clock, beginning with the time of day at the start: they have no gaps, whatever
//! happens to the time of day.

use std::collections::VecDeque;

use serde::Serialize;

use crate::clock::Now;
use crate::view::TaskStatus;

/// The number of seconds that are remembered.
const MAX_SECONDS: usize = 3600;

/// The number of latencies of one second from which quantiles are made; later ones replace the first ones.
const MAX_LATENCIES: usize = 10_000;

/// The figures of one whole second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Second {
    /// The begin of the second, in seconds since 1970.
    pub(crate) at: u64,
    /// Events in this second.
    pub(crate) submitted: u64,
    pub(crate) finished: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// Tasks at its end.
    pub(crate) running: usize,
    pub(crate) queued: usize,
    /// Quantiles of the time from submission to end, in seconds, of the tasks that ended in this second.
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
}

/// The number of tasks in each state that passes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Gauges {
    pub(crate) running: usize,
    pub(crate) queued: usize,
}

/// The figures of the last hour.
#[derive(Debug)]
pub(crate) struct Stats {
    start: Now,
    seconds: VecDeque<Second>,
    current: Tally,
}

/// The events of the second that is not over yet.
#[derive(Debug)]
struct Tally {
    at: u64,
    submitted: u64,
    finished: u64,
    failed: u64,
    cancelled: u64,
    ended: usize,
    latencies: Vec<f64>,
}

impl Stats {
    pub(crate) fn new(start: Now) -> Self {
        Self { start, seconds: VecDeque::new(), current: Tally::new(start.unix.max(0.0) as u64) }
    }

    /// The time of day on the clock of the figures.
    pub(crate) fn time(&self, now: Now) -> f64 {
        self.start.unix + now.instant.saturating_duration_since(self.start.instant).as_secs_f64()
    }

    /// Closes the seconds that are over. `gauges` have not changed since the last call.
    pub(crate) fn advance(&mut self, gauges: Gauges, now: Now) {
        let present = self.time(now) as u64;
        if present <= self.current.at {
            return;
        }
        let tally = std::mem::replace(&mut self.current, Tally::new(present));
        let next = tally.at + 1;
        self.push(tally.close(gauges));
        // Nothing has happened in the seconds between; those that would be removed at once are left out.
        for at in next.max(present.saturating_sub(MAX_SECONDS as u64))..present {
            self.push(Tally::new(at).close(gauges));
        }
        while self.seconds.front().is_some_and(|second| second.at + (MAX_SECONDS as u64) < present) {
            self.seconds.pop_front();
        }
    }

    /// Counts a submitted task in the current second.
    pub(crate) fn count_submitted(&mut self) {
        self.current.submitted += 1;
    }

    /// Counts an ended task in the current second; `latency` is the time since its submission, in seconds.
    pub(crate) fn count_ended(&mut self, status: TaskStatus, latency: f64) {
        let tally = &mut self.current;
        match status {
            TaskStatus::Finished => tally.finished += 1,
            TaskStatus::Failed | TaskStatus::Quarantined => tally.failed += 1,
            TaskStatus::Cancelled => tally.cancelled += 1,
            TaskStatus::Queued | TaskStatus::Running => return,
        }
        match tally.latencies.get_mut(tally.ended % MAX_LATENCIES) {
            Some(oldest) => *oldest = latency,
            None => tally.latencies.push(latency),
        }
        tally.ended += 1;
    }

    /// Returns the whole seconds that began at `since` or later.
    pub(crate) fn since(&self, since: f64) -> Vec<Second> {
        let first = self.seconds.partition_point(|second| (second.at as f64) < since);
        self.seconds.range(first..).cloned().collect()
    }

    fn push(&mut self, second: Second) {
        if self.seconds.len() == MAX_SECONDS {
            self.seconds.pop_front();
        }
        self.seconds.push_back(second);
    }
}

impl Tally {
    fn new(at: u64) -> Self {
        Self { at, submitted: 0, finished: 0, failed: 0, cancelled: 0, ended: 0, latencies: Vec::new() }
    }

    fn close(mut self, Gauges { running, queued }: Gauges) -> Second {
        let (p50, p95) = (quantile(&mut self.latencies, 50), quantile(&mut self.latencies, 95));
        let Self { at, submitted, finished, failed, cancelled, .. } = self;
        Second { at, submitted, finished, failed, cancelled, running, queued, p50, p95 }
    }
}

/// Returns the smallest value that is at least as large as `percent` of all.
fn quantile(values: &mut [f64], percent: usize) -> Option<f64> {
    let rank = (values.len() * percent).div_ceil(100).checked_sub(1)?;
    let (_, value, _) = values.select_nth_unstable_by(rank, f64::total_cmp);
    Some(*value)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn start() -> Now {
        Now { instant: Instant::now(), unix: 1_700_000_000.25 }
    }

    #[test]
    fn every_second_has_one_entry_whether_anything_happens_or_not() {
        let start = start();
        let mut stats = Stats::new(start);
        let after = |millis| start.after(Duration::from_millis(millis));
        stats.count_submitted();
        stats.advance(Gauges { running: 0, queued: 1 }, after(700));
        assert_eq!(stats.since(0.0), [], "the first second is not over");
        stats.count_ended(TaskStatus::Finished, 0.5);
        stats.count_ended(TaskStatus::Quarantined, 0.7);
        stats.advance(Gauges::default(), after(4_000));
        let seconds = stats.since(0.0);
        let times: Vec<u64> = seconds.iter().map(|second| second.at - 1_700_000_000).collect();
        assert_eq!(times, [0, 1, 2, 3]);
        assert_eq!((seconds[0].submitted, seconds[0].finished, seconds[0].failed), (1, 1, 1));
        assert_eq!((seconds[0].p50, seconds[0].p95), (Some(0.5), Some(0.7)));
        assert_eq!((seconds[1].submitted, seconds[1].p50, seconds[1].p95), (0, None, None));
        assert_eq!(stats.since(1_700_000_002.0).len(), 2);
        assert_eq!(stats.since(1_700_000_002.5).len(), 1);
        assert_eq!(stats.since(f64::INFINITY), []);
    }

    #[test]
    fn a_second_shows_how_many_tasks_there_were_at_its_end() {
        let start = start();
        let mut stats = Stats::new(start);
        stats.advance(Gauges { running: 1, queued: 7 }, start.after(Duration::from_secs(2)));
        stats.advance(Gauges { running: 2, queued: 6 }, start.after(Duration::from_secs(3)));
        let gauges: Vec<_> = stats.since(0.0).iter().map(|second| (second.running, second.queued)).collect();
        assert_eq!(gauges, [(1, 7), (1, 7), (2, 6)]);
    }

    #[test]
    fn an_hour_is_remembered_however_long_nothing_happens() {
        let start = start();
        let mut stats = Stats::new(start);
        for seconds in [10_u64, 3_599, 3_600, 3_700, 1_000_000] {
            stats.advance(Gauges::default(), start.after(Duration::from_secs(seconds)));
            let list = stats.since(0.0);
            assert_eq!(list.len() as u64, seconds.min(3_600), "{seconds}");
            assert!(list.windows(2).all(|pair| pair[0].at + 1 == pair[1].at), "{seconds}: no gap");
            assert_eq!(list.last().map(|second| second.at), Some(1_700_000_000 + seconds - 1));
        }
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((quantile(&mut values, 50), quantile(&mut values, 95)), (Some(50.0), Some(95.0)));
        assert_eq!((quantile(&mut [3.0], 50), quantile(&mut [3.0], 95)), (Some(3.0), Some(3.0)));
        assert_eq!(quantile(&mut [], 50), None);
        let mut stats = Stats::new(start());
        for _ in 0..3 * MAX_LATENCIES {
            stats.count_ended(TaskStatus::Cancelled, 1.0);
        }
        assert_eq!(stats.current.latencies.len(), MAX_LATENCIES, "memory is bounded");
        assert_eq!(stats.current.cancelled as usize, 3 * MAX_LATENCIES);
    }
}
