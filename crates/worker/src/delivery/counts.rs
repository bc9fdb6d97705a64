//! The counts of results.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The counters of results for all orchestrators.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeliveryCounts(Family<Vec<(&'static str, String)>, Counter>);

/// The counters of results for one orchestrator.
#[derive(Debug)]
pub(super) struct ResultCounters {
    pub(super) acknowledged: Counter,
    pub(super) ignored: Counter,
    pub(super) replaced: Counter,
    pub(super) rejected: Counter,
}

impl DeliveryCounts {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("results", "Results by orchestrator and what became of them", self.0.clone());
    }

    pub(super) fn counters(&self, orchestrator: &str) -> ResultCounters {
        let counter = |verdict: &str| {
            let labels = [("orchestrator", orchestrator), ("verdict", verdict)];
            self.0.get_or_create_owned(&labels.map(|(name, value)| (name, value.to_owned())).to_vec())
        };
        ResultCounters {
            acknowledged: counter("acknowledged"),
            ignored: counter("ignored"),
            replaced: counter("replaced"),
            rejected: counter("rejected"),
        }
    }
}
