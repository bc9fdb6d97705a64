//! A task's files, as its handler sees them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tracing::Instrument as _;
use tracing::instrument::WithSubscriber as _;

use super::Files;
use super::blocking::BlockingTaskFiles;
use super::buffers::{Buffers, PIECE};
use super::cache::CacheKey;
use super::error::{FileError, FileErrorKind};
use super::logged::logged;
use super::mode::OpenMode;
use super::name::shown;
use super::storage::Location;
use super::traffic::Traffic;
use super::transfers::{Turn, Who};
use super::workspace::Workspace;

/// The files of one task: `TASK_FILES_DIR/<task_id>/`, made on first use, readable by the worker's user only, and
/// removed when the task's result is safe. Cheap to clone. Ask for it as an argument of the handler.
///
/// A **name** is a path within the directory, with `/` for what lies deeper, or an absolute path that lies in it. Whatever
/// leads out (`..`, other absolute paths, symbolic links) is refused with [`FileErrorKind::Forbidden`], and nothing is
/// touched.
///
/// With `S3_ENDPOINT_URL` set, `s3://` addresses in the parameters were fetched into it before the handler runs, and
/// paths of it in the handler's data are uploaded after: most handlers need no method of this but
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
    files: Arc<Files>,
    workspace: Arc<Workspace>,
    who: Who,
    /// Where transfers run.
    runtime: Handle,
    /// Bytes that came or went so far.
    moved: AtomicU64,
    /// The paths that stand in the parameters for what was fetched.
    inputs: OnceLock<BTreeMap<String, Input>>,
}

/// What was fetched for a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    File,
    Directory,
}

/// A task's directory, for as long as somebody may need it: it is removed when the last of these is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Belongings(#[expect(dead_code, reason = "its end is what counts")] Arc<Remove>);

struct Remove(TaskFiles);

impl fmt::Debug for Remove {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for TaskFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.workspace.existing().map(|made| &made.path);
        formatter.debug_struct("TaskFiles").field("path", &path).finish_non_exhaustive()
    }
}

impl TaskFiles {
    pub(super) fn new(files: Arc<Files>, task_id: rxon::TaskId, who: Who, runtime: Handle) -> Self {
        let workspace = Arc::new(Workspace::new(files.root.clone(), task_id));
        Self(Arc::new(Inner {
            files,
            workspace,
            who,
            runtime,
            moved: AtomicU64::new(0),
            inputs: OnceLock::new(),
        }))
    }

    /// The full path of a file, for whoever wants to read or write it himself. The directories it lies in are made.
    ///
    /// # Errors
    /// [`FileErrorKind::Forbidden`] for a name that leads out, [`FileErrorKind::Exhausted`] for a full or read-only disk;
    /// so it is with all that follow.
    pub async fn path_to(&self, name: impl AsRef<Path>) -> Result<PathBuf, FileError> {
        let name = name.as_ref().to_owned();
        self.on_thread(move |workspace| workspace.path_to(&name)).await
    }

    /// The whole content of a file.
    ///
    /// # Errors
    /// [`FileErrorKind::NotFound`] when it is not there.
    pub async fn read(&self, name: impl AsRef<Path>) -> Result<Vec<u8>, FileError> {
        let name = name.as_ref().to_owned();
        self.on_thread(move |workspace| workspace.read(&name)).await
    }

    /// The whole content of a file that is text.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`FileErrorKind::Other`] for what is not UTF-8.
    pub async fn read_text(&self, name: impl AsRef<Path>) -> Result<String, FileError> {
        let name = name.as_ref();
        as_text(self.read(name).await?, name)
    }

    /// The content of a JSON file.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`FileErrorKind::Other`] for what is not JSON of that type.
    pub async fn read_json<T: DeserializeOwned>(&self, name: impl AsRef<Path>) -> Result<T, FileError> {
        let name = name.as_ref();
        from_json(&self.read(name).await?, name)
    }

    /// Writes a file anew, makes the directories it lies in, and gives its full path.
    ///
    /// # Errors
    /// [`FileErrorKind::Exhausted`] when the disk is full or read-only.
    pub async fn write(
        &self,
        name: impl AsRef<Path>,
        content: impl AsRef<[u8]>,
    ) -> Result<PathBuf, FileError> {
        let (name, content) = (name.as_ref().to_owned(), content.as_ref().to_owned());
        self.on_thread(move |workspace| workspace.write(&name, &content, OpenMode::WRITE)).await
    }

    /// Writes a value as JSON, as [`write`](Self::write) does.
    ///
    /// # Errors
    /// As [`write`](Self::write), and [`FileErrorKind::Other`] for what is not JSON.
    pub async fn write_json(
        &self,
        name: impl AsRef<Path>,
        value: impl Serialize,
    ) -> Result<PathBuf, FileError> {
        let name = name.as_ref();
        self.write(name, to_json(&value, name)?).await
    }

    /// Opens a file. For writing, the directories it lies in are made.
    ///
    /// # Errors
    /// [`FileErrorKind::NotFound`] when it is not there and the mode does not make it.
    pub async fn open(&self, name: impl AsRef<Path>, mode: OpenMode) -> Result<tokio::fs::File, FileError> {
        let name = name.as_ref().to_owned();
        let file = self.on_thread(move |workspace| workspace.open(&name, mode)).await?;
        Ok(tokio::fs::File::from_std(file))
    }

    /// The names of what is in the directory itself, in alphabetical order: files and directories.
    ///
    /// # Errors
    /// As [`path_to`](Self::path_to).
    pub async fn list(&self) -> Result<Vec<String>, FileError> {
        self.on_thread(Workspace::list).await
    }

    /// Whether there is a file or a directory of this name.
    ///
    /// # Errors
    /// [`FileErrorKind::Forbidden`] for a name that leads out.
    pub async fn exists(&self, name: impl AsRef<Path>) -> Result<bool, FileError> {
        let name = name.as_ref().to_owned();
        self.on_thread(move |workspace| workspace.exists(&name)).await
    }

    /// Uploads a file now, and gives its address: `s3://<S3_DEFAULT_BUCKET>/<task_id>/<name>`. A path in the handler's
    /// data needs no call: it is uploaded by itself.
    ///
    /// # Errors
    /// [`FileErrorKind::NoStorage`] without `S3_ENDPOINT_URL`; [`FileErrorKind::Denied`], [`FileErrorKind::NoObject`] (no
    /// such bucket), [`FileErrorKind::Unavailable`].
    pub async fn upload_file(&self, name: impl AsRef<Path>) -> Result<String, FileError> {
        self.upload(name.as_ref(), false).await
    }

    /// As [`upload_file`](Self::upload_file), all files of a directory; the address ends in `/`. An empty name is all of
    /// the task's.
    ///
    /// # Errors
    /// As [`upload_file`](Self::upload_file).
    pub async fn upload_dir(&self, name: impl AsRef<Path>) -> Result<String, FileError> {
        self.upload(name.as_ref(), true).await
    }

    /// Downloads an object, or for an address that ends in `/` all objects below it, to a name within the directory,
    /// and gives the full path. What is there under the name is an error.
    ///
    /// # Errors
    /// [`FileErrorKind::NoStorage`] without `S3_ENDPOINT_URL`; [`FileErrorKind::NoObject`], [`FileErrorKind::Denied`],
    /// [`FileErrorKind::Unavailable`]; [`FileErrorKind::Unusable`] for what is no address.
    pub async fn download_file(&self, uri: &str, name: impl AsRef<Path>) -> Result<PathBuf, FileError> {
        let at = self.storage()?.locate(uri)?;
        let name = name.as_ref().to_owned();
        let (path, below) = self
            .on_thread(move |workspace| {
                let (made, below) = workspace.resolve(&name)?;
                Ok((made.path.join(&below), below))
            })
            .await?;
        self.fetch(&at, &below, &[]).await?;
        Ok(path)
    }

    /// The same methods for handlers that block.
    pub fn blocking(&self) -> BlockingTaskFiles {
        BlockingTaskFiles::new(self.clone())
    }
}

impl TaskFiles {
    pub(super) fn workspace(&self) -> &Workspace {
        &self.0.workspace
    }

    /// What was fetched for the parameter that says this.
    pub(super) fn input(&self, path: &str) -> Option<Input> {
        self.0.inputs.get()?.get(path).copied()
    }

    /// Remembers what was fetched.
    pub(super) fn set_inputs(&self, inputs: BTreeMap<String, Input>) {
        // Parameters are fetched once.
        let _ = self.0.inputs.set(inputs);
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    pub(super) fn storage(&self) -> Result<&super::Storage, FileError> {
        self.0.files.storage.as_ref().ok_or_else(|| {
            FileError::new(FileErrorKind::NoStorage, "there is no storage: `S3_ENDPOINT_URL` is not set")
        })
    }

    /// The paths of `TASK_FILES_DIR`.
    pub(super) fn root_paths(&self) -> Vec<PathBuf> {
        self.0.files.root.paths()
    }

    pub(super) fn has_storage(&self) -> bool {
        self.0.files.storage.is_some()
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.0.files.traffic
    }

    /// Counts bytes that came.
    pub(super) fn came(&self, bytes: usize) {
        self.0.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        self.traffic().came(bytes);
    }

    /// Counts bytes that are about to go.
    pub(super) fn went(&self, bytes: usize) {
        self.0.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        self.traffic().went(bytes);
    }

    /// How many that were so far.
    pub(super) fn moved(&self) -> u64 {
        self.0.moved.load(Ordering::Relaxed)
    }

    /// The right to transfer something, of which so many bytes are to be in memory.
    pub(super) async fn turn(&self, bytes: u64) -> Turn {
        self.0.files.transfers.turn(self.0.who, bytes.div_ceil(PIECE as u64) as usize).await
    }

    pub(super) fn buffers(&self) -> &Buffers {
        &self.0.files.buffers
    }

    /// Where a file of the task's goes.
    pub(super) fn destination(&self, below: &Path) -> Result<Location, FileError> {
        let made = self.workspace().made()?;
        let unusable = || {
            let message = format!("the name `{}` is no text, and cannot be a key", shown(below));
            FileError::new(FileErrorKind::Unusable, message)
        };
        let below = below.to_str().ok_or_else(unusable)?;
        self.storage()?.destination(&format!("{}/{below}", made.name))
    }

    /// Does what blocks on a thread.
    pub(super) async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Workspace) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, FileError> {
        let files = self.clone();
        let done = self.0.runtime.spawn_blocking(logged(move || work(files.workspace()))).await;
        done.unwrap_or_else(|error| {
            Err(FileError::new(FileErrorKind::Other, "the thread for the file was lost").because(error))
        })
    }

    /// Does what blocks on a thread, and nobody waits for but the end of the worker.
    pub(super) fn afterwards(&self, work: impl FnOnce(&Workspace) + Send + 'static) {
        let files = self.clone();
        let work = logged(move || work(files.workspace()));
        self.0.files.afterwards.spawn_blocking_on(work, &self.0.runtime);
    }

    /// Does what nobody waits for but the end of the worker.
    pub(super) fn finish_later(&self, work: impl Future<Output = ()> + Send + 'static) {
        let work = work.in_current_span().with_current_subscriber();
        self.0.files.afterwards.spawn_on(work, &self.0.runtime);
    }

    /// What the cache keeps.
    pub(super) async fn cached(&self, key: Option<&CacheKey>) -> Result<Option<File>, FileError> {
        let (Some(cache), Some(key)) = (self.0.files.cache.clone(), key.cloned()) else { return Ok(None) };
        self.on_thread(move |_| {
            Ok(cache.find(&key).unwrap_or_else(|error| {
                not_readable(&error);
                None
            }))
        })
        .await
    }

    /// Copies what the cache keeps into the directory, if it still has this size.
    pub(super) async fn copy_cached(
        &self,
        mut kept: File,
        size: u64,
        below: &Path,
    ) -> Result<bool, FileError> {
        let below = below.to_owned();
        self.on_thread(move |workspace| {
            let (part, mut file) = workspace.new_part()?;
            let copied = match std::io::copy(&mut kept, &mut file) {
                Ok(copied) if copied == size => workspace.name_part(&part, &below).map(|()| true),
                Ok(_) => Ok(false),
                Err(error) => {
                    not_readable(&error);
                    Ok(false)
                }
            };
            if !matches!(copied, Ok(true)) {
                workspace.remove_part(&part);
            }
            copied
        })
        .await
    }

    /// Keeps what was fetched. That it cannot be kept is no reason to fail.
    pub(super) async fn keep_in_cache(&self, key: Option<CacheKey>, below: PathBuf) {
        let (Some(cache), Some(key)) = (self.0.files.cache.clone(), key) else { return };
        let kept = self.on_thread(move |workspace| {
            let file = workspace.open_below(&below, OpenMode::READ)?;
            cache.keep(&key, file).map_err(|error| FileError::io("keep", &below, error))
        });
        if let Err(error) = kept.await {
            tracing::warn!(error = %error.to_task_error(), "an object cannot be kept in the cache (`WORKER_BLOB_CACHE_DIR`)");
        }
    }

    /// What has to be there until the task's result is safe; None where nothing was made.
    pub(crate) fn belongings(&self) -> Option<Belongings> {
        self.workspace().existing().map(|_| Belongings(Arc::new(Remove(self.clone()))))
    }

    async fn upload(&self, name: &Path, is_directory: bool) -> Result<String, FileError> {
        self.storage()?;
        let name = name.to_owned();
        let (below, entry) = self
            .on_thread(move |workspace| {
                let (below, entry) = if is_directory {
                    workspace.resolve_directory(&name)?
                } else {
                    let (_, below) = workspace.resolve(&name)?;
                    let entry = workspace.entry(&below)?;
                    (below, entry)
                };
                let entry = entry.ok_or_else(|| {
                    FileError::new(FileErrorKind::NotFound, format!("there is no `{}`", shown(&below)))
                })?;
                if is_directory != (entry == super::workspace::Entry::Directory) {
                    let (is, expected) = if is_directory { ("no", "a directory") } else { ("a", "a file") };
                    let message = format!("`{}` is {is} directory, expected {expected}", shown(&below));
                    return Err(FileError::new(FileErrorKind::Unusable, message));
                }
                Ok((below, entry))
            })
            .await?;
        Ok(self.send(&below, entry).await?.uri)
    }
}

impl Drop for Remove {
    fn drop(&mut self) {
        self.0.afterwards(remove);
    }
}

impl Drop for Inner {
    /// A thread that nobody waited for, because the task was cancelled, may have made the directory only now, or may have
    /// written to it while it was removed.
    fn drop(&mut self) {
        if self.workspace.is_left() {
            let workspace = self.workspace.clone();
            self.files.afterwards.spawn_blocking_on(logged(move || remove(&workspace)), &self.runtime);
        }
    }
}

fn not_readable(error: &std::io::Error) {
    tracing::warn!(%error, "the cache (`WORKER_BLOB_CACHE_DIR`) cannot be read: the object is fetched");
}

fn remove(workspace: &Workspace) {
    if let Err(error) = workspace.remove() {
        let path = workspace.existing().map(|made| made.path.display().to_string());
        tracing::warn!(path, %error, "the directory of a task cannot be removed");
    }
}

pub(super) fn as_text(content: Vec<u8>, name: &Path) -> Result<String, FileError> {
    String::from_utf8(content).map_err(|error| {
        FileError::new(FileErrorKind::Other, format!("`{}` is not UTF-8", shown(name)))
            .because(error.utf8_error())
    })
}

pub(super) fn from_json<T: DeserializeOwned>(content: &[u8], name: &Path) -> Result<T, FileError> {
    serde_json::from_slice(content).map_err(|error| {
        FileError::new(FileErrorKind::Other, format!("`{}` is not the JSON that was expected", shown(name)))
            .because(error)
    })
}

pub(super) fn to_json(value: &impl Serialize, name: &Path) -> Result<Vec<u8>, FileError> {
    serde_json::to_vec(value).map_err(|error| {
        FileError::new(
            FileErrorKind::Other,
            format!("what was to be written to `{}` is not JSON", shown(name)),
        )
        .because(error)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::WorkerConfig;

    #[tokio::test]
    async fn a_directory_that_was_made_too_late_for_the_result_goes_with_the_last_who_knows_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = WorkerConfig::defaults().task_files_dir(folder.path());
        let files = Arc::new(Files::new(&config, None, Arc::default()));
        let of_task = files.of_task(&rxon::TaskId::received("t-1").expect("an id"));
        assert!(of_task.belongings().is_none());
        let path = of_task.write("a", "x").await.expect("written");
        drop(of_task);
        let gone = async {
            while path.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("it is removed");
    }
}
