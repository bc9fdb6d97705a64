//! Which polls are under way, and whether one has been for too long.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::threads::lock;

/// The polls of one orchestrator that are under way.
#[derive(Debug, Default)]
pub(crate) struct OpenPolls(Mutex<OpenPollsState>);

#[derive(Debug, Default)]
struct OpenPollsState {
    next: u64,
    due: BTreeMap<u64, Instant>,
}

/// A poll that is under way until this is dropped.
pub(crate) struct OpenPoll<'a> {
    polls: &'a OpenPolls,
    number: u64,
}

impl OpenPolls {
    /// A poll begins that must have ended after this time.
    pub(crate) fn begin(&self, limit: Duration) -> OpenPoll<'_> {
        let mut state = lock(&self.0);
        let number = state.next;
        state.next += 1;
        state.due.insert(number, Instant::now() + limit);
        OpenPoll { polls: self, number }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        lock(&self.0).due.len()
    }

    /// By how much the one is late that should have ended first.
    pub(crate) fn overdue(&self) -> Option<Duration> {
        let first = lock(&self.0).due.values().min().copied()?;
        Instant::now().checked_duration_since(first).filter(|late| !late.is_zero())
    }
}

impl Drop for OpenPoll<'_> {
    fn drop(&mut self) {
        lock(&self.polls.0).due.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_has_not_ended_in_time_is_overdue_until_it_ends() {
        let polls = OpenPolls::default();
        let (short, long) = (polls.begin(Duration::from_secs(10)), polls.begin(Duration::from_secs(100)));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!((polls.count(), polls.overdue()), (2, None));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(polls.overdue(), Some(Duration::from_secs(5)));
        drop(short);
        assert_eq!((polls.count(), polls.overdue()), (1, None));
        drop(long);
        assert_eq!((polls.count(), polls.overdue()), (0, None));
    }
}
