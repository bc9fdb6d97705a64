//! The results of one orchestrator, and the room for them. Pure.

use crate::delivery::outbox::Outbox;
use crate::delivery::recent::Recent;

/// The number of unacknowledged results beyond which no further task is asked for; several orchestrators share it.
pub(super) const MAX_RESULTS: usize = 10_000;

/// The size of unacknowledged results in bytes, likewise.
pub(super) const MAX_BYTES: usize = 256 << 20;

/// The results of one orchestrator: all of it changes at once.
#[derive(Debug)]
pub(crate) struct DeskState {
    pub(crate) outbox: Outbox,
    pub(crate) recent: Recent,
    /// The lack of room was logged.
    is_full: bool,
}

/// A change of the room for results, for the log.
#[derive(Debug)]
pub(super) struct RoomChange {
    pub(super) is_full: bool,
    pub(super) results: usize,
    pub(super) bytes: usize,
    pub(super) max_results: usize,
    pub(super) max_bytes: usize,
}

impl DeskState {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self { recent: Recent::new(outbox.settings.sharers), outbox, is_full: false }
    }

    fn limits(&self) -> (usize, usize) {
        let sharers = self.outbox.settings.sharers;
        (MAX_RESULTS / sharers, MAX_BYTES / sharers)
    }

    pub(super) fn has_room(&self) -> bool {
        let (max_results, max_bytes) = self.limits();
        self.outbox.len() < max_results && self.outbox.bytes < max_bytes
    }

    /// Returns the change of the room that is worth a log line. Where each result that goes is followed by another there
    /// is hardly ever room: a tenth of it has to be free before there is room again.
    pub(super) fn take_room_change(&mut self) -> Option<RoomChange> {
        let (max_results, max_bytes) = self.limits();
        let (results, bytes) = (self.outbox.len(), self.outbox.bytes);
        let is_full = if self.is_full {
            results > max_results / 10 * 9 || bytes > max_bytes / 10 * 9
        } else {
            !self.has_room()
        };
        let has_changed = std::mem::replace(&mut self.is_full, is_full) != is_full;
        has_changed.then_some(RoomChange { is_full, results, bytes, max_results, max_bytes })
    }
}
