//! The resources for transfers that all tasks of a worker share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::buffers::Buffers;
use super::cache::Cache;
use super::shares::{Amount, TaskNumber};
use super::traffic::Traffic;
use super::turns::Transfers;
use crate::files::settings::CacheSettings;
use crate::files::storage::Storage;

/// The most transfers at once, of all tasks together.
pub(in crate::files) const MAX_TRANSFERS: usize = 8;

/// The most memory for transfers of all tasks together, in pieces of 1 MiB.
const MAX_PIECES: usize = 48;

/// The most that one task may have of both. The rest lets another task begin at once, even with the largest file that is
/// sent whole.
pub(in crate::files) const MAX_OF_TASK: Amount = Amount { places: MAX_TRANSFERS - 1, pieces: 32 };

/// The storage, and the resources for transfers that all tasks of a worker share.
#[derive(Debug)]
pub(in crate::files) struct TransferResources {
    pub(in crate::files) storage: Storage,
    pub(in crate::files) cache: Option<Cache>,
    pub(in crate::files) transfers: Transfers,
    pub(in crate::files) buffers: Buffers,
    pub(in crate::files) traffic: Arc<Traffic>,
    tasks: AtomicU64,
}

impl TransferResources {
    pub(in crate::files) fn new(
        storage: Storage,
        cache: Option<CacheSettings>,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self {
            storage,
            cache: cache.map(|cache| Cache::new(cache.directory, cache.limit)),
            transfers: Transfers::new(Amount { places: MAX_TRANSFERS, pieces: MAX_PIECES }, MAX_OF_TASK),
            buffers: Buffers::new(MAX_PIECES),
            traffic,
            tasks: AtomicU64::new(0),
        }
    }

    /// Returns a number that no other task has.
    pub(in crate::files) fn next_task(&self) -> TaskNumber {
        TaskNumber(self.tasks.fetch_add(1, Ordering::Relaxed))
    }
}
