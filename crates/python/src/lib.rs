//! The native half of the Python package `avtomatika_worker`.

mod config;

use pyo3::prelude::*;

/// What the package's Python half is built on.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<config::Config>()?;
    module.add_function(wrap_pyfunction!(config::options, module)?)?;
    Ok(())
}
