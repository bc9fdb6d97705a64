//! The files of a task, for a handler that blocks.

use std::fs::File;
use std::path::{Path, PathBuf};

use rxon::model::FileMetadata;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{TaskFiles, from_json, into_text, to_json};
use crate::files::error::FileError;
use crate::files::workspace::Workspace;
use crate::files::workspace::mode::OpenMode;

/// The files of one task, for handlers that block ([`blocking`](crate::blocking)): the methods and errors of
/// [`TaskFiles`], without `await`.
///
/// Transfers run on the worker's runtime while the handler's thread waits. For that reason
/// [`upload_file`](Self::upload_file), [`upload_dir`](Self::upload_dir), [`download_file`](Self::download_file) and
/// [`download_verified`](Self::download_verified) panic on a thread of that runtime.
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

impl TaskFiles {
    /// Returns the same methods for handlers that block.
    pub fn blocking(&self) -> BlockingTaskFiles {
        BlockingTaskFiles(self.clone())
    }
}

impl BlockingTaskFiles {
    fn workspace(&self) -> &Workspace {
        &self.0.0.directory.workspace
    }

    fn block_on<T>(&self, transfer: impl Future<Output = T>) -> T {
        self.0.0.directory.runtime.block_on(transfer)
    }

    /// Does the same as [`TaskFiles::path_to`].
    ///
    /// # Errors
    /// The same errors.
    pub fn path_to(&self, name: impl AsRef<Path>) -> Result<PathBuf, FileError> {
        self.workspace().path_to(name.as_ref())
    }

    /// Does the same as [`TaskFiles::read`].
    ///
    /// # Errors
    /// The same errors.
    pub fn read(&self, name: impl AsRef<Path>) -> Result<Vec<u8>, FileError> {
        self.workspace().read(name.as_ref())
    }

    /// Does the same as [`TaskFiles::read_text`].
    ///
    /// # Errors
    /// The same errors.
    pub fn read_text(&self, name: impl AsRef<Path>) -> Result<String, FileError> {
        into_text(self.read(&name)?, name.as_ref())
    }

    /// Does the same as [`TaskFiles::read_json`].
    ///
    /// # Errors
    /// The same errors.
    pub fn read_json<T: DeserializeOwned>(&self, name: impl AsRef<Path>) -> Result<T, FileError> {
        from_json(&self.read(&name)?, name.as_ref())
    }

    /// Does the same as [`TaskFiles::write`].
    ///
    /// # Errors
    /// The same errors.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<PathBuf, FileError> {
        self.workspace().write(name.as_ref(), content.as_ref(), OpenMode::WRITE)
    }

    /// Does the same as [`TaskFiles::write_json`].
    ///
    /// # Errors
    /// The same errors.
    pub fn write_json(&self, name: impl AsRef<Path>, value: impl Serialize) -> Result<PathBuf, FileError> {
        let content = to_json(&value, name.as_ref())?;
        self.write(name, content)
    }

    /// Does the same as [`TaskFiles::open`].
    ///
    /// # Errors
    /// The same errors.
    pub fn open(&self, name: impl AsRef<Path>, mode: OpenMode) -> Result<File, FileError> {
        self.workspace().open(name.as_ref(), mode)
    }

    /// Does the same as [`TaskFiles::list`].
    ///
    /// # Errors
    /// The same errors.
    pub fn list(&self) -> Result<Vec<String>, FileError> {
        self.workspace().list()
    }

    /// Does the same as [`TaskFiles::exists`].
    ///
    /// # Errors
    /// The same errors.
    pub fn exists(&self, name: impl AsRef<Path>) -> Result<bool, FileError> {
        self.workspace().exists(name.as_ref())
    }

    /// Does the same as [`TaskFiles::upload_file`].
    ///
    /// # Errors
    /// The same errors.
    ///
    /// # Panics
    /// On a thread of the worker's runtime.
    pub fn upload_file(&self, name: impl AsRef<Path>) -> Result<FileMetadata, FileError> {
        self.block_on(self.0.upload_file(name))
    }

    /// Does the same as [`TaskFiles::upload_dir`].
    ///
    /// # Errors
    /// The same errors.
    ///
    /// # Panics
    /// On a thread of the worker's runtime.
    pub fn upload_dir(&self, name: impl AsRef<Path>) -> Result<FileMetadata, FileError> {
        self.block_on(self.0.upload_dir(name))
    }

    /// Does the same as [`TaskFiles::download_file`].
    ///
    /// # Errors
    /// The same errors.
    ///
    /// # Panics
    /// On a thread of the worker's runtime.
    pub fn download_file(&self, uri: &str, name: impl AsRef<Path>) -> Result<PathBuf, FileError> {
        self.block_on(self.0.download_file(uri, name))
    }

    /// Does the same as [`TaskFiles::download_verified`].
    ///
    /// # Errors
    /// The same errors.
    ///
    /// # Panics
    /// On a thread of the worker's runtime.
    pub fn download_verified(
        &self,
        uri: &str,
        name: impl AsRef<Path>,
        expected: &FileMetadata,
    ) -> Result<PathBuf, FileError> {
        self.block_on(self.0.download_verified(uri, name, expected))
    }
}
