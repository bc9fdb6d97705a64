//! Keeping results and running tasks on disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rxon::TaskId;
use rxon::model::{Generation, Task};

use super::Delivery;
use crate::delivery::outbox::OutboxEntry;
use crate::delivery::record::{BegunTask, Key, Record, TaskKey, unix_millis};
use crate::delivery::spool::{OpenedSpool, Spool};
use crate::threads::lock;

impl Delivery {
    /// Keeps results on disk from now on. Those that are there already wait until [`release`](Self::release).
    fn keep_in(&self, spool: Arc<Spool>, results: Vec<(Key, Record)>) {
        // Set once, before anything runs.
        let _ = self.spool.set(spool);
        let resends = lock(&self.state).outbox.settings.resend_ambiguous;
        let (ambiguous, results): (Vec<_>, Vec<_>) =
            results.into_iter().partition(|(_, record)| record.is_in_flight && !resends);
        for (key, record) in ambiguous {
            tracing::error!(
                task_id = %record.task_id.shown(), job_id = %record.job_id.shown(), orchestrator = %self.peer.name,
                "the result is given up: it was being sent when the process died, and must not be sent twice"
            );
            let why = "the orchestrator may have received it before the process died";
            self.unstore_as_rejected(Some(key), why.to_owned());
        }
        if results.is_empty() {
            return;
        }
        tracing::info!(
            orchestrator = %self.peer.name, results = results.len(),
            "results of an earlier run are offered again"
        );
        let is_newer = results.iter().any(|(_, record)| record.newer);
        self.peer.assume_generation(if is_newer { Generation::Newer } else { Generation::Older });
        let at = unix_millis();
        self.change(|state, now| {
            state.outbox.is_held = true;
            for (key, record) in results {
                state.recent.remember(record.task_id.clone(), record.body.clone(), now);
                let age = Duration::from_millis(at.saturating_sub(record.since));
                let entry = OutboxEntry {
                    is_replacement: record.is_replacement,
                    stored: Some(key),
                    ..OutboxEntry::new(record.task_id, record.job_id, record.body)
                };
                state.outbox.restore(entry, age, now);
            }
        });
    }

    /// Offers the results of an earlier run.
    pub(crate) fn release(&self) {
        self.change(|state, _| state.outbox.is_held = false);
    }

    /// Records a task that was accepted and waits, or is about to start. Returns when the record would survive the process.
    pub(crate) async fn record_task(&self, task: &Task, started: bool) {
        let Some(spool) = self.spool.get() else { return };
        let begun = BegunTask {
            job_id: task.job_id.clone(),
            name: task.name.clone(),
            started,
            newer: self.peer.generation().is_newer(),
        };
        let task = self.task_key(&task.task_id);
        // Boxed, like the other waits for the disk: the futures of all tasks would have room for them.
        Box::pin(spool.change_durably(|ledger| ledger.tasks.insert(task, begun))).await;
    }

    /// Records a try of a result that must not be sent twice, to an orchestrator that could not tell: the next process has
    /// to know that it may have been sent.
    pub(crate) async fn begin_try(&self, entry: &OutboxEntry, generation: Generation) {
        let Some((spool, key)) = self.spool.get().zip(entry.stored) else { return };
        if !generation.recognises_repeats() && !lock(&self.state).outbox.settings.resend_ambiguous {
            Box::pin(spool.change_durably(|ledger| ledger.set_in_flight(key, true))).await;
        }
    }

    /// Records that a task has no result.
    pub(crate) fn abandon(&self, task_id: &TaskId) {
        if let Some(spool) = self.spool.get() {
            spool.change(|ledger| drop(ledger.tasks.remove(&self.task_key(task_id))));
        }
    }

    /// Writes a result to disk, if results are kept there. Returns its number when it would survive the process.
    pub(crate) async fn store(&self, entry: &OutboxEntry) -> Option<Key> {
        let spool = self.spool.get()?;
        let record = self.record(entry, entry.body.clone());
        Some(Box::pin(spool.change_durably(|ledger| ledger.finish(record))).await)
    }

    /// Replaces a refused result by a failure.
    pub(super) fn store_instead(&self, entry: &OutboxEntry, body: Bytes, why: String) -> Option<Key> {
        let (spool, key) = self.spool.get().zip(entry.stored)?;
        let record = Record { is_replacement: true, ..self.record(entry, body) };
        Some(spool.change(|ledger| ledger.replace(key, why, unix_millis(), record)))
    }

    pub(crate) fn unstore(&self, stored: Option<Key>) {
        if let Some((spool, key)) = self.spool.get().zip(stored) {
            spool.change(|ledger| drop(ledger.remove(key)));
        }
    }

    pub(super) fn unstore_as_rejected(&self, stored: Option<Key>, why: String) {
        if let Some((spool, key)) = self.spool.get().zip(stored) {
            spool.reject(key, why);
        }
    }

    /// The tasks whose results are not acknowledged, in two lists: the results are lost with the process, or on disk.
    pub(crate) fn left_over(&self) -> (Vec<TaskId>, Vec<TaskId>) {
        let (mut lost, mut kept) = (Vec::new(), Vec::new());
        for (task_id, key) in lock(&self.state).outbox.left_over() {
            let is_kept = self.spool.get().zip(key).is_some_and(|(spool, key)| spool.is_written(key));
            if is_kept { &mut kept } else { &mut lost }.push(task_id.clone());
        }
        (lost, kept)
    }

    /// Whether results would survive the process now; `None` if they are not kept on disk.
    pub(crate) fn is_on_disk(&self) -> Option<bool> {
        self.spool.get().map(|spool| spool.is_well())
    }

    fn task_key(&self, task_id: &TaskId) -> TaskKey {
        TaskKey { orchestrator: self.peer.name.clone(), task_id: task_id.clone() }
    }

    fn record(&self, entry: &OutboxEntry, body: Bytes) -> Record {
        Record {
            orchestrator: self.peer.name.clone(),
            job_id: entry.job_id.clone(),
            task_id: entry.task_id.clone(),
            since: unix_millis(),
            newer: self.peer.generation().is_newer(),
            is_replacement: entry.is_replacement,
            is_in_flight: false,
            body,
        }
    }
}

/// Gives each orchestrator the results on disk that are for it. Results for others stay in the file until their
/// orchestrator is configured again, or until they are too old.
pub(crate) fn distribute(
    (spool, results): OpenedSpool,
    deliveries: &[Arc<Delivery>],
    max_age: Duration,
) -> Arc<Spool> {
    let mut by_orchestrator: BTreeMap<Arc<str>, Vec<(Key, Record)>> = BTreeMap::new();
    for (key, record) in results {
        by_orchestrator.entry(record.orchestrator.clone()).or_default().push((key, record));
    }
    for delivery in deliveries {
        let own = delivery.peer.names().filter_map(|name| by_orchestrator.remove(name)).flatten().collect();
        delivery.keep_in(spool.clone(), own);
        if delivery.unacknowledged() > 0 {
            delivery.start_senders();
        }
    }
    for (orchestrator, results) in by_orchestrator {
        leave(&spool, &orchestrator, results, max_age);
    }
    spool
}

/// Leaves the results for an orchestrator that is not configured in the file, and gives up those that are too old.
fn leave(spool: &Spool, orchestrator: &str, results: Vec<(Key, Record)>, max_age: Duration) {
    let now = unix_millis();
    let is_old = |record: &Record| Duration::from_millis(now.saturating_sub(record.since)) >= max_age;
    let (old, kept): (Vec<_>, Vec<_>) = results.into_iter().partition(|(_, record)| is_old(record));
    for (key, record) in &old {
        tracing::error!(
            task_id = %record.task_id.shown(), job_id = %record.job_id.shown(), orchestrator,
            "the result is given up: it is too old, and its orchestrator is not configured"
        );
        spool.reject(*key, "its orchestrator was not configured within `WORKER_RESULT_MAX_AGE`".to_owned());
    }
    if !kept.is_empty() {
        tracing::warn!(
            orchestrator,
            results = kept.len(),
            "results on disk are for an orchestrator that is not configured: they are kept until it is, or until \
             `WORKER_RESULT_MAX_AGE`"
        );
    }
    for (key, _) in kept {
        spool.change(|ledger| ledger.leave_in_file(key));
    }
}
