//! Files of tasks: a directory for each task, and the storage that its inputs come from and its outputs go to.
//!
//! A handler takes [`TaskFiles`] as an argument, or [`BlockingTaskFiles`] if it blocks. [`InputFile`], [`InputDir`] and
//! [`OutputFile`] mark files in the types of parameters and data. [`StandaloneFiles`] has the same methods outside of a
//! worker. `docs/files.md` is the guide.

// From the bottom up: `error`; `workspace` (one task's directory, blocking); `directory` (the same in async code);
// `storage` (S3); `transfer` (whose transfer is next, memory, cache, counters); `mover` (moves files between a directory
// and the storage); `task` (the handles of users); `Files` (one for each worker); `standalone` (without a worker).

mod directory;
mod error;
mod metadata;
#[cfg(feature = "s3")]
mod mover;
mod settings;
mod standalone;
#[cfg(feature = "s3")]
mod storage;
mod task;
#[cfg(feature = "s3")]
mod transfer;
#[cfg(not(feature = "s3"))]
mod without_s3;
mod workspace;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rxon::limit::within;
pub use rxon::model::FileMetadata;
use rxon::{TaskId, WorkerId};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

pub(crate) use self::directory::DirectoryGuard;
use self::directory::TaskDirectory;
pub use self::error::{FileError, FileErrorKind};
pub(crate) use self::metadata::MetadataByPath;
use self::mover::Mover;
pub(crate) use self::settings::{Cache, StorageSettings};
pub use self::standalone::StandaloneFiles;
pub(crate) use self::storage::Storage;
pub use self::task::TaskFiles;
pub use self::task::blocking::BlockingTaskFiles;
pub(crate) use self::task::typed::read_for_task;
pub use self::task::typed::{InputDir, InputFile, OutputFile};
use self::transfer::TransferResources;
#[cfg(not(feature = "s3"))]
use self::without_s3::{mover, storage, transfer};
pub use self::workspace::mode::OpenMode;
use self::workspace::root::Root;
use crate::threads::with_log_context;

/// The time limit of clean-up that outlives tasks, at the end of the worker.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(5);

/// The files of all tasks of a worker.
#[derive(Debug)]
pub(crate) struct Files {
    root: Arc<Root>,
    /// None without a storage.
    resources: Option<Arc<TransferResources>>,
    /// Clean-up that outlives tasks: removing directories, aborting uploads.
    clean_up: TaskTracker,
}

impl Files {
    /// Registers the counters of transfers. Makes nothing in `directory` (`TASK_FILES_DIR`) yet.
    pub(crate) fn new(
        directory: &Path,
        worker_id: Option<&WorkerId>,
        cache: Option<Cache>,
        storage: Option<Storage>,
        registry: &mut Registry,
    ) -> Self {
        let resources = TransferResources::new(storage, cache, registry).map(Arc::new);
        let root = Arc::new(Root::new(directory, worker_id.map(WorkerId::as_str)));
        Self { root, resources, clean_up: TaskTracker::new() }
    }

    /// Returns the files of one task. Must be called on the runtime that runs the transfers.
    pub(crate) fn of_task(&self, task_id: &TaskId) -> TaskFiles {
        let (root, runtime, clean_up) = (self.root.clone(), Handle::current(), self.clean_up.clone());
        let directory = Arc::new(TaskDirectory::new(root, task_id.clone(), runtime, clean_up));
        let resources = self.resources.clone();
        let mover = resources.map(|resources| Mover::new(directory.clone(), resources));
        TaskFiles::new(directory, mover)
    }

    /// Returns the storage, if there is one.
    #[cfg(all(feature = "s3", feature = "testing"))]
    pub(crate) fn storage(&self) -> Option<&Storage> {
        self.resources.as_ref().map(|resources| &resources.storage)
    }

    /// Removes the directories of predecessors that were killed.
    pub(crate) async fn remove_leftovers(&self) {
        let root = self.root.clone();
        match tokio::task::spawn_blocking(with_log_context(move || root.remove_leftovers())).await {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(directories)) => {
                tracing::info!(directories, "removed the directories of tasks of workers that were killed");
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot remove the directories of tasks of workers that were killed");
            }
        }
    }

    /// Waits for clean-up that outlives tasks, at most 5 seconds.
    pub(crate) async fn close(&self) {
        self.clean_up.close();
        if within(CLEAN_UP_LIMIT, self.clean_up.wait()).await.is_err() {
            tracing::warn!("some directories of tasks could not be removed; the next start removes them");
        }
    }
}
