//! Counters of transfers.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of bytes, failures and tasks under way.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    downloaded: Counter,
    uploaded: Counter,
    failed: Counter,
    moving: Gauge,
}

/// Counts a task as moving files until it is dropped.
pub(in crate::files) struct Moving<'a>(&'a Traffic);

impl Traffic {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let counters = [
            ("storage_downloaded_bytes", "Bytes downloaded from the storage", &self.downloaded),
            ("storage_uploaded_bytes", "Bytes uploaded to the storage", &self.uploaded),
            ("storage_failures", "Tasks whose files could not be moved", &self.failed),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("storage_tasks_moving", "Tasks whose files are being moved", self.moving.clone());
    }

    pub(in crate::files) fn add_downloaded(&self, bytes: usize) {
        self.downloaded.inc_by(bytes as u64);
    }

    pub(in crate::files) fn add_uploaded(&self, bytes: usize) {
        self.uploaded.inc_by(bytes as u64);
    }

    pub(in crate::files) fn add_failure(&self) {
        self.failed.inc();
    }

    pub(in crate::files) fn begin(&self) -> Moving<'_> {
        self.moving.inc();
        Moving(self)
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.0.moving.dec();
    }
}
