//! The database: opening, reading and changing it. Blocks.

use std::any::Any;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableError};

use super::backend::Unsynced;
use super::table::Table;

/// The memory of the cache, in bytes: rows are read at the start only, but changing one reads the pages above it.
const CACHE: usize = 32 * 1024 * 1024;

/// New values of rows; `None` removes a row.
pub(super) type Changes = HashMap<(Table, Box<[u8]>), Option<Bytes>>;

/// The reason why a row, or the whole database, cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The contents are not those of a database of this version.
    #[error("{0}")]
    Damaged(String),
    /// Another process has it open.
    #[error("another process has it open")]
    Taken,
    /// The system refused. This says nothing about the contents.
    #[error("{0}")]
    File(io::Error),
}

impl Unreadable {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Damaged(text.into())
    }
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(format!("a row is not as expected: {error}"))
    }
}

impl From<redb::Error> for Unreadable {
    fn from(error: redb::Error) -> Self {
        use redb::Error as E;
        match error {
            E::DatabaseAlreadyOpen | E::LockProtocolMismatch => Self::Taken,
            // Not a database at all, or one that was cut short.
            E::Io(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
                Self::Damaged(error.to_string())
            }
            E::Io(error) => Self::File(error),
            E::Corrupted(_)
            | E::UpgradeRequired(_)
            | E::RepairAborted
            | E::TableTypeMismatch { .. }
            | E::TableIsMultimap(_)
            | E::TypeDefinitionChanged { .. } => Self::Damaged(error.to_string()),
            error => Self::File(io::Error::other(error)),
        }
    }
}

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    file: redb::Database,
    path: PathBuf,
    /// Whether it fails as with a full disk.
    #[cfg(test)]
    fails: bool,
}

impl Database {
    /// Opens the database of a file, which is made if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, Unreadable> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(Unreadable::File)?;
        let opened = caught(|| {
            let backend = Unsynced(FileBackend::new(file)?);
            // Without the check a damaged file may panic later.
            let mut builder = redb::Database::builder();
            builder.set_cache_size(CACHE).set_check_integrity_on_open(true).create_with_backend(backend)
        });
        let file = opened.map_err(Unreadable::Damaged)?.map_err(redb::Error::from)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            #[cfg(test)]
            fails: false,
        })
    }

    /// The same database, which fails until it is opened anew.
    #[cfg(test)]
    pub(super) fn failing(self) -> Self {
        Self { fails: true, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads rows. A panic of the database counts as damage.
    pub(super) fn read<R>(&self, read: impl FnOnce(&Rows) -> Result<R, Unreadable>) -> Result<R, Unreadable> {
        let all = || {
            let transaction = self.file.begin_read().map_err(redb::Error::from)?;
            read(&Rows(transaction))
        };
        caught(all).map_err(Unreadable::Damaged)?
    }

    /// Makes all of the changes, or none. Once it returns, they survive the death of the process.
    pub(super) fn apply(&self, changes: &Changes) -> Result<(), String> {
        #[cfg(test)]
        if self.fails {
            return Err("no space left on the device".to_owned());
        }
        caught(|| self.write(changes))?.map_err(|error| error.to_string())
    }

    fn write(&self, changes: &Changes) -> Result<(), redb::Error> {
        let transaction = self.file.begin_write()?;
        for table in Table::ALL {
            let mut rows = changes.iter().filter(|((of, _), _)| *of == table).peekable();
            // A table that is opened costs something even if nothing in it changes.
            if rows.peek().is_none() {
                continue;
            }
            let mut table = transaction.open_table(table.definition())?;
            for ((_, key), value) in rows {
                match value {
                    Some(value) => drop(table.insert(&**key, &**value)?),
                    None => drop(table.remove(&**key)?),
                }
            }
        }
        Ok(transaction.commit()?)
    }
}

/// The rows at one moment.
pub(crate) struct Rows(ReadTransaction);

impl Rows {
    /// Passes on all rows of a table, in the order of their keys.
    pub(crate) fn each(
        &self,
        table: Table,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let rows = match self.0.open_table(table.definition()) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            rows => rows.map_err(redb::Error::from)?,
        };
        for row in rows.iter().map_err(redb::Error::from)? {
            let (key, value) = row.map_err(redb::Error::from)?;
            take(key.value(), value.value())?;
        }
        Ok(())
    }
}

/// Calls a function, and returns the message of its panic as an error.
fn caught<R>(function: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(function)).map_err(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the database panicked").to_owned()
}
