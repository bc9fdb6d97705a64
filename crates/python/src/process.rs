//! The process that the core runs in, and those that are forked from it.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;

/// The number of forks between the process that imported the module and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// A process, told from those that are forked from it without asking the operating system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    id: u32,
    forks: u32,
}

impl Process {
    /// The current process.
    pub(crate) fn current() -> Self {
        Self { id: std::process::id(), forks: FORKS.load(Ordering::Relaxed) }
    }

    /// The number of the process.
    pub(crate) fn id(self) -> u32 {
        self.id
    }

    /// Whether this is still the process; otherwise it is one that was forked from it by Python.
    pub(crate) fn is_current(self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }

    /// The same, but it also notices a fork by code in C, of which Python does not know. Asks the operating system.
    pub(crate) fn is_surely_current(self) -> bool {
        self.is_current() && self.id == std::process::id()
    }
}

/// Called first in each forked process: returns the descriptors of the core's connections, listeners and locks, which it
/// must not keep. Takes no lock.
#[pyfunction]
pub(crate) fn after_fork() -> Vec<i32> {
    FORKS.fetch_add(1, Ordering::Relaxed);
    avtomatika_worker::not_inherited()
}
