//! The last events, by their numbers.

use std::collections::VecDeque;

use bytes::Bytes;

use super::frame;

/// The number of events that are kept.
const MAX_EVENTS: usize = 10_000;

/// The memory of the events that are kept, in bytes. Only long lines of logs reach it before the number.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The last events. An id has the number of the event, and a text that differs between two starts.
#[derive(Debug)]
pub(super) struct Record {
    run: String,
    /// The number of the last event.
    last: u64,
    /// The texts of the last events, with the newest at the end.
    events: VecDeque<Bytes>,
    bytes: usize,
}

impl Record {
    pub(super) fn new() -> Self {
        let mut run = rxon::id::random_uuid();
        run.truncate(8);
        Self { run, last: 0, events: VecDeque::new(), bytes: 0 }
    }

    /// Adds an event, and drops the oldest ones beyond the limits.
    pub(super) fn push(&mut self, name: &str, data: &str) {
        self.last += 1;
        let event = frame::event(&self.id(self.last), name, data);
        self.bytes += event.len();
        self.events.push_back(event);
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(dropped) = self.events.pop_front() else { return };
            self.bytes -= dropped.len();
        }
    }

    /// Drops all events, since one could not be recorded: every reader needs a new snapshot.
    pub(super) fn interrupt(&mut self) {
        self.last += 1;
        self.events.clear();
        self.bytes = 0;
    }

    /// The number of the last event.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Returns the id of the event with this number.
    pub(super) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    /// Returns the number in an id, if all events after it are kept.
    pub(super) fn position(&self, id: &str) -> Option<u64> {
        let number = id.strip_prefix(&self.run)?.strip_prefix('-')?.parse().ok()?;
        (self.id(number) == id && self.is_kept(number)).then_some(number)
    }

    /// Returns events after this number, about as many as fit into `bytes` but at least one, and the number of the last
    /// of them. `None` if there were others that were dropped.
    pub(super) fn after(&self, number: u64, bytes: usize) -> Option<(Vec<Bytes>, u64)> {
        if !self.is_kept(number) {
            return None;
        }
        let unread = (self.last - number) as usize;
        let (mut events, mut length) = (Vec::new(), 0);
        for event in self.events.iter().skip(self.events.len() - unread) {
            if length >= bytes {
                break;
            }
            length += event.len();
            events.push(event.clone());
        }
        let last = number + events.len() as u64;
        Some((events, last))
    }

    /// Whether all events after this number are kept.
    fn is_kept(&self, number: u64) -> bool {
        let before = self.last - self.events.len() as u64;
        (before..=self.last).contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(events: u64) -> Record {
        let mut record = Record::new();
        for number in 1..=events {
            record.push("x", &number.to_string());
        }
        record
    }

    #[test]
    fn a_reader_gets_every_event_after_its_position_once() {
        let record = filled(10);
        let (mut position, mut read) = (3, Vec::new());
        while position < record.last() {
            let (events, last) = record.after(position, 60).expect("they are kept");
            assert!(!events.is_empty() && events.len() < 4, "{events:?}");
            (position, read) = (last, [read, events].concat());
        }
        let expected: Vec<_> =
            (4..=10).map(|number: u64| frame::event(&record.id(number), "x", &number.to_string())).collect();
        assert_eq!(read, expected);
        assert_eq!(record.after(10, 60), Some((Vec::new(), 10)));
    }

    #[test]
    fn the_last_ten_thousand_events_are_kept() {
        let record = filled(10_001);
        assert_eq!(record.position(&record.id(0)), None);
        assert_eq!(record.after(0, 60), None);
        assert_eq!(record.position(&record.id(1)), Some(1));
        assert_eq!(record.after(1, usize::MAX).expect("they are kept").0.len(), 10_000);
    }

    #[test]
    fn long_events_are_dropped_earlier() {
        let mut record = Record::new();
        let long = "x".repeat(1024 * 1024);
        for _ in 0..100 {
            record.push("x", &long);
        }
        assert!(record.events.len() < 64 && record.bytes <= MAX_BYTES, "{}", record.bytes);
        assert!(record.after(99, 1).is_some() && record.after(1, 1).is_none());
    }

    #[test]
    fn only_ids_of_this_run_that_were_given_out_are_positions() {
        let record = filled(10);
        assert_eq!(record.position(&record.id(10)), Some(10));
        let stranger = filled(10);
        for id in ["", "5", "-5", &stranger.id(5), &record.id(11), &format!("{}-05", record.run)] {
            assert_eq!(record.position(id), None, "{id}");
        }
    }

    #[test]
    fn after_an_interruption_nobody_goes_on() {
        let mut record = filled(10);
        let id = record.id(10);
        record.interrupt();
        assert_eq!((record.position(&id), record.after(10, 60)), (None, None));
        let now = record.last();
        record.push("x", "1");
        assert_eq!(record.after(now, 60).expect("it is kept").0.len(), 1);
    }
}
