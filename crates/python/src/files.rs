//! The files of a task.
//!
//! Every method may block, and releases Python's lock meanwhile: Python's half calls them on threads.

use std::error::Error;
use std::io;
use std::os::fd::IntoRawFd;
use std::path::PathBuf;

use avtomatika_worker::files::{BlockingTaskFiles, FileError, FileErrorKind, FileMetadata, OpenMode};
use pyo3::exceptions::{PyFileNotFoundError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The metadata of an upload: address, size, `ETag`.
pub(crate) type Metadata = (String, Option<u64>, Option<String>);

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
        path(py, py.detach(|| self.0.path_to("")))
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

    /// Uploads a file, and returns its metadata.
    fn upload_file(&self, py: Python<'_>, name: &str) -> PyResult<Metadata> {
        metadata(py, py.detach(|| self.0.upload_file(name)))
    }

    /// Uploads all files of a directory, and returns its metadata.
    fn upload_dir(&self, py: Python<'_>, name: &str) -> PyResult<Metadata> {
        metadata(py, py.detach(|| self.0.upload_dir(name)))
    }

    /// Downloads an object, or all objects below an address that ends in `/`, and returns the absolute path. An object of
    /// another size or `ETag` is refused.
    fn download_file(
        &self,
        py: Python<'_>,
        uri: &str,
        name: &str,
        size: Option<u64>,
        etag: Option<String>,
    ) -> PyResult<String> {
        let expected = FileMetadata { uri: uri.to_owned(), size, etag };
        path(py, py.detach(|| self.0.download_verified(uri, name, &expected)))
    }
}

/// Converts a path of a task to text. It consists of the task's id and of names that were received as text, below a
/// directory that was configured as text.
pub(crate) fn path(py: Python<'_>, made: Result<PathBuf, FileError>) -> PyResult<String> {
    made.map_err(|error| raised(py, &error))?
        .into_os_string()
        .into_string()
        .map_err(|path| PyValueError::new_err(format!("the path `{}` is not valid UTF-8", path.display())))
}

pub(crate) fn metadata(py: Python<'_>, sent: Result<FileMetadata, FileError>) -> PyResult<Metadata> {
    let FileMetadata { uri, size, etag } = sent.map_err(|error| raised(py, &error))?;
    Ok((uri, size, etag))
}

/// The exception for an error: Python's own for files where one fits, else a `TaskError` with its code.
pub(crate) fn raised(py: Python<'_>, error: &FileError) -> PyErr {
    let failed = error.to_task_error();
    let message = failed.message().to_owned();
    match (error.kind(), errno(error)) {
        // Python chooses the class by the number.
        (FileErrorKind::NotFound | FileErrorKind::Other, Some(number)) => {
            PyOSError::new_err((number, message))
        }
        (FileErrorKind::NotFound, None) => PyFileNotFoundError::new_err(message),
        (FileErrorKind::Other, None) => PyOSError::new_err(message),
        _ => failure(py, failed.code().as_str(), &message, failed.details()).unwrap_or_else(|error| error),
    }
}

fn failure(py: Python<'_>, code: &str, message: &str, details: Option<&str>) -> PyResult<PyErr> {
    let errors = py.import("avtomatika_worker._file_errors")?;
    Ok(PyErr::from_value(errors.call_method1("of_failure", (code, message, details))?))
}

/// The error number of the operating system, if it is the cause of the error.
fn errno(error: &FileError) -> Option<i32> {
    error.source()?.downcast_ref::<io::Error>()?.raw_os_error()
}

/// Indents JSON by two spaces per level. Everything else stays byte for byte.
#[pyfunction]
pub(crate) fn indented<'py>(py: Python<'py>, json: &[u8]) -> Bound<'py, PyBytes> {
    let mut text = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    let line = |text: &mut Vec<u8>, depth: usize| {
        text.push(b'\n');
        text.resize(text.len() + 2 * depth, b' ');
    };
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if in_string {
            in_string = byte != b'"' || escaped;
            escaped = byte == b'\\' && !escaped;
            text.push(byte);
            continue;
        }
        match byte {
            b'{' | b'[' => {
                text.push(byte);
                if bytes.peek().is_some_and(|next| matches!(next, b'}' | b']')) {
                    text.extend(bytes.next());
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(byte);
            }
            b',' => {
                text.push(byte);
                line(&mut text, depth);
            }
            b':' => text.extend(b": "),
            _ => {
                in_string = byte == b'"';
                text.push(byte);
            }
        }
    }
    PyBytes::new(py, &text)
}
