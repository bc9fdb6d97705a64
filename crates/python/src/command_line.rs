//! The command `avtomatika`, inside the Python process.

use std::ffi::OsString;

use avtomatika::Restart;
use pyo3::prelude::*;

/// Runs the command to its end, and returns its exit code. `arguments` begin with the name of the command, and `restart` is
/// what starts this program once more: the path of an interpreter with its arguments, to which those of the command are
/// added.
#[pyfunction]
pub(crate) fn command_line(
    py: Python<'_>,
    arguments: Vec<OsString>,
    restart: (OsString, Vec<OsString>),
) -> u8 {
    let (program, before) = restart;
    py.detach(|| avtomatika::main(arguments, Restart::new(program, before)))
}
