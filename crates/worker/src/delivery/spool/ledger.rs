//! The intended contents of the file, and the changes not yet written. Pure.
//!
//! All changes are made here, and the writer updates the file. A result that is added and removed
//! between two writes costs no write, and while a disk fails for hours only results that are still needed pile up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rxon::{JobId, TaskName};

use crate::delivery::record::{BegunTask, Key, Record, TaskKey};

/// The maximum number of refused results that wait to be written: the oldest are dropped.
const MAX_REJECTED: usize = 1_000;

/// The maximum size of these results in bytes; a single one may be larger.
const MAX_REJECTED_BYTES: usize = 16 << 20;

/// The identity of a task across dispatches, each of which has a new id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeathKey {
    pub(crate) orchestrator: Arc<str>,
    pub(crate) job_id: JobId,
    pub(crate) name: TaskName,
}

impl DeathKey {
    pub(super) fn new(orchestrator: &Arc<str>, begun: &BegunTask) -> Self {
        Self { orchestrator: orchestrator.clone(), job_id: begun.job_id.clone(), name: begun.name.clone() }
    }
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

/// The changes of one table: a value for each key, or `None` for its removal.
pub(super) type Changes<K, V> = Vec<(K, Option<V>)>;

/// The changes that the writer takes: they are written whole, or given back.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(super) results: Changes<Key, Held>,
    pub(super) tasks: Changes<TaskKey, BegunTask>,
    pub(super) deaths: Changes<DeathKey, Deaths>,
    pub(super) rejected: Vec<Rejected>,
}

/// The intended rows of one table of the file.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    pub(super) rows: BTreeMap<K, V>,
    /// The rows that differ in the file; true for rows that it never had.
    lacking: BTreeMap<K, bool>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), lacking: BTreeMap::new() }
    }
}

impl<K: Clone + Ord, V: Clone + PartialEq> Table<K, V> {
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let is_new = self.rows.insert(key.clone(), value).is_none();
        self.lacking.entry(key).or_insert(is_new);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.rows.remove(key)?;
        if self.lacking.remove(key) != Some(true) {
            self.lacking.insert(key.clone(), false);
        }
        Some(value)
    }

    fn take(&mut self) -> Changes<K, V> {
        let lacking = std::mem::take(&mut self.lacking).into_keys();
        lacking.map(|key| (key.clone(), self.rows.get(&key).cloned())).collect()
    }

    fn put_back(&mut self, changes: Changes<K, V>) {
        self.lacking.extend(changes.into_iter().map(|(key, _)| (key, false)));
    }

    /// Returns the changes that turn the rows `found` into the intended ones.
    fn difference(&mut self, found: &BTreeMap<K, V>) -> Changes<K, V> {
        self.lacking.clear();
        let gone = found.keys().filter(|key| !self.rows.contains_key(key)).map(|key| (key.clone(), None));
        let differs = |(key, value): &(&K, &V)| found.get(key) != Some(value);
        let changed = self.rows.iter().filter(differs);
        gone.chain(changed.map(|(key, value)| (key.clone(), Some(value.clone())))).collect()
    }
}

/// The intended contents of the file, and the changes not yet written.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(super) results: Table<Key, Held>,
    /// The tasks that were accepted, or began.
    pub(crate) tasks: Table<TaskKey, BegunTask>,
    pub(super) deaths: Table<DeathKey, Deaths>,
    /// The results that are not in the file yet, those being written included.
    pub(super) unwritten: BTreeSet<Key>,
    rejected: Vec<Rejected>,
    next_key: Key,
}

impl Ledger {
    /// The ledger of a file with these contents.
    pub(super) fn new(contents: Contents) -> Self {
        let next_key = contents.results.last_key_value().map_or(0, |(key, _)| key + 1);
        let mut ledger = Self { next_key, ..Self::default() };
        ledger.results.rows = contents.results;
        ledger.tasks.rows = contents.tasks;
        ledger.deaths.rows = contents.deaths;
        ledger
    }

    /// Whether the intended contents are empty.
    pub(super) fn is_empty(&self) -> bool {
        self.results.rows.is_empty() && self.tasks.rows.is_empty() && self.deaths.rows.is_empty()
    }

    /// Records the result of a task, which is not under way any more, and forgets its deaths.
    pub(crate) fn finish(&mut self, record: Record) -> Key {
        let task = TaskKey { orchestrator: record.orchestrator.clone(), task_id: record.task_id.clone() };
        if let Some(begun) = self.tasks.remove(&task) {
            self.deaths.remove(&DeathKey::new(&task.orchestrator, &begun));
        }
        self.put(record)
    }

    pub(super) fn put(&mut self, record: Record) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        self.unwritten.insert(key);
        self.results.insert(key, Held::Here(record));
        key
    }

    /// Removes a result.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Held> {
        self.unwritten.remove(&key);
        self.results.remove(&key)
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

    /// Replaces a result that will never be taken. The first is in the file until the second is: so nothing has to wait.
    pub(crate) fn replace(&mut self, key: Key, reason: String, at: u64, by: Record) -> Key {
        self.reject(key, reason, at);
        self.finish(by)
    }

    fn are_too_many(&self) -> bool {
        let bytes: usize = self.rejected.iter().map(|rejected| rejected.record.body.len()).sum();
        self.rejected.len() > MAX_REJECTED || bytes > MAX_REJECTED_BYTES
    }

    /// Records that a try begins, or has ended and the orchestrator has not received the result.
    pub(crate) fn set_in_flight(&mut self, key: Key, is_in_flight: bool) {
        if let Some(Held::Here(record)) = self.results.rows.get_mut(&key)
            && record.is_in_flight != is_in_flight
        {
            record.is_in_flight = is_in_flight;
            self.results.lacking.entry(key).or_insert(false);
        }
    }

    /// Leaves a result in the file that this process does not need, but a later one may.
    pub(crate) fn leave_in_file(&mut self, key: Key) {
        if let Some(held) = self.results.rows.get_mut(&key)
            && !self.unwritten.contains(&key)
        {
            *held = Held::InFile;
        }
    }

    /// Whether this result is in the file.
    pub(super) fn is_written(&self, key: Key) -> bool {
        self.results.rows.contains_key(&key) && !self.unwritten.contains(&key)
    }

    /// Whether there is nothing to write.
    pub(super) fn is_settled(&self) -> bool {
        self.results.lacking.is_empty()
            && self.tasks.lacking.is_empty()
            && self.deaths.lacking.is_empty()
            && self.rejected.is_empty()
    }

    /// Takes the changes to be written. They count as written then, except for [`is_written`](Self::is_written).
    pub(super) fn take(&mut self) -> Batch {
        Batch {
            results: self.results.take(),
            tasks: self.tasks.take(),
            deaths: self.deaths.take(),
            rejected: std::mem::take(&mut self.rejected),
        }
    }

    /// Marks the taken changes as written.
    pub(super) fn set_written(&mut self, batch: &Batch) {
        for (key, _) in batch.results.iter().filter(|(_, held)| held.is_some()) {
            self.unwritten.remove(key);
        }
    }

    /// Takes back changes that may have been written or not.
    pub(super) fn put_back(&mut self, batch: Batch) {
        self.results.put_back(batch.results);
        self.tasks.put_back(batch.tasks);
        self.deaths.put_back(batch.deaths);
        self.rejected.splice(..0, batch.rejected);
    }

    /// Returns the changes that turn a file with the contents `found` into the intended one.
    pub(super) fn difference(&mut self, found: &Contents) -> Batch {
        // A result that the file has is written, even if its write was not acknowledged.
        self.unwritten.retain(|key| !found.results.contains_key(key));
        Batch {
            results: self.results.difference(&found.results),
            tasks: self.tasks.difference(&found.tasks),
            deaths: self.deaths.difference(&found.deaths),
            rejected: std::mem::take(&mut self.rejected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{record, task};
    use super::*;

    fn settle(ledger: &mut Ledger) -> Batch {
        let batch = ledger.take();
        ledger.set_written(&batch);
        batch
    }

    /// The changes of results, where nothing else has changed.
    fn settle_results(ledger: &mut Ledger) -> Changes<Key, Held> {
        let batch = settle(ledger);
        assert_eq!((batch.tasks, batch.deaths), (vec![], vec![]));
        batch.results
    }

    #[test]
    fn a_result_replaces_its_task_in_one_batch() {
        let mut ledger = Ledger::default();
        let (key, begun) = task("t");
        ledger.tasks.insert(key.clone(), begun.clone());
        let batch = settle(&mut ledger);
        assert_eq!((batch.results, batch.tasks), (vec![], vec![(key.clone(), Some(begun))]));
        let number = ledger.finish(record("t"));
        assert!(!ledger.is_written(number));
        let batch = settle(&mut ledger);
        assert_eq!(batch.results, [(number, Some(Held::Here(record("t"))))]);
        assert_eq!((batch.tasks, batch.deaths), (vec![(key, None)], vec![]));
        assert!(ledger.is_written(number) && ledger.is_settled());
    }

    #[test]
    fn a_result_that_is_removed_before_it_is_written_costs_nothing() {
        let mut ledger = Ledger::default();
        let (key, begun) = task("t");
        ledger.tasks.insert(key, begun);
        let number = ledger.finish(record("t"));
        ledger.remove(number);
        assert!(ledger.is_settled());
        assert_eq!(ledger.unwritten.len(), 0);
    }

    #[test]
    fn a_result_that_is_removed_while_it_is_written_is_removed_from_the_file_afterwards() {
        let mut ledger = Ledger::default();
        let number = ledger.finish(record("t"));
        let batch = ledger.take();
        ledger.remove(number);
        ledger.set_written(&batch);
        assert_eq!(settle_results(&mut ledger), [(number, None)]);
    }

    #[test]
    fn a_result_that_could_not_be_written_is_written_later_unless_it_was_removed() {
        let mut ledger = Ledger::default();
        let (first, second) = (ledger.finish(record("a")), ledger.finish(record("b")));
        let batch = ledger.take();
        ledger.put_back(batch);
        ledger.remove(first);
        assert!(!ledger.is_written(second));
        // The write may have got through although it was not acknowledged.
        let expected = [(first, None), (second, Some(Held::Here(record("b"))))];
        assert_eq!(settle_results(&mut ledger), expected);
    }

    #[test]
    fn the_difference_turns_any_contents_into_the_intended_ones() {
        let mut ledger = Ledger::default();
        let (key, begun) = task("runs");
        ledger.tasks.insert(key.clone(), begun.clone());
        let (kept, new) = (ledger.finish(record("kept")), ledger.finish(record("new")));
        let mut found = Contents::default();
        found.results.insert(kept, Held::Here(record("kept")));
        found.results.insert(77, Held::Here(record("gone")));
        let (gone, was) = task("gone");
        found.tasks.insert(gone.clone(), was);
        let batch = ledger.difference(&found);
        assert_eq!(batch.results, [(77, None), (new, Some(Held::Here(record("new"))))]);
        assert_eq!((batch.tasks, batch.deaths), (vec![(gone, None), (key, Some(begun))], vec![]));
        assert!(ledger.is_settled() && ledger.is_written(kept) && !ledger.is_written(new));
    }

    #[test]
    fn rejected_results_are_kept_for_people_up_to_a_number() {
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
            assert!(ledger.is_written(number), "the earlier row is in the file");
            let expected = Held::Here(Record { is_in_flight, ..record("t") });
            assert_eq!(settle_results(&mut ledger), [(number, Some(expected))]);
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
