//! The limits on transfers, and what they need: turns, memory, cache, counters.

pub(super) mod buffers;
mod cache;
pub(super) mod names;
mod parts;
pub(super) mod shares;
pub(super) mod turns;

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use self::buffers::Buffers;
pub(super) use self::cache::CacheKey;
use self::names::EarlierNames;
use self::shares::{Amount, TaskNumber};
use self::turns::Transfers;
use super::settings::Cache;
use super::storage::Storage;

/// The most transfers at once, of all tasks together.
pub(super) const MAX_TRANSFERS: usize = 8;

/// The most memory for transfers of all tasks together, in pieces of 1 MiB.
const MAX_PIECES: usize = 48;

/// The most that one task may have of both. The rest lets another task begin at once, even with the largest file that is
/// sent whole.
pub(super) const MAX_OF_TASK: Amount = Amount { places: MAX_TRANSFERS - 1, pieces: 32 };

/// The storage, and the resources for transfers that all tasks of a worker share.
#[derive(Debug)]
pub(super) struct TransferResources {
    pub(super) storage: Storage,
    pub(super) cache: Option<Cache>,
    pub(super) transfers: Transfers,
    pub(super) buffers: Buffers,
    pub(super) traffic: Traffic,
    pub(super) earlier_names: EarlierNames,
    tasks: AtomicU64,
}

/// Counters of bytes, failures and tasks under way.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) downloaded: Counter,
    pub(super) uploaded: Counter,
    pub(super) failed: Counter,
    pub(super) moving: Gauge,
}

impl TransferResources {
    /// Registers the counters. Returns None without a storage.
    pub(super) fn new(
        storage: Option<Storage>,
        cache: Option<Cache>,
        registry: &mut Registry,
    ) -> Option<Self> {
        let traffic = Traffic::default();
        let Traffic { downloaded, uploaded, failed, moving } = &traffic;
        registry.register(
            "storage_downloaded_bytes",
            "Bytes downloaded from the storage",
            downloaded.clone(),
        );
        registry.register("storage_uploaded_bytes", "Bytes uploaded to the storage", uploaded.clone());
        registry.register("storage_failures", "Tasks whose files could not be moved", failed.clone());
        registry.register("storage_tasks_moving", "Tasks whose files are being moved", moving.clone());
        Some(Self {
            storage: storage?,
            cache,
            transfers: Transfers::new(Amount { places: MAX_TRANSFERS, pieces: MAX_PIECES }, MAX_OF_TASK),
            buffers: Buffers::new(MAX_PIECES),
            traffic,
            earlier_names: EarlierNames::default(),
            tasks: AtomicU64::new(0),
        })
    }

    /// Returns a number that no other task has.
    pub(super) fn next_task(&self) -> TaskNumber {
        TaskNumber(self.tasks.fetch_add(1, Ordering::Relaxed))
    }
}
