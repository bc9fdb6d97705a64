//! The polls that are open.

use std::sync::Mutex;
use std::time::Duration;

use rxon::limit::{Alarm, elapsed};
use tokio::time::Instant;

use crate::threads::lock;

/// The time beyond its limit that a poll may take: to connect, to fetch another token and to be repeated.
const SLACK: Duration = Duration::from_secs(35);

/// The open polls of one orchestrator, by the times at which they must have ended.
#[derive(Debug, Default)]
pub(crate) struct OpenPolls(Mutex<Dues>);

/// The times, each in a place of its own. There are as many places as there ever were polls at once.
#[derive(Debug, Default)]
struct Dues {
    places: Vec<Option<Instant>>,
    free: Vec<usize>,
}

/// A poll that is open until this is dropped.
pub(crate) struct OpenPoll<'a> {
    polls: &'a OpenPolls,
    place: usize,
}

impl OpenPolls {
    /// Opens a poll, sent at this time, that is given up after its limit, and must have ended some time later.
    pub(crate) fn begin(&self, sent: Instant, limit: Duration) -> OpenPoll<'_> {
        let due = Some(sent + limit + SLACK);
        let mut dues = lock(&self.0);
        let place = if let Some(place) = dues.free.pop() {
            dues.places[place] = due;
            place
        } else {
            dues.places.push(due);
            dues.places.len() - 1
        };
        OpenPoll { polls: self, place }
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.0).places.iter().flatten().count()
    }

    /// Gives the open polls a time back in which the process did not run.
    pub(crate) fn postpone(&self, lost: Duration) {
        lock(&self.0).places.iter_mut().flatten().for_each(|due| *due += lost);
    }

    /// The time after which the last of them is given up.
    pub(crate) fn longest(&self) -> Duration {
        let last = lock(&self.0).places.iter().flatten().max().copied();
        last.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()).saturating_sub(SLACK))
    }

    /// The time by which the most overdue poll is late.
    pub(crate) fn overdue(&self) -> Option<Duration> {
        let first = lock(&self.0).places.iter().flatten().min().copied()?;
        Instant::now().checked_duration_since(first).filter(|late| !late.is_zero())
    }
}

/// Waits until a poll, sent at this time, has outlived its limit by far. One alarm serves all polls of a poller, for most of
/// them end long before their limits.
pub(super) async fn hangs(alarm: &mut Alarm, sent: Instant, limit: Duration) {
    let due = sent + limit;
    alarm.wait(Some(due)).await;
    let late = due.elapsed();
    // Time in which the process did not run does not count: the limit of the poll itself goes on only now.
    elapsed(SLACK + late.min(limit)).await;
}

impl Drop for OpenPoll<'_> {
    fn drop(&mut self) {
        let mut dues = lock(&self.polls.0);
        dues.places[self.place] = None;
        dues.free.push(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_has_not_ended_in_time_is_overdue_until_it_ends() {
        let polls = OpenPolls::default();
        assert_eq!(polls.longest(), Duration::ZERO);
        let sent = Instant::now();
        let begin = |seconds| polls.begin(sent, Duration::from_secs(seconds));
        let (short, long) = (begin(10), begin(100));
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
