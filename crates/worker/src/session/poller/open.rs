//! The polls that are open.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::threads::lock;

/// The time beyond its limit that a poll may take: to connect, to fetch another token and to be repeated.
pub(super) const SLACK: Duration = Duration::from_secs(35);

/// The open polls of one orchestrator, by the times at which they must have ended.
#[derive(Debug, Default)]
pub(crate) struct OpenPolls(Mutex<Dues>);

/// The times by number.
#[derive(Debug, Default)]
struct Dues {
    begun: u64,
    open: BTreeMap<u64, Instant>,
}

/// A poll that is open until this is dropped.
pub(crate) struct OpenPoll<'a> {
    polls: &'a OpenPolls,
    number: u64,
}

impl OpenPolls {
    /// Opens a poll that is given up after this time, and must have ended some time later.
    pub(crate) fn begin(&self, limit: Duration) -> OpenPoll<'_> {
        let mut dues = lock(&self.0);
        dues.begun += 1;
        let number = dues.begun;
        dues.open.insert(number, Instant::now() + limit + SLACK);
        OpenPoll { polls: self, number }
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.0).open.len()
    }

    /// Gives the open polls a time back in which the process did not run.
    pub(crate) fn postpone(&self, lost: Duration) {
        lock(&self.0).open.values_mut().for_each(|due| *due += lost);
    }

    /// The time after which the last of them is given up.
    pub(crate) fn longest(&self) -> Duration {
        let last = lock(&self.0).open.values().max().copied();
        last.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()).saturating_sub(SLACK))
    }

    /// The time by which the most overdue poll is late.
    pub(crate) fn overdue(&self) -> Option<Duration> {
        let first = lock(&self.0).open.values().min().copied()?;
        Instant::now().checked_duration_since(first).filter(|late| !late.is_zero())
    }
}

impl Drop for OpenPoll<'_> {
    fn drop(&mut self) {
        lock(&self.polls.0).open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_has_not_ended_in_time_is_overdue_until_it_ends() {
        let polls = OpenPolls::default();
        assert_eq!(polls.longest(), Duration::ZERO);
        let (short, long) = (polls.begin(Duration::from_secs(10)), polls.begin(Duration::from_secs(100)));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(polls.longest(), Duration::from_secs(90), "it is given up then");
        tokio::time::advance(SLACK).await;
        assert_eq!((polls.count(), polls.overdue()), (2, None));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(polls.overdue(), Some(Duration::from_secs(5)));
        polls.postpone(Duration::from_secs(3));
        assert_eq!(polls.overdue(), Some(Duration::from_secs(2)), "the process did not run for 3 s of it");
        drop(short);
        assert_eq!((polls.count(), polls.overdue()), (1, None));
        drop(long);
        assert_eq!((polls.count(), polls.overdue()), (0, None));
    }
}
