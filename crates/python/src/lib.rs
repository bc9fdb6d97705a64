//! The native half of the Python package `avtomatika_worker`.

#![deny(missing_docs)]

mod bridge;
mod command;
mod command_line;
mod config;
mod dev;
mod error;
mod files;
mod hosted;
mod lines;
mod logging;
mod process;
mod record;
mod runtime;
mod schemas;
mod standalone;
mod storage;
mod task;
mod watch;
mod worker;

use pyo3::prelude::*;

/// The module that the package's Python half is built on.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::command::Command;
    #[pymodule_export]
    use crate::command_line::command_line;
    #[pymodule_export]
    use crate::config::{Config, options, without_effect};
    #[pymodule_export]
    use crate::dev::DevOrchestrator;
    #[pymodule_export]
    use crate::files::{TaskFiles, indented};
    #[pymodule_export]
    use crate::logging::one_line;
    #[pymodule_export]
    use crate::process::after_fork;
    #[pymodule_export]
    use crate::schemas::EnforcedSchemas;
    #[pymodule_export]
    use crate::standalone::Standalone;
    #[pymodule_export]
    use crate::storage::LocalS3;
    #[pymodule_export]
    use crate::task::{SkillCall, Task};
    #[pymodule_export]
    use crate::worker::Worker;

    /// Shows the version of the core, which differs from that of the package.
    #[pymodule_init]
    fn add_version(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        pyo3::types::PyAnyMethods::setattr(module.as_any(), "__version__", env!("CARGO_PKG_VERSION"))
    }
}
