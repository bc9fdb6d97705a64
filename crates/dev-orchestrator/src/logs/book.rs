//! The kept lines, by task and worker, within limits of number and memory.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use rxon::JobId;
use serde::{Deserialize, Serialize};

use super::SharedLine;
use super::line::{Line, NewLine};

/// The number of lines that are kept for a task, and for a worker.
pub(crate) const MAX_LINES: usize = 10_000;

/// The memory of all lines, in bytes. The oldest line of all is dropped first.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The owner of a line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Owner {
    Job(JobId),
    /// For the lines of a worker that belong to no task. The id need not be a valid one.
    Worker(String),
}

/// All kept lines. Their numbers are those of one sequence, in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Book {
    last: u64,
    logs: HashMap<Owner, Log>,
    /// The owner of each kept line, by its number.
    owners: BTreeMap<u64, Owner>,
    bytes: usize,
    /// The lines that were dropped since the last [`Book::take_dropped`]; `None` if nothing is kept.
    dropped: Option<Vec<u64>>,
    /// The numbers of the lines that have no row in the database.
    unkept: HashSet<u64>,
}

#[derive(Debug, Default)]
struct Log {
    /// Each line with its memory in bytes, the newest at the end.
    lines: VecDeque<(SharedLine, usize)>,
    dropped: u64,
}

/// Some lines of a log.
#[derive(Debug, Serialize)]
pub(crate) struct LogPage {
    lines: Vec<SharedLine>,
    /// The number of the last line, to go on after.
    next: u64,
    /// The number of lines that are no longer kept.
    dropped: u64,
}

impl LogPage {
    /// No lines after this one.
    pub(super) fn none(after: u64) -> Self {
        Self { lines: Vec::new(), next: after, dropped: 0 }
    }
}

impl Book {
    /// Adds a line, and drops the oldest ones beyond the limits.
    pub(super) fn add(&mut self, owner: &Owner, line: NewLine, worker_id: String, now: f64) -> SharedLine {
        self.last += 1;
        let line = Line {
            n: self.last,
            at: line.at.unwrap_or(now),
            level: line.level,
            text: line.text,
            source: line.source,
            worker_id,
            task_id: line.task_id.filter(|_| matches!(owner, Owner::Job(_))),
            fields: line.fields,
            is_cut: line.is_cut,
        };
        self.insert(owner, line)
    }

    /// Puts a line that was kept earlier back, in the order of the numbers. `dropped` is the number of lines of its owner
    /// that were dropped before.
    pub(super) fn restore(&mut self, owner: &Owner, line: Line, dropped: u64) {
        self.last = line.n;
        self.insert(owner, line);
        if let Some(log) = self.logs.get_mut(owner) {
            log.dropped = log.dropped.max(dropped);
        }
    }

    fn insert(&mut self, owner: &Owner, line: Line) -> SharedLine {
        let (weight, line) = (line.weight(), Arc::new(line));
        self.owners.insert(line.n, owner.clone());
        self.bytes += weight;
        let log = self.logs.entry(owner.clone()).or_default();
        log.lines.push_back((line.clone(), weight));
        if log.lines.len() > MAX_LINES {
            self.drop_first(owner);
        }
        while self.bytes > MAX_BYTES {
            let Some(owner) = self.owners.first_key_value().map(|(_, owner)| owner.clone()) else { break };
            self.drop_first(&owner);
        }
        line
    }

    /// Returns at most `limit` lines after the line `after`; `None` if the owner has no log.
    pub(super) fn lines(&self, owner: &Owner, after: u64, limit: usize) -> Option<LogPage> {
        let log = self.logs.get(owner)?;
        let first = log.lines.partition_point(|(line, _)| line.n <= after);
        let lines: Vec<_> = log.lines.range(first..).take(limit).map(|(line, _)| line.clone()).collect();
        let next = lines.last().map_or(after, |line| line.n);
        Some(LogPage { lines, next, dropped: log.dropped })
    }

    /// A book whose changes are kept.
    pub(super) fn tracked() -> Self {
        Self { dropped: Some(Vec::new()), ..Self::default() }
    }

    /// Notes that a line has no row in the database.
    pub(super) fn note_unkept(&mut self, number: u64) {
        if self.owners.contains_key(&number) {
            self.unkept.insert(number);
        }
    }

    /// Returns the numbers of the lines with a row that were dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> Vec<u64> {
        self.dropped.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The number of lines of an owner that were dropped.
    pub(super) fn dropped_of(&self, owner: &Owner) -> u64 {
        self.logs.get(owner).map_or(0, |log| log.dropped)
    }

    fn drop_first(&mut self, owner: &Owner) {
        let Some(log) = self.logs.get_mut(owner) else { return };
        if let Some((line, weight)) = log.lines.pop_front() {
            log.dropped += 1;
            self.bytes -= weight;
            self.owners.remove(&line.n);
            if let Some(dropped) = &mut self.dropped
                && !self.unkept.remove(&line.n)
            {
                dropped.push(line.n);
            }
        }
        // There are at most as many logs as lines.
        if log.lines.is_empty() {
            self.logs.remove(owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LogSource;
    use super::*;

    fn job(number: u32) -> Owner {
        Owner::Job(JobId::received(format!("job-{number}")).expect("an identifier"))
    }

    fn add(book: &mut Book, owner: &Owner, text: &str) {
        book.add(owner, NewLine::read("w", LogSource::Stdout, text.as_bytes()), "w".to_owned(), 1.0);
    }

    fn texts(lines: &LogPage) -> Vec<&str> {
        lines.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_log_goes_on_after_its_last_line() {
        let mut book = Book::default();
        for (owner, text) in [(1, "a"), (2, "b"), (1, "c"), (1, "d")] {
            add(&mut book, &job(owner), text);
        }
        let first = book.lines(&job(1), 0, 2).expect("a log");
        assert_eq!(texts(&first), ["a", "c"]);
        let rest = book.lines(&job(1), first.next, 10).expect("a log");
        assert_eq!(texts(&rest), ["d"]);
        let none = book.lines(&job(1), rest.next, 10).expect("a log");
        assert_eq!((texts(&none), none.next), (vec![], rest.next));
        assert!(book.lines(&job(3), 0, 10).is_none());
    }

    #[test]
    fn ten_thousand_lines_are_kept_and_the_others_counted() {
        let mut book = Book::default();
        add(&mut book, &job(2), "another");
        for number in 0..10_003 {
            add(&mut book, &job(1), &number.to_string());
        }
        let lines = book.lines(&job(1), 0, usize::MAX).expect("a log");
        assert_eq!((lines.lines.len(), lines.dropped, lines.lines[0].text.as_str()), (10_000, 3, "3"));
        assert_eq!(book.lines(&job(2), 0, 10).expect("a log").lines.len(), 1);
        assert_eq!(book.owners.len(), 10_001);
    }

    #[test]
    fn the_memory_of_all_lines_is_limited() {
        let mut book = Book::default();
        let long = "x".repeat(8 * 1024);
        add(&mut book, &job(0), "the oldest");
        for number in 0..20_000 {
            add(&mut book, &job(number % 100 + 1), &long);
        }
        assert!(book.bytes <= MAX_BYTES && book.bytes > MAX_BYTES / 2, "{}", book.bytes);
        assert!(book.lines(&job(0), 0, 10).is_none());
        let kept: usize = book.logs.values().map(|log| log.lines.len()).sum();
        assert_eq!(kept, book.owners.len());
    }
}
