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
    /// The process that reads the file has written it.
    pub(crate) is_own: bool,
    /// The number of writes to the file before it was opened.
    pub(crate) commits: u64,
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

    /// All rows, as changes of an empty table. The file has or had them from then on.
    fn all(&mut self) -> Changes<K, V> {
        self.lacking.values_mut().for_each(|is_new| *is_new = false);
        self.rows.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
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

    /// The tasks under way that have a result.
    pub(super) fn ended_tasks(&self) -> BTreeSet<TaskKey> {
        let task = |record: &Record| TaskKey {
            orchestrator: record.orchestrator.clone(),
            task_id: record.task_id.clone(),
        };
        let ended = self.results.rows.values().filter_map(|held| match held {
            Held::Here(record) => Some(task(record)),
            Held::InFile => None,
        });
        ended.filter(|task| self.tasks.rows.contains_key(task)).collect()
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

    /// The intended contents, as changes of an empty file. What is still to be written is written once more.
    pub(super) fn rows(&mut self) -> Batch {
        Batch {
            results: self.results.all(),
            tasks: self.tasks.all(),
            deaths: self.deaths.all(),
            rejected: Vec::new(),
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

    /// Records that the file has lost its name: nothing in it survives. `old` is what it had.
    pub(super) fn on_file_lost(&mut self, old: &Contents) {
        for (key, held) in &mut self.results.rows {
            // What this process did not need is needed now, to be written anew.
            if let (Held::InFile, Some(record)) = (&held, old.results.get(key)) {
                *held = record.clone();
            }
        }
        self.unwritten.extend(self.results.rows.keys());
    }

    /// Adds the contents of a file that another process has left in the place of this one's: they stay for a later one.
    /// Returns the number of results.
    pub(super) fn adopt(&mut self, found: &mut Contents) -> usize {
        let before = self.results.rows.len();
        for (key, held) in std::mem::take(&mut found.results) {
            match (self.results.rows.get(&key), held) {
                // The same number, but another result.
                (Some(own), Held::Here(record)) if *own != Held::Here(record.clone()) => {
                    let _ = self.put(record);
                }
                (Some(_), held) => drop(found.results.insert(key, held)),
                (None, held) => {
                    found.results.insert(key, held);
                    self.results.rows.insert(key, Held::InFile);
                    self.next_key = self.next_key.max(key + 1);
                }
            }
        }
        for (task, begun) in &found.tasks {
            self.tasks.rows.entry(task.clone()).or_insert_with(|| begun.clone());
        }
        for (key, deaths) in &found.deaths {
            self.deaths.rows.entry(key.clone()).or_insert(*deaths);
        }
        self.results.rows.len() - before
    }

    /// The size in bytes of the results, as far as this process has them.
    pub(super) fn bytes(&self) -> usize {
        let size = |held: &Held| if let Held::Here(record) = held { record.body.len() } else { 0 };
        self.results.rows.values().map(size).sum()
    }

    /// Whether there are results that only the file has.
    pub(super) fn relies_on_file(&self) -> bool {
        self.results.rows.values().any(|held| *held == Held::InFile)
    }

    /// Returns the changes that turn a file with the contents `found` into the intended one.
    pub(super) fn difference(&mut self, found: &Contents) -> Batch {
        // A result that the file has is written, even if its write was not acknowledged.
        let lacking = self.results.rows.keys().filter(|key| !found.results.contains_key(key));
        self.unwritten = lacking.copied().collect();
        Batch {
            results: self.results.difference(&found.results),
            tasks: self.tasks.difference(&found.tasks),
            deaths: self.deaths.difference(&found.deaths),
            rejected: std::mem::take(&mut self.rejected),
        }
    }
}

#[cfg(test)]
mod tests;
