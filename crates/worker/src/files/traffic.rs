//! What is counted of transfers.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Bytes that came and went, files, failures.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    downloaded: Counter,
    uploaded: Counter,
    failed: Counter,
    under_way: Gauge,
}

/// Something is being moved for a task, until it is dropped.
pub(super) struct UnderWay<'a>(&'a Traffic);

impl Traffic {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let counters = [
            ("storage_downloaded_bytes", "Bytes that came from the storage", &self.downloaded),
            ("storage_uploaded_bytes", "Bytes that went to the storage", &self.uploaded),
            ("storage_failures", "Tasks whose files could not be moved", &self.failed),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "storage_tasks_moving",
            "Tasks whose files are being moved",
            self.under_way.clone(),
        );
    }

    pub(super) fn came(&self, bytes: usize) {
        self.downloaded.inc_by(bytes as u64);
    }

    pub(super) fn went(&self, bytes: usize) {
        self.uploaded.inc_by(bytes as u64);
    }

    pub(super) fn failed(&self) {
        self.failed.inc();
    }

    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.under_way.inc();
        UnderWay(self)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.dec();
    }
}
