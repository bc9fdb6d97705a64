//! The results of one orchestrator, and the room for them. Pure.

use rxon::TaskId;
use tokio::time::Instant;

use crate::delivery::outbox::{Id, Outbox, OutboxEntry, Reply, Verdict};
use crate::delivery::recent::Recent;

/// The number of unacknowledged results beyond which no further task is asked for; several orchestrators share it.
pub(super) const MAX_RESULTS: usize = 10_000;

/// The size of unacknowledged results in bytes, likewise.
pub(super) const MAX_BYTES: usize = 256 << 20;

/// The results of one orchestrator: all of it changes at once.
#[derive(Debug)]
pub(crate) struct DeskState {
    pub(crate) outbox: Outbox,
    pub(super) recent: Recent,
    /// The number of orchestrators that share the limits.
    sharers: usize,
    /// The lack of room was logged.
    is_full: bool,
}

/// A change of the room for results, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoomChange {
    pub(super) is_full: bool,
    pub(super) results: usize,
    pub(super) bytes: usize,
    pub(super) max_results: usize,
    pub(super) max_bytes: usize,
}

impl DeskState {
    pub(super) fn new(outbox: Outbox, sharers: usize) -> Self {
        Self { outbox, recent: Recent::new(sharers), sharers, is_full: false }
    }

    fn limits(&self) -> (usize, usize) {
        (MAX_RESULTS / self.sharers, MAX_BYTES / self.sharers)
    }

    pub(super) fn has_room(&self) -> bool {
        let (max_results, max_bytes) = self.limits();
        self.outbox.len() < max_results && self.outbox.bytes() < max_bytes
    }

    /// Returns the change of the room that is worth a log line. Where each result that goes is followed by another there
    /// is hardly ever room: a tenth of it has to be free before there is room again.
    pub(super) fn take_room_change(&mut self) -> Option<RoomChange> {
        let (max_results, max_bytes) = self.limits();
        let (results, bytes) = (self.outbox.len(), self.outbox.bytes());
        let is_full = if self.is_full {
            results > max_results / 10 * 9 || bytes > max_bytes / 10 * 9
        } else {
            !self.has_room()
        };
        let has_changed = std::mem::replace(&mut self.is_full, is_full) != is_full;
        has_changed.then_some(RoomChange { is_full, results, bytes, max_results, max_bytes })
    }

    /// Adds a result that was handed in.
    pub(super) fn add(&mut self, entry: OutboxEntry, now: Instant) {
        self.recent.remember(entry.task_id.clone(), entry.body.clone(), now);
        self.outbox.push(entry, now);
    }

    /// Ends a try with this reply, and returns the verdict.
    pub(super) fn on_reply(&mut self, id: Id, task_id: &TaskId, reply: &Reply, now: Instant) -> Verdict {
        let verdict = self.outbox.on_reply(id, reply, now);
        if let Verdict::Acknowledged | Verdict::Ignored(_) = verdict {
            self.recent.acknowledge(task_id);
        }
        verdict
    }
}
