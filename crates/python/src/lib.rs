//! The native half of the Python package `avtomatika_worker`.

use pyo3::prelude::*;

/// What the package's Python half is built on.
#[pymodule]
fn _native(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
