//! The stand-in for results on disk without the feature `durable`: a [`Spool`] cannot be opened, so that none exists.

use std::path::PathBuf;
use std::sync::Arc;

use rxon::WorkerId;

use super::record::{BegunTask, Key, Record, TaskKey};

/// The reason why results cannot be kept on disk.
#[derive(Debug, thiserror::Error)]
#[error("`WORKER_OUTBOX_DIR` needs the feature `durable` of the crate `avtomatika-worker`")]
pub(crate) struct SpoolError;

/// Results on disk, which do not exist.
#[derive(Debug)]
pub(crate) enum Spool {}

/// A spool, and the results that were in its file.
pub(crate) type OpenedSpool = (Arc<Spool>, Vec<(Key, Record)>);

impl Spool {
    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(crate) async fn open(folder: PathBuf, _: &WorkerId) -> Result<OpenedSpool, (PathBuf, SpoolError)> {
        Err((folder, SpoolError))
    }

    pub(crate) async fn begin(&self, _: TaskKey, _: BegunTask) {
        match *self {}
    }

    pub(crate) async fn keep(&self, _: Record) -> Key {
        match *self {}
    }

    pub(crate) fn end(&self, _: TaskKey) {
        match *self {}
    }

    pub(crate) async fn begin_try(&self, _: Key) {
        match *self {}
    }

    pub(crate) fn end_try(&self, _: Key) {
        match *self {}
    }

    pub(crate) fn remove(&self, _: Key) {
        match *self {}
    }

    pub(crate) fn reject(&self, _: Key, _: &str) {
        match *self {}
    }

    pub(crate) fn replace(&self, _: Key, _: &str, _: Record) -> Key {
        match *self {}
    }

    pub(crate) fn leave(&self, _: Key) {
        match *self {}
    }

    pub(crate) fn is_written(&self, _: Key) -> bool {
        match *self {}
    }

    pub(crate) fn is_well(&self) -> bool {
        match *self {}
    }

    pub(crate) async fn close(&self) {
        match *self {}
    }
}
