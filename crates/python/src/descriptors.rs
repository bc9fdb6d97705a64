//! The descriptors of the core that a forked process must not keep.

use pyo3::prelude::*;

/// Returns the descriptors of the core's connections, listeners and locks, also in a forked process. Takes no lock.
#[pyfunction]
pub(crate) fn not_inherited() -> Vec<i32> {
    avtomatika_worker::not_inherited()
}
