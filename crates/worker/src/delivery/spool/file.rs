//! The file of results: reading and changing it. Blocks.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError,
    WriteTransaction,
};
use rxon::descriptors::NotInherited;
use rxon::{JobId, TaskId, TaskName};

use super::error::SpoolError;
use super::ledger::{Batch, Changes, Contents, DeathKey, Deaths, Held};
use crate::delivery::record::{BegunTask, Key, Record, TaskKey};
use crate::threads::hook::caught;

/// The version of the tables' format. A change that an older version would misread makes it 2.
const FORMAT: u64 = 1;

/// The beginning of redb's error for a file that a later version of redb has written.
const NEWER_REDB: &str = "Expected file format version <=";

/// The size of the cache: hardly any row is read twice.
const CACHE_BYTES: usize = 4 << 20;

/// `format` is the version, `process` the number of the process that had the file last, `commits` that of the last write.
const FORMATS: TableDefinition<'_, &str, u64> = TableDefinition::new("format");

/// The columns: orchestrator, job, task, since, newer generation, replacement, in flight, body.
type RecordRow<'a> = (&'a str, &'a str, &'a str, u64, bool, bool, bool, &'a [u8]);

const RESULTS: TableDefinition<'_, u64, RecordRow<'static>> = TableDefinition::new("results");

/// The key: orchestrator and task; the columns: job, name, started, newer generation.
const TASKS: TableDefinition<'_, (&str, &str), (&str, &str, bool, bool)> = TableDefinition::new("tasks");

/// The key: orchestrator, job and name; the columns: count, last.
const DEATHS: TableDefinition<'_, (&str, &str, &str), (u32, u64)> = TableDefinition::new("deaths");

/// An open file.
#[derive(Debug)]
pub(super) struct ResultFile {
    /// The database locks the file.
    _not_inherited: NotInherited,
    database: Database,
    /// The number of the last write.
    pub(super) commits: u64,
}

impl ResultFile {
    /// Opens a file, which may be empty, for the process with this number, and reads all of it.
    pub(super) fn open(path: &Path, process: u64) -> Result<(Self, Contents), SpoolError> {
        let opened = caught(|| {
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let file = opened.map_err(|error| opening_error(StorageError::from(error).into()))?;
            let not_inherited = NotInherited::new(&file);
            let database = Database::builder()
                .set_cache_size(CACHE_BYTES)
                // Without this check a damaged file may panic later.
                .set_check_integrity_on_open(true)
                .create_with_backend(FileBackend::new(file).map_err(opening_error)?)
                .map_err(opening_error)?;
            let mut file = Self { _not_inherited: not_inherited, database, commits: 0 };
            match file.number("format").map_err(reading_error)? {
                Some(FORMAT) => {}
                Some(found) => return Err(SpoolError::Format { found: found.to_string() }),
                None => file.begin().map_err(reading_error)?,
            }
            let mut contents = file.read().map_err(reading_error)?;
            contents.commits = file.number("commits").map_err(reading_error)?.unwrap_or(0);
            file.commits = contents.commits;
            contents.is_own = file.claim(process).map_err(reading_error)?;
            Ok((file, contents))
        });
        opened.unwrap_or_else(|panic| Err(SpoolError::Damaged { source: panic.into() }))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, redb::Error> {
        match self.database.begin_read()?.open_table(FORMATS) {
            Ok(table) => Ok(table.get(name)?.map(|number| number.value())),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn begin(&self) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(FORMATS)?.insert("format", FORMAT)?;
        transaction.open_table(RESULTS)?;
        transaction.open_table(TASKS)?;
        transaction.open_table(DEATHS)?;
        Ok(transaction.commit()?)
    }

    /// Notes the process that has the file from now on. Returns whether it had the file before.
    fn claim(&mut self, process: u64) -> Result<bool, redb::Error> {
        let transaction = self.database.begin_write()?;
        let before =
            transaction.open_table(FORMATS)?.insert("process", process)?.map(|before| before.value());
        self.commit(transaction)?;
        Ok(before == Some(process))
    }

    /// Counts the commit within itself: a file that lost its last commit shows it by its number.
    fn commit(&mut self, transaction: WriteTransaction) -> Result<(), redb::Error> {
        transaction.open_table(FORMATS)?.insert("commits", self.commits + 1)?;
        transaction.commit()?;
        self.commits += 1;
        Ok(())
    }

    /// Reads the whole file, even one that has lost its name.
    pub(super) fn contents(&self) -> Result<Contents, String> {
        caught(|| self.read())?.map_err(|error| error.to_string())
    }

    fn read(&self) -> Result<Contents, redb::Error> {
        let transaction = self.database.begin_read()?;
        let mut contents = Contents::default();
        for row in transaction.open_table(RESULTS)?.iter()? {
            let (key, row) = row?;
            let (orchestrator, job_id, task_id, since, newer, is_replacement, is_in_flight, body) =
                row.value();
            let record = Record {
                orchestrator: Arc::from(orchestrator),
                job_id: JobId::received(job_id).ok_or_else(|| empty("a job's id"))?,
                task_id: TaskId::received(task_id).ok_or_else(|| empty("a task's id"))?,
                since,
                newer,
                is_replacement,
                is_in_flight,
                body: Bytes::copy_from_slice(body),
            };
            contents.results.insert(key.value(), Held::Here(record));
        }
        for row in transaction.open_table(TASKS)?.iter()? {
            let (key, row) = row?;
            let ((orchestrator, task_id), (job_id, name, started, newer)) = (key.value(), row.value());
            let task_id = TaskId::received(task_id).ok_or_else(|| empty("a task's id"))?;
            let begun = BegunTask {
                job_id: JobId::received(job_id).ok_or_else(|| empty("a job's id"))?,
                name: TaskName::received(name).ok_or_else(|| empty("a task's name"))?,
                started,
                newer,
            };
            contents.tasks.insert(TaskKey { orchestrator: Arc::from(orchestrator), task_id }, begun);
        }
        for row in transaction.open_table(DEATHS)?.iter()? {
            let (key, row) = row?;
            let ((orchestrator, job_id, name), (count, last)) = (key.value(), row.value());
            let key = DeathKey {
                orchestrator: Arc::from(orchestrator),
                job_id: JobId::received(job_id).ok_or_else(|| empty("a job's id"))?,
                name: TaskName::received(name).ok_or_else(|| empty("a task's name"))?,
            };
            contents.deaths.insert(key, Deaths { count, last });
        }
        Ok(contents)
    }

    /// Makes all of the changes, or none. Once it returns they survive any crash.
    pub(super) fn apply(&mut self, batch: &Batch) -> Result<(), String> {
        if batch.results.is_empty() && batch.tasks.is_empty() && batch.deaths.is_empty() {
            return Ok(());
        }
        caught(|| self.write(batch))?.map_err(|error| error.to_string())
    }

    fn write(&mut self, batch: &Batch) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        write_results(&transaction, &batch.results)?;
        write_tasks(&transaction, &batch.tasks)?;
        write_deaths(&transaction, &batch.deaths)?;
        self.commit(transaction)
    }
}

fn write_results(transaction: &WriteTransaction, changes: &Changes<Key, Held>) -> Result<(), redb::Error> {
    // A table that is opened costs something even if nothing in it changes; likewise below.
    if changes.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(RESULTS)?;
    for (key, held) in changes {
        match held {
            Some(Held::Here(record)) => {
                let row = (
                    &*record.orchestrator,
                    record.job_id.as_str(),
                    record.task_id.as_str(),
                    record.since,
                    record.newer,
                    record.is_replacement,
                    record.is_in_flight,
                    &*record.body,
                );
                table.insert(key, row)?;
            }
            // If it was lost with the file, it cannot be restored: this process does not have it.
            Some(Held::InFile) => {}
            None => drop(table.remove(key)?),
        }
    }
    Ok(())
}

fn write_tasks(
    transaction: &WriteTransaction,
    changes: &Changes<TaskKey, BegunTask>,
) -> Result<(), redb::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(TASKS)?;
    for (key, begun) in changes {
        let key = (&*key.orchestrator, key.task_id.as_str());
        match begun {
            Some(BegunTask { job_id, name, started, newer }) => {
                table.insert(key, (job_id.as_str(), name.as_str(), *started, *newer))?;
            }
            None => drop(table.remove(key)?),
        }
    }
    Ok(())
}

fn write_deaths(
    transaction: &WriteTransaction,
    changes: &Changes<DeathKey, Deaths>,
) -> Result<(), redb::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(DEATHS)?;
    for (key, deaths) in changes {
        let key = (&*key.orchestrator, key.job_id.as_str(), key.name.as_str());
        match deaths {
            Some(Deaths { count, last }) => drop(table.insert(key, (*count, *last))?),
            None => drop(table.remove(key)?),
        }
    }
    Ok(())
}

fn empty(what: &str) -> redb::Error {
    redb::Error::Corrupted(format!("{what} is empty"))
}

fn opening_error(error: DatabaseError) -> SpoolError {
    match error {
        DatabaseError::UpgradeRequired(found) => SpoolError::Format { found: format!("redb {found}") },
        DatabaseError::Storage(StorageError::Corrupted(text)) if text.starts_with(NEWER_REDB) => {
            SpoolError::Format { found: text }
        }
        DatabaseError::Storage(StorageError::Corrupted(text)) => SpoolError::Damaged { source: text.into() },
        // Not a database at all, or a database that was cut short.
        DatabaseError::Storage(StorageError::Io(error))
            if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            SpoolError::Damaged { source: error.into() }
        }
        error => SpoolError::File { source: error.into() },
    }
}

fn reading_error(error: redb::Error) -> SpoolError {
    match error {
        redb::Error::Io(error) if error.kind() != ErrorKind::UnexpectedEof => {
            SpoolError::File { source: error.into() }
        }
        error => SpoolError::Damaged { source: error.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Ledger;
    use super::super::tests::{record, task};
    use super::*;

    fn open(path: &Path) -> (ResultFile, Contents) {
        ResultFile::open(path, 1).expect("it opens")
    }

    fn refusal(path: &Path) -> String {
        match ResultFile::open(path, 1).expect_err("it does not open") {
            SpoolError::Damaged { source } => format!("damaged: {source}"),
            error => error.to_string(),
        }
    }

    #[test]
    fn written_contents_are_read_unchanged_whatever_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let mut ledger = Ledger::default();
        let odd = Record {
            job_id: JobId::received("../ü\0\n").expect("not empty"),
            body: Bytes::from(vec![b'x'; 3 << 20]),
            ..record("odd \u{1f600}")
        };
        ledger.finish(odd);
        let gone = ledger.finish(record("gone"));
        let (key, begun) = task("runs");
        ledger.tasks.insert(key, begun);
        super::super::deaths::bury(&mut ledger, &rxon::WorkerId::new("w").expect("an identifier"), 5);
        let (key, begun) = task("runs, too");
        ledger.tasks.insert(key, begun);
        let (mut file, contents) = open(&path);
        assert_eq!(contents, Contents::default());
        file.apply(&ledger.take()).expect("written");
        ledger.remove(gone);
        file.apply(&ledger.take()).expect("written");
        drop(file);
        let (_, contents) = open(&path);
        assert_eq!((contents.results.len(), contents.tasks.len(), contents.deaths.len()), (2, 1, 1));
        let (results, tasks, deaths) = (ledger.results.rows, ledger.tasks.rows, ledger.deaths.rows);
        assert_eq!(contents, Contents { results, tasks, deaths, is_own: true, commits: 3 });
    }

    #[test]
    fn a_file_knows_the_process_that_had_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let is_own = |process| ResultFile::open(&path, process).expect("it opens").1.is_own;
        assert_eq!([1, 1, 2, 2, 1].map(is_own), [false, true, false, true, false]);
    }

    #[test]
    fn a_file_of_a_later_version_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let (file, _) = open(&path);
        let transaction = file.database.begin_write().expect("a transaction");
        transaction.open_table(FORMATS).expect("a table").insert("format", 2).expect("written");
        transaction.commit().expect("committed");
        drop(file);
        let text = refusal(&path);
        assert!(text.contains("`2`") && text.contains("format 1"), "{text}");
    }

    #[test]
    fn a_file_of_a_later_redb_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        drop(open(&path));
        let mut bytes = std::fs::read(&path).expect("read");
        // The version is the first byte of each of the two commit slots.
        for slot in [64, 192] {
            assert_eq!(bytes[slot], 3, "the version of this redb's files");
            bytes[slot] = 9;
        }
        std::fs::write(&path, bytes).expect("written");
        let text = refusal(&path);
        assert!(text.contains("format") && !text.contains("damaged"), "{text}");
    }

    #[test]
    fn every_damage_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let (mut file, _) = open(&path);
        let mut ledger = Ledger::default();
        for number in 0..200 {
            ledger.finish(record(&number.to_string()));
        }
        file.apply(&ledger.take()).expect("written");
        drop(file);
        let whole = std::fs::read(&path).expect("read");
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = whole.clone();
            change(&mut bytes);
            bytes
        };
        let cases = [
            ("text", b"not a database at all, but long enough to be looked at".repeat(100)),
            ("short", b"x".to_vec()),
            ("half", changed(&|bytes| bytes.truncate(bytes.len() / 2))),
            ("zeros", changed(&|bytes| bytes[4096..].fill(0))),
            ("noise", changed(&|bytes| bytes[4096..].iter_mut().for_each(|byte| *byte ^= 0x5a))),
        ];
        for (name, bytes) in cases {
            std::fs::write(&path, bytes).expect("written");
            let text = refusal(&path);
            assert!(text.starts_with("damaged"), "{name}: {text}");
        }
    }
}
