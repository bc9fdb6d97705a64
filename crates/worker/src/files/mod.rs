//! Files of tasks: a directory for each, and the storage they come from and go to.
//!
//! A handler asks for [`TaskFiles`], or for [`BlockingTaskFiles`] where it blocks. [`InputFile`], [`InputDir`] and
//! [`OutputFile`] say in the types of parameters and data what is a file. `docs/files.md` is the guide.

// Pure: `name` (which names stay within a directory), `json` (which texts are files, and how a text changes when they are
// exchanged), `transfers::shares` (who may transfer next). `root` is `TASK_FILES_DIR`, `workspace` one task's directory in it, `removal` how it goes,
// `storage` is S3. `fetch` and `send` move files, `offload` does it for parameters and data, `cache` keeps what comes again,
// `buffers` is the memory for what is moved.

mod blocking;
mod buffers;
mod cache;
mod error;
mod fetch;
mod json;
mod logged;
mod mode;
mod name;
mod offload;
mod removal;
mod root;
mod send;
mod storage;
mod task;
#[cfg(feature = "testing")]
mod testing;
mod traffic;
mod transfers;
mod typed;
mod workspace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rxon::TaskId;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

pub use self::blocking::BlockingTaskFiles;
use self::buffers::Buffers;
use self::cache::Cache;
pub(crate) use self::error::kind_of;
pub use self::error::{FileError, FileErrorKind};
pub use self::mode::OpenMode;
pub(crate) use self::offload::Metadata;
use self::root::Root;
pub(crate) use self::storage::Storage;
pub(crate) use self::task::Belongings;
pub use self::task::TaskFiles;
pub(crate) use self::traffic::Traffic;
use self::transfers::{Amount, Transfers};
pub(crate) use self::typed::within;
pub use self::typed::{InputDir, InputFile, OutputFile};
use crate::config::WorkerConfig;

/// Transfers at once, of all tasks together.
const PARALLEL: usize = 8;

/// Large objects are moved in parts of this size, several at once.
const PART_SIZE: u64 = 8 << 20;

/// What is in memory while it is moved, of all tasks together: so many pieces of 1 MiB.
const PIECES: usize = 48;

/// What one task may have of it: another can begin at once, with the largest file that is sent whole.
const SHARE: Amount = Amount { places: PARALLEL - 1, pieces: 32 };

/// How long the end of the worker waits for directories to be removed and uploads to be taken back.
const CLOSING_LIMIT: Duration = Duration::from_secs(5);

/// What the tasks of a worker share of files.
#[derive(Debug)]
pub(crate) struct Files {
    root: Arc<Root>,
    storage: Option<Storage>,
    cache: Option<Cache>,
    transfers: Transfers,
    buffers: Buffers,
    traffic: Arc<Traffic>,
    /// What is done after a task: directories are removed, uploads taken back.
    afterwards: TaskTracker,
    tasks: AtomicU64,
}

impl Files {
    pub(crate) fn new(config: &WorkerConfig, storage: Option<Storage>, traffic: Arc<Traffic>) -> Self {
        let owner = config.worker_id.as_ref().map(rxon::WorkerId::as_str);
        let cache = config.worker_blob_cache_dir.clone();
        Self {
            root: Arc::new(Root::new(&config.task_files_dir, owner)),
            storage,
            cache: cache.map(|directory| Cache::new(directory, (config.worker_blob_cache_size as u64) << 20)),
            transfers: Transfers::new(Amount { places: PARALLEL, pieces: PIECES }, SHARE),
            buffers: Buffers::new(PIECES),
            traffic,
            afterwards: TaskTracker::new(),
            tasks: AtomicU64::new(0),
        }
    }

    /// The files of one task. Nothing is made before they are asked for. Called on the runtime that is to move them.
    pub(crate) fn of_task(self: &Arc<Self>, task_id: &TaskId) -> TaskFiles {
        let who = self.tasks.fetch_add(1, Ordering::Relaxed);
        TaskFiles::new(self.clone(), task_id.clone(), who, Handle::current())
    }

    /// Removes what a predecessor that was killed left.
    pub(crate) async fn remove_leftovers(&self) {
        let root = self.root.clone();
        match tokio::task::spawn_blocking(logged::logged(move || root.remove_leftovers())).await {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(directories)) => {
                tracing::info!(
                    directories,
                    "directories of tasks were removed that a worker left which was killed"
                );
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "directories that a worker left which was killed cannot be removed");
            }
        }
    }

    /// Waits until what is done after tasks is done.
    pub(crate) async fn close(&self) {
        self.afterwards.close();
        if tokio::time::timeout(CLOSING_LIMIT, self.afterwards.wait()).await.is_err() {
            tracing::warn!("not every directory of a task could be removed; the next start does it");
        }
    }
}
