//! The files of a task, for its handler.

pub(super) mod blocking;
pub(super) mod typed;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rxon::model::FileMetadata;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::directory::{DirectoryGuard, TaskDirectory};
use super::error::{FileError, FileErrorKind, shown};
use super::metadata::{Inputs, MetadataByPath};
use super::mover::Mover;
use super::storage::NO_STORAGE;
use super::workspace::Workspace;
use super::workspace::mode::OpenMode;

/// The files of one task, in the directory `TASK_FILES_DIR/<task_id>/`. Take it as an argument of the handler. Cheap to
/// clone.
///
/// The directory is made on first use, only the worker's user can read it, and it is removed once the task's result is
/// safe.
///
/// A **name** is a path relative to the directory, with `/` between its parts, or an absolute path inside the directory.
/// A name that leads out of the directory (`..`, another absolute path, a symbolic link) is refused with
/// [`FileErrorKind::Forbidden`], and nothing is touched.
///
/// If `S3_ENDPOINT_URL` is set, `s3://` addresses in the parameters are fetched into the directory before the handler
/// runs, and paths of the directory in the handler's data are uploaded after it. Most handlers therefore need only
/// [`path_to`](Self::path_to).
///
/// ```
/// use avtomatika_worker::prelude::*;
/// use serde_json::json;
///
/// async fn report(files: TaskFiles) -> Result<Json<serde_json::Value>, TaskError> {
///     let path = files.write("report.txt", "all is well").await?;
///     Ok(Json(json!({"report": path})))
/// }
///
/// let builder = Worker::builder().task("report", report);
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
#[derive(Clone)]
pub struct TaskFiles(Arc<Inner>);

struct Inner {
    directory: Arc<TaskDirectory>,
    /// None without a storage.
    mover: Option<Mover>,
    /// Set once the parameters are fetched.
    inputs: OnceLock<Inputs>,
}

impl fmt::Debug for TaskFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.directory.workspace.existing().map(|made| &made.path);
        formatter.debug_struct("TaskFiles").field("path", &path).finish_non_exhaustive()
    }
}

impl TaskFiles {
    /// The runtime that the worker runs on.
    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        &self.0.directory.runtime
    }

    /// Returns the full path of a file, for reading or writing it by other means. The directories in the name are made. An
    /// empty name stands for the directory itself.
    ///
    /// # Errors
    /// [`FileErrorKind::Forbidden`] for a name that leads out of the directory, and [`FileErrorKind::Exhausted`] if the
    /// disk is full or read-only. Both apply to all methods.
    pub async fn path_to(&self, name: impl AsRef<Path>) -> Result<PathBuf, FileError> {
        self.on_file(name, Workspace::path_to).await
    }

    /// Reads the whole content of a file.
    ///
    /// # Errors
    /// [`FileErrorKind::NotFound`] if the file does not exist.
    pub async fn read(&self, name: impl AsRef<Path>) -> Result<Vec<u8>, FileError> {
        self.on_file(name, Workspace::read).await
    }

    /// Reads the whole content of a text file.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`FileErrorKind::Other`] if the content is not UTF-8.
    pub async fn read_text(&self, name: impl AsRef<Path>) -> Result<String, FileError> {
        let name = name.as_ref();
        into_text(self.read(name).await?, name)
    }

    /// Reads a value from a JSON file.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`FileErrorKind::Other`] if the content is not JSON of this type.
    pub async fn read_json<T: DeserializeOwned>(&self, name: impl AsRef<Path>) -> Result<T, FileError> {
        let name = name.as_ref();
        from_json(&self.read(name).await?, name)
    }

    /// Writes a file and returns its full path. An existing file is replaced. The directories in the name are made.
    ///
    /// # Errors
    /// [`FileErrorKind::Exhausted`] if the disk is full or read-only.
    pub async fn write(
        &self,
        name: impl AsRef<Path>,
        content: impl AsRef<[u8]>,
    ) -> Result<PathBuf, FileError> {
        let content = content.as_ref().to_owned();
        self.on_file(name, move |workspace, name| workspace.write(name, &content, OpenMode::WRITE)).await
    }

    /// Writes a value to a JSON file, as [`write`](Self::write) does.
    ///
    /// # Errors
    /// As [`write`](Self::write), and [`FileErrorKind::Other`] if the value cannot be written as JSON.
    pub async fn write_json(
        &self,
        name: impl AsRef<Path>,
        value: impl Serialize,
    ) -> Result<PathBuf, FileError> {
        let name = name.as_ref();
        self.write(name, to_json(&value, name)?).await
    }

    /// Opens a file. For a mode that writes, the directories in the name are made.
    ///
    /// # Errors
    /// [`FileErrorKind::NotFound`] if the file does not exist and the mode does not create it.
    pub async fn open(&self, name: impl AsRef<Path>, mode: OpenMode) -> Result<tokio::fs::File, FileError> {
        let file = self.on_file(name, move |workspace, name| workspace.open(name, mode)).await?;
        Ok(tokio::fs::File::from_std(file))
    }

    /// Lists the names of the files and directories in the directory itself, in alphabetical order.
    ///
    /// # Errors
    /// As [`path_to`](Self::path_to).
    pub async fn list(&self) -> Result<Vec<String>, FileError> {
        self.0.directory.on_thread(Workspace::list).await
    }

    /// Whether a file or a directory of this name exists.
    ///
    /// # Errors
    /// [`FileErrorKind::Forbidden`] for a name that leads out of the directory.
    pub async fn exists(&self, name: impl AsRef<Path>) -> Result<bool, FileError> {
        self.on_file(name, Workspace::exists).await
    }

    /// Uploads a file at once, and returns its address, `s3://<S3_DEFAULT_BUCKET>/<task_id>/<name>`, with its size and
    /// `ETag`. Not needed for a path in the handler's data, which is uploaded after the handler.
    ///
    /// # Errors
    /// [`FileErrorKind::NoStorage`] without `S3_ENDPOINT_URL`; [`FileErrorKind::Denied`], [`FileErrorKind::NoObject`] if
    /// the bucket does not exist, [`FileErrorKind::Unavailable`].
    pub async fn upload_file(&self, name: impl AsRef<Path>) -> Result<FileMetadata, FileError> {
        self.mover()?.upload(name.as_ref(), false).await
    }

    /// Uploads all files in a directory, and returns its address, which ends in `/`, with the sum of their sizes. An empty
    /// name stands for the whole directory of the task.
    ///
    /// # Errors
    /// As [`upload_file`](Self::upload_file).
    pub async fn upload_dir(&self, name: impl AsRef<Path>) -> Result<FileMetadata, FileError> {
        self.mover()?.upload(name.as_ref(), true).await
    }

    /// Downloads an object to a name in the directory, and returns the full path. For an address that ends in `/`, all
    /// objects below it are downloaded into a directory of this name. An existing file is replaced once the download is
    /// complete, and survives a download that fails.
    ///
    /// # Errors
    /// [`FileErrorKind::NoStorage`] without `S3_ENDPOINT_URL`; [`FileErrorKind::NoObject`], [`FileErrorKind::Denied`],
    /// [`FileErrorKind::Unavailable`]; [`FileErrorKind::Unusable`] if `uri` is not an address, or the name is that of a
    /// directory.
    pub async fn download_file(&self, uri: &str, name: impl AsRef<Path>) -> Result<PathBuf, FileError> {
        self.mover()?.download(uri, name.as_ref(), None).await
    }

    /// Downloads as [`download_file`](Self::download_file) does, and checks the size and the `ETag` before it writes
    /// anything. Quotes and the sign of a weak `ETag` do not matter. The `ETag` of a directory is not checked, and neither
    /// is what `expected` does not have.
    ///
    /// # Errors
    /// As [`download_file`](Self::download_file), and [`FileErrorKind::Integrity`] if the object differs.
    pub async fn download_verified(
        &self,
        uri: &str,
        name: impl AsRef<Path>,
        expected: &FileMetadata,
    ) -> Result<PathBuf, FileError> {
        self.mover()?.download(uri, name.as_ref(), Some(expected)).await
    }
}

impl TaskFiles {
    pub(super) fn new(directory: Arc<TaskDirectory>, mover: Option<Mover>) -> Self {
        Self(Arc::new(Inner { directory, mover, inputs: OnceLock::new() }))
    }

    /// Fetches every `s3://` address in the parameters, and replaces it by the path of the file. Without a storage, the
    /// parameters stay unchanged.
    pub(crate) async fn fetch_inputs(
        &self,
        params: Box<RawValue>,
        metadata: &MetadataByPath,
    ) -> Result<Box<RawValue>, FileError> {
        let Some(mover) = &self.0.mover else { return Ok(params) };
        // Boxed, as below: without a storage it would only make the futures of tasks larger.
        let (params, inputs) = Box::pin(mover.fetch_inputs(params, metadata)).await?;
        // Parameters are fetched once.
        let _ = self.0.inputs.set(inputs);
        Ok(params)
    }

    /// Uploads every path of the task's directory in the data, and replaces it by its address. Returns the new data and
    /// the metadata of the uploads. Without a storage, the data stays unchanged.
    pub(crate) async fn send_outputs(
        &self,
        data: Box<RawValue>,
    ) -> Result<(Box<RawValue>, MetadataByPath), FileError> {
        match &self.0.mover {
            Some(mover) => Box::pin(mover.send_outputs(data)).await,
            None => Ok((data, MetadataByPath::new())),
        }
    }

    /// Returns a guard that keeps the directory until the task's result is safe; None if no directory was made.
    pub(crate) fn directory_guard(&self) -> Option<DirectoryGuard> {
        self.0.directory.guard()
    }

    pub(super) fn mover(&self) -> Result<&Mover, FileError> {
        self.0.mover.as_ref().ok_or_else(|| FileError::new(FileErrorKind::NoStorage, NO_STORAGE))
    }

    /// Runs blocking work on a file on a thread.
    async fn on_file<T: Send + 'static>(
        &self,
        name: impl AsRef<Path>,
        work: impl FnOnce(&Workspace, &Path) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, FileError> {
        let name = name.as_ref().to_owned();
        self.0.directory.on_thread(move |workspace| work(workspace, &name)).await
    }
}

fn into_text(content: Vec<u8>, name: &Path) -> Result<String, FileError> {
    String::from_utf8(content).map_err(|error| {
        let message = format!("`{}` is not UTF-8", shown(name));
        FileError::new(FileErrorKind::Other, message).because(error.utf8_error())
    })
}

fn from_json<T: DeserializeOwned>(content: &[u8], name: &Path) -> Result<T, FileError> {
    serde_json::from_slice(content).map_err(|error| {
        let message = format!("`{}` is not JSON of the expected type", shown(name));
        FileError::new(FileErrorKind::Other, message).because(error)
    })
}

fn to_json(value: &impl Serialize, name: &Path) -> Result<Vec<u8>, FileError> {
    serde_json::to_vec(value).map_err(|error| {
        let message = format!("the value for `{}` cannot be written as JSON", shown(name));
        FileError::new(FileErrorKind::Other, message).because(error)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::registry::Registry;

    use crate::files::Files;

    #[tokio::test]
    async fn a_directory_that_is_made_after_the_result_is_removed_with_the_last_handle() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files::new(folder.path(), None, None, None, &mut Registry::default());
        let of_task = files.of_task(&rxon::TaskId::received("t-1").expect("an id"));
        assert!(of_task.directory_guard().is_none());
        let path = of_task.write("a", "x").await.expect("written");
        drop(of_task);
        let gone = async {
            while path.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(testkit::PATIENCE, gone).await.expect("it is removed");
    }
}
