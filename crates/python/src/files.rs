//! The files of a task.
//!
//! Every method may block, and releases Python's lock meanwhile: Python's half calls them on threads.

use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};

use avtomatika_worker::files::{BlockingTaskFiles, FileError, FileErrorKind, OpenMode};
use pyo3::exceptions::{PyFileNotFoundError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The files of one task.
#[pyclass(frozen, module = "avtomatika_worker._native")]
pub(crate) struct TaskFiles(BlockingTaskFiles);

impl TaskFiles {
    pub(crate) fn new(files: BlockingTaskFiles) -> Self {
        Self(files)
    }
}

#[pymethods]
impl TaskFiles {
    /// The task's directory, which is created if necessary.
    fn root(&self, py: Python<'_>) -> PyResult<String> {
        // This creates only the directory that the file `x` would be in.
        let within = py.detach(|| self.0.path_to("x"));
        path(py, within.map(|path| path.parent().map_or_else(PathBuf::new, Path::to_owned)))
    }

    /// The absolute path of a file; the directories above it are created.
    fn path_to(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        path(py, py.detach(|| self.0.path_to(name)))
    }

    /// Whether a file or directory of this name exists.
    fn exists(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        py.detach(|| self.0.exists(name)).map_err(|error| raised(py, &error))
    }

    /// The names in the task's directory, in alphabetical order.
    fn list(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.detach(|| self.0.list()).map_err(|error| raised(py, &error))
    }

    /// The whole content of a file.
    fn read<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyBytes>> {
        let content = py.detach(|| self.0.read(name)).map_err(|error| raised(py, &error))?;
        Ok(PyBytes::new(py, &content))
    }

    /// Opens a file in one of Python's modes, and returns its descriptor. The caller closes it.
    fn open(&self, py: Python<'_>, name: &str, mode: &str) -> PyResult<i32> {
        let mode: OpenMode =
            mode.parse().map_err(|error: FileError| PyValueError::new_err(error.to_string()))?;
        let file = py.detach(|| self.0.open(name, mode)).map_err(|error| raised(py, &error))?;
        Ok(file.into_raw_fd())
    }

    /// Uploads a file, and returns its address.
    fn upload_file(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        py.detach(|| self.0.upload_file(name)).map_err(|error| raised(py, &error))
    }

    /// Uploads all files of a directory, and returns its address.
    fn upload_dir(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        py.detach(|| self.0.upload_dir(name)).map_err(|error| raised(py, &error))
    }

    /// Downloads an object, or all objects below an address that ends in `/`, and returns the absolute path.
    fn download_file(&self, py: Python<'_>, uri: &str, name: &str) -> PyResult<String> {
        path(py, py.detach(|| self.0.download_file(uri, name)))
    }
}

/// Converts a path of a task to text. It consists of the task's id and of names that were received as text, below a
/// directory that was configured as text.
fn path(py: Python<'_>, made: Result<PathBuf, FileError>) -> PyResult<String> {
    made.map_err(|error| raised(py, &error))?
        .into_os_string()
        .into_string()
        .map_err(|path| PyValueError::new_err(format!("the path `{}` is not valid UTF-8", path.display())))
}

/// The exception for an error: Python's own for files where one fits, else a `TaskError` with its code.
fn raised(py: Python<'_>, error: &FileError) -> PyErr {
    let failed = error.to_task_error();
    let message = failed.message().to_owned();
    match error.kind() {
        FileErrorKind::NotFound => PyFileNotFoundError::new_err(message),
        FileErrorKind::Other => PyOSError::new_err(message),
        _ => failure(py, failed.code().as_str(), &message, failed.details()).unwrap_or_else(|error| error),
    }
}

fn failure(py: Python<'_>, code: &str, message: &str, details: Option<&str>) -> PyResult<PyErr> {
    let errors = py.import("avtomatika_worker.errors")?;
    Ok(PyErr::from_value(errors.call_method1("of_code", (code, message, details))?))
}
