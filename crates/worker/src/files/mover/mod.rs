//! The mover of files between a task's directory and the storage.

mod checks;
mod fetch;
mod json;
mod objects;
mod offload;
mod send;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use rxon::ErrorChain;

use super::directory::TaskDirectory;
use super::error::{FileError, shown};
use super::storage::Location;
use super::transfer::buffers::PIECE;
use super::transfer::shares::TaskNumber;
use super::transfer::turns::Turn;
use super::transfer::{CacheKey, TransferResources};
use super::workspace::mode::OpenMode;

/// The size of the parts of large objects. Several are moved at once.
const PART_SIZE: u64 = 8 << 20;

/// Moves the files of one task between its directory and the storage.
#[derive(Debug)]
pub(super) struct Mover {
    directory: Arc<TaskDirectory>,
    resources: Arc<TransferResources>,
    task: TaskNumber,
    /// The number of bytes moved so far.
    moved: AtomicU64,
}

impl Mover {
    pub(super) fn new(directory: Arc<TaskDirectory>, resources: Arc<TransferResources>) -> Self {
        let task = resources.next_task();
        Self { directory, resources, task, moved: AtomicU64::new(0) }
    }

    /// Counts bytes that were downloaded, or are about to be uploaded.
    fn count(&self, counter: &Counter, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        counter.inc_by(bytes as u64);
    }

    /// Returns the given turn, or waits for the turn of a transfer that keeps this many bytes in memory.
    async fn turn(&self, given: Option<Turn>, bytes: u64) -> Turn {
        match given {
            Some(turn) => turn,
            None => self.resources.transfers.turn(self.task, bytes.div_ceil(PIECE as u64) as usize).await,
        }
    }

    /// Returns the given turn, or waits for one, as the turn of a part that keeps this many bytes in memory.
    async fn part_turn(&self, given: Option<Turn>, bytes: u64) -> Turn {
        match given {
            Some(Turn { place, memory }) => Turn { place: place.into_part(), memory },
            None => self.resources.transfers.part(self.task, bytes.div_ceil(PIECE as u64) as usize).await,
        }
    }

    /// Returns the location for the upload of a file of the task.
    fn destination(&self, below: &Path) -> Result<Location, FileError> {
        let made = self.directory.workspace.made()?;
        let below = below.to_str().ok_or_else(|| {
            FileError::unusable(format!("the name `{}` is not UTF-8, and cannot be a key", shown(below)))
        })?;
        let key = if made.name.is_empty() { below.to_owned() } else { format!("{}/{below}", made.name) };
        self.resources.storage.destination(&key)
    }

    /// Opens the file in the cache.
    async fn cached(&self, key: Option<&CacheKey>) -> Result<Option<File>, FileError> {
        let (Some(cache), Some(key)) = (self.resources.cache.clone(), key.cloned()) else { return Ok(None) };
        let found = self.directory.on_thread(move |_| {
            Ok(cache.find(&key).unwrap_or_else(|error| {
                warn_of_unreadable_cache(&error);
                None
            }))
        });
        found.await
    }

    /// Copies a cached file into the directory. Returns false if it cannot be read or has another size.
    async fn copy_cached(
        &self,
        mut cached: File,
        size: u64,
        below: &Path,
        replaces: bool,
    ) -> Result<bool, FileError> {
        let below = below.to_owned();
        let copied = self.directory.on_thread(move |workspace| {
            let (part, mut file) = workspace.new_part()?;
            let copied = match std::io::copy(&mut cached, &mut file) {
                Ok(copied) if copied == size => workspace.name_part(&part, &below, replaces).map(|()| true),
                Ok(_) => Ok(false),
                Err(error) => {
                    warn_of_unreadable_cache(&error);
                    Ok(false)
                }
            };
            if !matches!(copied, Ok(true)) {
                workspace.remove_part(&part);
            }
            copied
        });
        copied.await
    }

    /// Adds a fetched file to the cache. A failure is logged, and does not fail the task.
    async fn add_to_cache(&self, key: Option<CacheKey>, below: PathBuf) {
        let (Some(cache), Some(key)) = (self.resources.cache.clone(), key) else { return };
        let added = self.directory.on_thread(move |workspace| {
            let file = workspace.open_below(&below, OpenMode::READ)?;
            cache.keep(&key, file).map_err(|error| FileError::io("cache", &below, error))
        });
        if let Err(error) = added.await {
            tracing::warn!(error = %ErrorChain(&error), "an object cannot be added to the cache (`WORKER_BLOB_CACHE_DIR`)");
        }
    }
}

/// Runs the function on drop, unless it is taken out before.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

fn warn_of_unreadable_cache(error: &std::io::Error) {
    tracing::warn!(%error, "the cache (`WORKER_BLOB_CACHE_DIR`) cannot be read: the object is fetched");
}
