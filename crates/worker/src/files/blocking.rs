//! A task's files, for handlers that block.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::FileError;
use super::mode::OpenMode;
use super::task::{TaskFiles, as_text, from_json, to_json};

/// What [`TaskFiles`] is, for handlers that block ([`blocking`](crate::blocking)): the same methods, the same errors,
/// without `await`.
///
/// Transfers run on the worker's runtime while the handler's thread waits. They must not be waited for on that runtime
/// itself: [`upload_file`](Self::upload_file), [`upload_dir`](Self::upload_dir) and
/// [`download_file`](Self::download_file) panic there.
///
/// ```
/// use avtomatika_worker::files::BlockingTaskFiles;
/// use avtomatika_worker::prelude::*;
/// use serde_json::json;
///
/// fn report(files: BlockingTaskFiles) -> Result<Json<serde_json::Value>, TaskError> {
///     let path = files.write("report.txt", "all is well")?;
///     Ok(Json(json!({"report": path})))
/// }
///
/// let builder = Worker::builder().task("report", blocking(report));
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
#[derive(Debug, Clone)]
pub struct BlockingTaskFiles(TaskFiles);

impl BlockingTaskFiles {
    pub(super) fn new(files: TaskFiles) -> Self {
        Self(files)
    }

    /// As [`TaskFiles::path_to`].
    ///
    /// # Errors
    /// The same.
    pub fn path_to(&self, name: impl AsRef<Path>) -> Result<PathBuf, FileError> {
        self.0.workspace().path_to(name.as_ref())
    }

    /// As [`TaskFiles::read`].
    ///
    /// # Errors
    /// The same.
    pub fn read(&self, name: impl AsRef<Path>) -> Result<Vec<u8>, FileError> {
        self.0.workspace().read(name.as_ref())
    }

    /// As [`TaskFiles::read_text`].
    ///
    /// # Errors
    /// The same.
    pub fn read_text(&self, name: impl AsRef<Path>) -> Result<String, FileError> {
        as_text(self.read(&name)?, name.as_ref())
    }

    /// As [`TaskFiles::read_json`].
    ///
    /// # Errors
    /// The same.
    pub fn read_json<T: DeserializeOwned>(&self, name: impl AsRef<Path>) -> Result<T, FileError> {
        from_json(&self.read(&name)?, name.as_ref())
    }

    /// As [`TaskFiles::write`].
    ///
    /// # Errors
    /// The same.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<PathBuf, FileError> {
        self.0.workspace().write(name.as_ref(), content.as_ref(), OpenMode::WRITE)
    }

    /// As [`TaskFiles::write_json`].
    ///
    /// # Errors
    /// The same.
    pub fn write_json(&self, name: impl AsRef<Path>, value: impl Serialize) -> Result<PathBuf, FileError> {
        let content = to_json(&value, name.as_ref())?;
        self.write(name, content)
    }

    /// As [`TaskFiles::open`].
    ///
    /// # Errors
    /// The same.
    pub fn open(&self, name: impl AsRef<Path>, mode: OpenMode) -> Result<File, FileError> {
        self.0.workspace().open(name.as_ref(), mode)
    }

    /// As [`TaskFiles::list`].
    ///
    /// # Errors
    /// The same.
    pub fn list(&self) -> Result<Vec<String>, FileError> {
        self.0.workspace().list()
    }

    /// As [`TaskFiles::exists`].
    ///
    /// # Errors
    /// The same.
    pub fn exists(&self, name: impl AsRef<Path>) -> Result<bool, FileError> {
        self.0.workspace().exists(name.as_ref())
    }

    /// As [`TaskFiles::upload_file`].
    ///
    /// # Errors
    /// The same.
    ///
    /// # Panics
    /// On a thread of the runtime.
    pub fn upload_file(&self, name: impl AsRef<Path>) -> Result<String, FileError> {
        self.0.runtime().block_on(self.0.upload_file(name))
    }

    /// As [`TaskFiles::upload_dir`].
    ///
    /// # Errors
    /// The same.
    ///
    /// # Panics
    /// On a thread of the runtime.
    pub fn upload_dir(&self, name: impl AsRef<Path>) -> Result<String, FileError> {
        self.0.runtime().block_on(self.0.upload_dir(name))
    }

    /// As [`TaskFiles::download_file`].
    ///
    /// # Errors
    /// The same.
    ///
    /// # Panics
    /// On a thread of the runtime.
    pub fn download_file(&self, uri: &str, name: impl AsRef<Path>) -> Result<PathBuf, FileError> {
        self.0.runtime().block_on(self.0.download_file(uri, name))
    }
}
