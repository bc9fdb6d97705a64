//! Lines in the database.

use serde::{Deserialize, Serialize};

use super::book::{Book, Owner};
use super::line::Line;
use super::{LogSource, Logs};
use crate::persist::{Keeper, Rows, Table, Unreadable, numbered};

/// The row of a line, by its number.
#[derive(Debug, Serialize, Deserialize)]
struct Row<O, L> {
    owner: O,
    /// The number of lines of the owner that were dropped until then.
    dropped: u64,
    line: L,
}

/// The lines that an earlier orchestrator has left.
#[derive(Debug, Default)]
pub(crate) struct KeptLines(Vec<Row<Owner, Line>>);

impl KeptLines {
    /// Reads all rows.
    pub(crate) fn read(rows: &Rows) -> Result<Self, Unreadable> {
        let mut lines = Vec::new();
        rows.each(Table::Logs, |_, value| {
            lines.push(serde_json::from_slice(value)?);
            Ok(())
        })?;
        Ok(Self(lines))
    }
}

impl Logs {
    /// Goes on with the lines of an earlier orchestrator, and keeps all changes.
    pub(crate) fn restored(kept: KeptLines) -> Self {
        let mut book = Book::tracked();
        for Row { owner, dropped, line } in kept.0 {
            book.restore(&owner, line, dropped);
        }
        Self(book.into())
    }
}

/// Hands the row of a new line over, and removes those of the lines that it has pushed out.
pub(super) fn hand_over(book: &mut Book, keeper: &Keeper, owner: &Owner, line: &Line) {
    let (gone, dropped) = (book.take_dropped(), book.dropped_of(owner));
    // An exporter is told that its lines are taken; a worker that writes lines is told nothing.
    let is_kept = line.source == LogSource::Otlp || !keeper.is_crowded();
    keeper.change(|batch| {
        if is_kept {
            batch.put_json(Table::Logs, numbered(line.n), &Row { owner, dropped, line });
        }
        for number in gone {
            batch.remove_unchanged(Table::Logs, numbered(number));
        }
    });
    if !is_kept {
        book.note_unkept(line.n);
        tracing::warn!(line = line.n, "a line of a log is not kept: too much waits for the disk");
    }
}
