//! The intended contents of the file, and the changes not yet written. Pure.
//!
//! All changes are made here, and the writer updates the file. A result that comes and goes before the writer looks costs
//! no write, and while a disk fails for hours nothing piles up but results that are still needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rxon::{JobId, TaskName};

use crate::delivery::record::{BegunTask, Key, Record, TaskKey};

/// The maximum number of refused results that wait to be written: the oldest are dropped.
const MAX_REJECTED: usize = 1_000;

/// The maximum size of them in bytes, unless it is a single one.
const MAX_REJECTED_BYTES: usize = 16 << 20;

/// The identity of a task that is dispatched again and again: each time it has a new id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeathKey {
    pub(crate) orchestrator: Arc<str>,
    pub(crate) job_id: JobId,
    pub(crate) name: TaskName,
}

/// The processes that died while a task ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deaths {
    pub(crate) count: u32,
    /// The time of the last death, in Unix milliseconds.
    pub(crate) last: u64,
}

/// A result that will never be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) record: Record,
    pub(crate) reason: String,
    /// In Unix milliseconds.
    pub(crate) at: u64,
}

/// The contents of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) results: BTreeMap<Key, Held>,
    pub(crate) tasks: BTreeMap<TaskKey, BegunTask>,
    pub(crate) deaths: BTreeMap<DeathKey, Deaths>,
}

/// A result that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    Here(Record),
    /// This process does not need it: it is in the file only, and stays there unchanged.
    InFile,
}

/// A change to be written: a value, or `None` for its removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Result(Key, Option<Record>),
    Task(TaskKey, Option<BegunTask>),
    Deaths(DeathKey, Option<Deaths>),
}

/// A row of the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum RowKey {
    Result(Key),
    Task(TaskKey),
    Deaths(DeathKey),
}

/// The changes that the writer takes: they are written whole, or given back.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) changes: Vec<Change>,
    pub(crate) rejected: Vec<Rejected>,
}

/// The intended contents of the file, and the changes not yet written.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    held: Contents,
    /// The rows that differ in the file; true for rows that it never had.
    lacking: BTreeMap<RowKey, bool>,
    /// The results that are not in the file yet, those being written included.
    unwritten: BTreeSet<Key>,
    rejected: Vec<Rejected>,
    next_key: Key,
}

impl Ledger {
    /// The ledger of a file with these contents.
    pub(crate) fn new(held: Contents) -> Self {
        let next_key = held.results.last_key_value().map_or(0, |(key, _)| key + 1);
        Self { held, next_key, ..Self::default() }
    }

    pub(crate) fn held(&self) -> &Contents {
        &self.held
    }

    /// Records a task that was accepted, or begins.
    pub(crate) fn begin(&mut self, task: TaskKey, begun: BegunTask) {
        let is_new = self.held.tasks.insert(task.clone(), begun).is_none();
        self.mark(RowKey::Task(task), is_new);
    }

    /// Records the result of a task, which is not under way any more, and forgets its deaths.
    pub(crate) fn finish(&mut self, record: Record) -> Key {
        let task = TaskKey { orchestrator: record.orchestrator.clone(), task_id: record.task_id.clone() };
        if let Some(begun) = self.end(task) {
            let orchestrator = record.orchestrator.clone();
            self.forget_deaths(DeathKey { orchestrator, job_id: begun.job_id, name: begun.name });
        }
        self.put(record)
    }

    /// Removes a task that is not under way any more.
    pub(super) fn end(&mut self, task: TaskKey) -> Option<BegunTask> {
        let begun = self.held.tasks.remove(&task)?;
        self.mark_gone(RowKey::Task(task));
        Some(begun)
    }

    pub(super) fn put(&mut self, record: Record) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        self.held.results.insert(key, Held::Here(record));
        self.unwritten.insert(key);
        self.mark(RowKey::Result(key), true);
        key
    }

    /// Removes a result.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Held> {
        let held = self.held.results.remove(&key)?;
        self.unwritten.remove(&key);
        self.mark_gone(RowKey::Result(key));
        Some(held)
    }

    /// Removes a result that will never be taken, and keeps it for people. Returns false if there is no such result, or if
    /// too many wait to be written: then the oldest of those is lost.
    pub(crate) fn reject(&mut self, key: Key, reason: String, at: u64) -> bool {
        let Some(Held::Here(record)) = self.remove(key) else { return false };
        self.rejected.push(Rejected { record, reason, at });
        let mut is_room = true;
        while self.rejected.len() > 1 && self.are_too_many() {
            self.rejected.remove(0);
            is_room = false;
        }
        is_room
    }

    fn are_too_many(&self) -> bool {
        let bytes: usize = self.rejected.iter().map(|rejected| rejected.record.body.len()).sum();
        self.rejected.len() > MAX_REJECTED || bytes > MAX_REJECTED_BYTES
    }

    /// Records that a try begins, or has ended and the orchestrator has not received the result.
    pub(crate) fn set_in_flight(&mut self, key: Key, is_in_flight: bool) {
        if let Some(Held::Here(record)) = self.held.results.get_mut(&key)
            && record.is_in_flight != is_in_flight
        {
            record.is_in_flight = is_in_flight;
            self.mark(RowKey::Result(key), false);
        }
    }

    /// Leaves a result in the file that this process does not need.
    pub(crate) fn leave_in_file(&mut self, key: Key) {
        if let Some(held) = self.held.results.get_mut(&key)
            && !self.unwritten.contains(&key)
        {
            *held = Held::InFile;
        }
    }

    pub(super) fn set_deaths(&mut self, key: DeathKey, deaths: Deaths) {
        let is_new = self.held.deaths.insert(key.clone(), deaths).is_none();
        self.mark(RowKey::Deaths(key), is_new);
    }

    pub(super) fn forget_deaths(&mut self, key: DeathKey) {
        if self.held.deaths.remove(&key).is_some() {
            self.mark_gone(RowKey::Deaths(key));
        }
    }

    fn mark(&mut self, row: RowKey, is_new: bool) {
        self.lacking.entry(row).or_insert(is_new);
    }

    fn mark_gone(&mut self, row: RowKey) {
        if self.lacking.get(&row) == Some(&true) {
            self.lacking.remove(&row);
        } else {
            self.lacking.insert(row, false);
        }
    }

    /// Whether this result is in the file.
    pub(crate) fn is_written(&self, key: Key) -> bool {
        self.held.results.contains_key(&key) && !self.unwritten.contains(&key)
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_settled(&self) -> bool {
        self.lacking.is_empty() && self.rejected.is_empty()
    }

    /// The number of results that are not in the file.
    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    /// Takes the changes to be written. They count as written then, except for [`is_written`](Self::is_written).
    pub(crate) fn take(&mut self) -> Batch {
        let changes = std::mem::take(&mut self.lacking).into_keys().map(|row| self.change(row)).collect();
        Batch { changes, rejected: std::mem::take(&mut self.rejected) }
    }

    fn change(&self, row: RowKey) -> Change {
        match row {
            RowKey::Result(key) => {
                let record = match self.held.results.get(&key) {
                    Some(Held::Here(record)) => Some(record.clone()),
                    Some(Held::InFile) | None => None,
                };
                Change::Result(key, record)
            }
            RowKey::Task(key) => {
                let begun = self.held.tasks.get(&key).cloned();
                Change::Task(key, begun)
            }
            RowKey::Deaths(key) => {
                let deaths = self.held.deaths.get(&key).copied();
                Change::Deaths(key, deaths)
            }
        }
    }

    /// Marks the taken changes as written.
    pub(crate) fn set_written(&mut self, batch: &Batch) {
        for change in &batch.changes {
            if let Change::Result(key, Some(_)) = change {
                self.unwritten.remove(key);
            }
        }
    }

    /// Takes back changes that may have been written or not.
    pub(crate) fn put_back(&mut self, batch: Batch) {
        for change in batch.changes {
            let row = match change {
                Change::Result(key, _) => RowKey::Result(key),
                Change::Task(key, _) => RowKey::Task(key),
                Change::Deaths(key, _) => RowKey::Deaths(key),
            };
            self.lacking.insert(row, false);
        }
        let later = std::mem::replace(&mut self.rejected, batch.rejected);
        self.rejected.extend(later);
    }

    /// Returns the changes that turn a file with the contents `found` into the intended one.
    pub(crate) fn difference(&mut self, found: &Contents) -> Batch {
        let gone_results = found.results.keys().filter(|key| !self.held.results.contains_key(key));
        let gone_tasks = found.tasks.keys().filter(|key| !self.held.tasks.contains_key(key));
        let gone_deaths = found.deaths.keys().filter(|key| !self.held.deaths.contains_key(key));
        let mut changes: Vec<Change> = gone_results.map(|key| Change::Result(*key, None)).collect();
        changes.extend(gone_tasks.map(|key| Change::Task(key.clone(), None)));
        changes.extend(gone_deaths.map(|key| Change::Deaths(key.clone(), None)));
        for (key, held) in &self.held.results {
            // A result that is only in the file may be lost with it: nothing can be done about that here.
            if let Held::Here(record) = held
                && found.results.get(key) != Some(held)
            {
                changes.push(Change::Result(*key, Some(record.clone())));
            }
        }
        let tasks = self.held.tasks.iter().filter(|(key, begun)| found.tasks.get(key) != Some(begun));
        changes.extend(tasks.map(|(key, begun)| Change::Task(key.clone(), Some(begun.clone()))));
        let deaths = self.held.deaths.iter().filter(|(key, deaths)| found.deaths.get(key) != Some(deaths));
        changes.extend(deaths.map(|(key, deaths)| Change::Deaths(key.clone(), Some(*deaths))));
        self.lacking.clear();
        // A result that the file has is written, even if its write was not acknowledged.
        self.unwritten.retain(|key| !found.results.contains_key(key));
        Batch { changes, rejected: std::mem::take(&mut self.rejected) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{record, task};
    use super::*;

    fn settle(ledger: &mut Ledger) -> Vec<Change> {
        let batch = ledger.take();
        ledger.set_written(&batch);
        batch.changes
    }

    #[test]
    fn a_result_replaces_its_task_in_one_batch() {
        let mut ledger = Ledger::default();
        let (key, begun) = task("t");
        ledger.begin(key.clone(), begun.clone());
        assert_eq!(settle(&mut ledger), [Change::Task(key.clone(), Some(begun))]);
        let number = ledger.finish(record("t"));
        assert!(!ledger.is_written(number));
        let expected = [Change::Result(number, Some(record("t"))), Change::Task(key, None)];
        assert_eq!(settle(&mut ledger), expected);
        assert!(ledger.is_written(number) && ledger.is_settled());
    }

    #[test]
    fn what_came_and_went_unseen_costs_nothing() {
        let mut ledger = Ledger::default();
        let (key, begun) = task("t");
        ledger.begin(key, begun);
        let number = ledger.finish(record("t"));
        ledger.remove(number);
        assert!(ledger.is_settled());
        assert_eq!(ledger.unwritten(), 0);
    }

    #[test]
    fn what_is_being_written_and_goes_meanwhile_is_removed_afterwards() {
        let mut ledger = Ledger::default();
        let number = ledger.finish(record("t"));
        let batch = ledger.take();
        ledger.remove(number);
        ledger.set_written(&batch);
        assert_eq!(settle(&mut ledger), [Change::Result(number, None)]);
    }

    #[test]
    fn what_could_not_be_written_is_written_later_unless_it_went() {
        let mut ledger = Ledger::default();
        let (first, second) = (ledger.finish(record("a")), ledger.finish(record("b")));
        let batch = ledger.take();
        ledger.put_back(batch);
        ledger.remove(first);
        assert!(!ledger.is_written(second));
        // The write may have got through although it was not acknowledged.
        let expected = [Change::Result(first, None), Change::Result(second, Some(record("b")))];
        assert_eq!(settle(&mut ledger), expected);
    }

    #[test]
    fn a_file_is_brought_to_what_it_is_to_hold_whatever_it_holds() {
        let mut ledger = Ledger::default();
        let (key, begun) = task("runs");
        ledger.begin(key.clone(), begun.clone());
        let (kept, new) = (ledger.finish(record("kept")), ledger.finish(record("new")));
        let mut found = Contents::default();
        found.results.insert(kept, Held::Here(record("kept")));
        found.results.insert(77, Held::Here(record("gone")));
        let (gone, was) = task("gone");
        found.tasks.insert(gone.clone(), was);
        let batch = ledger.difference(&found);
        let expected = [
            Change::Result(77, None),
            Change::Task(gone, None),
            Change::Result(new, Some(record("new"))),
            Change::Task(key, Some(begun)),
        ];
        assert_eq!(batch.changes, expected);
        assert!(ledger.is_settled() && ledger.is_written(kept) && !ledger.is_written(new));
    }

    #[test]
    fn a_rejected_result_goes_to_those_for_people_and_these_are_bounded() {
        let mut ledger = Ledger::default();
        let number = ledger.finish(record("t"));
        assert!(ledger.reject(number, "why".to_owned(), 2));
        assert!(!ledger.reject(number, "twice".to_owned(), 3));
        assert_eq!(
            ledger.take().rejected,
            [Rejected { record: record("t"), reason: "why".to_owned(), at: 2 }]
        );
        for _ in 0..=MAX_REJECTED {
            let number = ledger.finish(record("t"));
            ledger.reject(number, String::new(), 0);
        }
        assert_eq!(ledger.take().rejected.len(), MAX_REJECTED);
    }

    #[test]
    fn a_try_is_written_and_its_end_too() {
        let mut ledger = Ledger::default();
        let number = ledger.finish(record("t"));
        settle(&mut ledger);
        for is_in_flight in [true, false] {
            ledger.set_in_flight(number, is_in_flight);
            assert!(ledger.is_written(number), "as it was, if no more");
            let expected = [Change::Result(number, Some(Record { is_in_flight, ..record("t") }))];
            assert_eq!(settle(&mut ledger), expected);
            ledger.set_in_flight(number, is_in_flight);
            assert!(ledger.is_settled(), "no news");
        }
    }

    #[test]
    fn numbers_go_on_where_those_of_the_file_end() {
        let mut found = Contents::default();
        found.results.insert(7, Held::Here(record("t")));
        let mut ledger = Ledger::new(found);
        assert!(ledger.is_written(7) && ledger.is_settled());
        assert_eq!(ledger.finish(record("u")), 8);
    }
}
