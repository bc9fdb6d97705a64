//! Files of tasks, as far as all tasks of a worker share them.

use std::sync::Arc;
use std::time::Duration;

use rxon::{TaskId, WorkerId};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::directory::TaskDirectory;
use super::mover::Mover;
use super::settings::FilesSettings;
use super::storage::Storage;
use super::transfer::resources::TransferResources;
use super::transfer::traffic::Traffic;
use super::workspace::root::Root;
use crate::threads::with_log_context;

/// How long the end of the worker waits for clean-up that outlives tasks.
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
    pub(crate) fn new(settings: FilesSettings, storage: Option<Storage>, traffic: Arc<Traffic>) -> Self {
        let owner = settings.worker_id.as_ref().map(WorkerId::as_str);
        let root = Arc::new(Root::new(&settings.directory, owner));
        let cache = settings.cache;
        let resources = storage.map(|storage| Arc::new(TransferResources::new(storage, cache, traffic)));
        Self { root, resources, clean_up: TaskTracker::new() }
    }

    /// Returns the directory of one task, which is not made yet. Must be called on the runtime that runs the transfers.
    pub(super) fn directory(&self, task_id: &TaskId) -> Arc<TaskDirectory> {
        let root = self.root.clone();
        Arc::new(TaskDirectory::new(root, task_id.clone(), Handle::current(), self.clean_up.clone()))
    }

    /// Returns the mover between a task's directory and the storage; None without a storage.
    pub(super) fn mover(&self, directory: &Arc<TaskDirectory>) -> Option<Arc<Mover>> {
        let resources = self.resources.as_ref()?;
        Some(Mover::new(self.root.clone(), directory.clone(), resources.clone()))
    }

    /// The storage; None without one.
    #[cfg(all(feature = "s3", feature = "testing"))]
    pub(crate) fn storage(&self) -> Option<&Storage> {
        self.resources.as_ref().map(|resources| &resources.storage)
    }

    /// The number of pieces of memory that no transfer uses.
    #[cfg(all(test, feature = "s3"))]
    pub(super) fn idle_pieces(&self) -> usize {
        self.resources.as_ref().map_or(0, |resources| resources.buffers.idle())
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
        if tokio::time::timeout(CLEAN_UP_LIMIT, self.clean_up.wait()).await.is_err() {
            tracing::warn!("some directories of tasks could not be removed; the next start removes them");
        }
    }
}
