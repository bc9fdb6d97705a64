//! Log lines that wait for the event loop.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::IntoPyObject;
use tracing::Level;

/// The number of lines kept until the loop takes them. Later lines are dropped and counted.
const MAX_LINES: usize = 10_000;

/// The lines, and the level that Python's logger asks for.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    queue: Mutex<Queue>,
    /// Whether lines may wait, to be looked at without a lock.
    any: AtomicBool,
    /// The lowest level that Python's logger records, as a number of `logging`.
    level: AtomicU8,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Line>,
    dropped: u64,
}

/// One line: level of `logging`, seconds since 1970, target, thread, text, fields, spans from the innermost on.
pub(crate) type Line = (u8, f64, String, String, String, Fields, Vec<(&'static str, Fields)>);

/// The fields of a line or a span, by their names.
pub(crate) type Fields = Vec<(&'static str, Value)>;

/// The value of a field.
#[derive(Debug, Clone, IntoPyObject)]
pub(crate) enum Value {
    Text(String),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Bool(bool),
}

impl Lines {
    /// Sets the lowest level that Python's logger records.
    pub(crate) fn set_level(&self, level: u8) {
        self.level.store(level, Ordering::Relaxed);
    }

    /// Whether lines wait.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Takes all lines, and the number of lines dropped since the last call.
    pub(crate) fn take(&self) -> (VecDeque<Line>, u64) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        self.any.store(false, Ordering::Release);
        let dropped = std::mem::take(&mut queue.dropped);
        (std::mem::take(&mut queue.lines), dropped)
    }

    pub(crate) fn push(&self, line: Line) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.lines.len() < MAX_LINES {
            queue.lines.push_back(line);
        } else {
            queue.dropped += 1;
        }
        self.any.store(true, Ordering::Release);
    }

    /// Whether Python's logger records lines of this level.
    pub(crate) fn wants(&self, level: Level) -> bool {
        level_number(level) >= self.level.load(Ordering::Relaxed)
    }
}

/// The number of a level in Python's `logging`.
pub(crate) fn level_number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}
