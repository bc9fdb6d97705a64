//! The handle for those who change something that is kept.

use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::database::{Changes, Database};
use super::folder::Folder;
use super::table::Table;
use super::writer;

/// A limit for the memory of the rows that wait for the writer, in bytes. Above it, rows of which nobody awaits that they
/// are kept are left out.
const MAX_WAITING: usize = 64 * 1024 * 1024;

/// Takes the rows that change, and says when they are committed. Cloning it is cheap; when the last one is dropped, the
/// writer commits what waits, and ends.
#[derive(Debug, Clone)]
pub(crate) struct Keeper(Arc<Handle>);

#[derive(Debug)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What the keepers share with the writer.
#[derive(Debug)]
pub(super) struct Shared {
    pending: Mutex<Pending>,
    /// Wakes the writer.
    pub(super) handed_over: Condvar,
    /// The number of the last change that was handed over.
    last: AtomicU64,
    pub(super) progress: watch::Sender<Progress>,
    /// The place for the files of the storage.
    files: PathBuf,
}

/// What waits for the writer.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) changes: Changes,
    /// The memory of the changes, in bytes.
    bytes: usize,
    /// Files that no row names once the changes are committed.
    pub(super) files: Vec<PathBuf>,
    /// The number of the last change.
    pub(super) last: u64,
    /// Whether the writer ends when nothing waits any more.
    pub(super) ends: bool,
}

/// How far the writer is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The number of the last change that is committed.
    pub(super) committed: u64,
    /// The number of the last change that could not be committed, with the reason; it is tried again.
    pub(super) failed: Option<(u64, Arc<str>)>,
    pub(super) ended: bool,
}

/// The reason why a change may not survive.
#[derive(Debug, Clone, thiserror::Error)]
#[error("this may be forgotten when the server ends, because the state cannot be written: {0}")]
pub(crate) struct NotKept(Arc<str>);

impl Keeper {
    /// Starts the writer.
    pub(super) fn start(database: Database, folder: Folder) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            handed_over: Condvar::new(),
            last: AtomicU64::new(0),
            progress: watch::Sender::new(Progress::default()),
            files: folder.files(),
        });
        let own = shared.clone();
        std::thread::Builder::new()
            .name("state".to_owned())
            .spawn(move || writer::run(&own, database, folder))?;
        Ok(Self(Arc::new(Handle(shared))))
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }

    /// The directory for the files of the storage.
    pub(crate) fn files(&self) -> &std::path::Path {
        &self.shared().files
    }

    /// Hands changes over. The caller holds the lock on what has changed, so that the order of rows is that of changes.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Batch<'_>)) {
        let mut pending = self.shared().lock();
        change(&mut Batch(&mut pending));
        self.shared().hand_over(pending);
    }

    /// Whether so much waits for the writer that what nobody waits for should not be handed over.
    pub(crate) fn is_crowded(&self) -> bool {
        self.shared().lock().bytes > MAX_WAITING
    }

    /// The number of rows that wait, and their memory in bytes.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize) {
        let pending = self.shared().lock();
        (pending.changes.len(), pending.bytes)
    }

    /// Removes a file as soon as no committed row names it.
    pub(crate) fn remove_file(&self, path: PathBuf) {
        let mut pending = self.shared().lock();
        pending.files.push(path);
        self.shared().hand_over(pending);
    }

    /// Waits until everything that was handed over before this call is committed.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub(crate) async fn kept(&self) -> Result<(), NotKept> {
        let number = self.shared().last.load(Ordering::Acquire);
        if self.shared().progress.borrow().committed >= number {
            return Ok(());
        }
        let mut progress = self.shared().progress.subscribe();
        let decided = progress.wait_for(|progress| {
            let failed = progress.failed.as_ref().is_some_and(|(failed, _)| *failed >= number);
            progress.committed >= number || failed || progress.ended
        });
        // The sender belongs to `self`.
        let Ok(progress) = decided.await else { return Err(NotKept("nothing is written any more".into())) };
        match &progress.failed {
            _ if progress.committed >= number => Ok(()),
            Some((_, reason)) => Err(NotKept(reason.clone())),
            None => Err(NotKept("nothing is written any more".into())),
        }
    }

    /// Waits until an answer may leave. If what has happened cannot be committed, only questions are answered.
    pub(crate) async fn before_answer(&self, asks: bool) -> Result<(), NotKept> {
        match self.kept().await {
            Err(_) if asks => Ok(()),
            kept => kept,
        }
    }

    /// Commits what waits, and ends the writer. Later changes are not kept.
    pub(crate) fn close(&self) {
        self.shared().end();
    }

    /// Waits until the writer has ended.
    pub(crate) async fn closed(&self) {
        // The sender belongs to `self`.
        let _ = self.shared().progress.subscribe().wait_for(|progress| progress.ended).await;
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.lock().ends = true;
        self.handed_over.notify_one();
    }

    fn hand_over(&self, mut pending: MutexGuard<'_, Pending>) {
        pending.last += 1;
        self.last.store(pending.last, Ordering::Release);
        drop(pending);
        self.handed_over.notify_one();
    }
}

/// The changes that are being handed over.
#[derive(Debug)]
pub(crate) struct Batch<'a>(&'a mut Pending);

impl Batch<'_> {
    /// Writes a row.
    pub(crate) fn put(&mut self, table: Table, key: Vec<u8>, value: impl Into<Bytes>) {
        self.0.set(table, key, Some(value.into()));
    }

    /// Writes a row in JSON.
    pub(crate) fn put_json(&mut self, table: Table, key: Vec<u8>, value: &impl serde::Serialize) {
        match serde_json::to_vec(value) {
            Ok(json) => self.put(table, key, json),
            // Our values can always be serialised; the compiler does not know that.
            Err(error) => tracing::error!(%error, ?table, "a row cannot be written"),
        }
    }

    /// Removes a row.
    pub(crate) fn remove(&mut self, table: Table, key: Vec<u8>) {
        self.0.set(table, key, None);
    }

    /// Removes a row that was written once: if it still waits for the writer, nothing waits afterwards.
    pub(crate) fn remove_unchanged(&mut self, table: Table, key: Vec<u8>) {
        if !self.0.take_back(table, &key) {
            self.remove(table, key);
        }
    }
}

impl Pending {
    fn set(&mut self, table: Table, key: Vec<u8>, value: Option<Bytes>) {
        let key_bytes = key.len();
        self.bytes += key_bytes + value.as_ref().map_or(0, Bytes::len);
        if let Some(before) = self.changes.insert((table, key.into()), value) {
            self.bytes -= key_bytes + before.map_or(0, |before| before.len());
        }
    }

    /// Forgets the new value of a row. Returns whether there was one.
    fn take_back(&mut self, table: Table, key: &[u8]) -> bool {
        let Entry::Occupied(entry) = self.changes.entry((table, key.into())) else { return false };
        let Some(value) = entry.get() else { return false };
        self.bytes -= key.len() + value.len();
        entry.remove();
        true
    }

    /// Takes everything that waits.
    pub(super) fn take(&mut self) -> (Changes, Vec<PathBuf>) {
        self.bytes = 0;
        (std::mem::take(&mut self.changes), std::mem::take(&mut self.files))
    }

    /// Puts back what could not be written. What has changed since is newer.
    pub(super) fn put_back(&mut self, changes: Changes, mut files: Vec<PathBuf>) {
        for ((table, key), value) in changes {
            if !self.changes.contains_key(&(table, key.clone())) {
                self.set(table, key.into(), value);
            }
        }
        files.append(&mut self.files);
        self.files = files;
    }
}
