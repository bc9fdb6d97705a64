//! What is counted, and its text for Prometheus.
//!
//! Counters are atomics that their users hold: counting costs no lock but one for a task's end. Gauges are set when
//! somebody looks. Labels come from the configuration and from the worker's own code, so that nobody outside can make
//! more of them.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labels = Vec<(&'static str, String)>;

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    per_orchestrator: [(&'static str, Family<Labels, Gauge>); 5],
    of_worker: [(&'static str, Gauge); 6],
    blocked: Gauge<f64, AtomicU64>,
}

/// What is read of the worker when somebody looks.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) slots: usize,
    pub(crate) slots_in_use: usize,
    pub(crate) tasks_waiting: usize,
    pub(crate) draining: bool,
    pub(crate) disk_low: bool,
    pub(crate) outbox_on_disk: bool,
    pub(crate) blocked: Duration,
    pub(crate) orchestrators: Vec<OrchestratorReading>,
}

/// What is read of one orchestrator.
#[derive(Debug, Default)]
pub(crate) struct OrchestratorReading {
    pub(crate) name: String,
    pub(crate) up: bool,
    pub(crate) registered: bool,
    pub(crate) websocket: bool,
    pub(crate) pollers: usize,
    pub(crate) unacknowledged: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("avtomatika_worker");
        let build_info = Family::<Labels, Gauge>::default();
        registry.register("build_info", "Always 1, with the version", build_info.clone());
        let of_worker = [
            ("slots", "How many tasks may run at once"),
            ("slots_in_use", "How many slots tasks hold"),
            ("tasks_waiting", "Tasks that wait for their limit group"),
            ("draining", "1 once the worker was told to stop"),
            ("disk_low", "1 while there is too little space on a disk"),
            ("outbox_on_disk", "1 while results are written to disk before they are sent"),
        ]
        .map(|(name, help)| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            (name, gauge)
        });
        let per_orchestrator = [
            ("orchestrator_up", "0 while the orchestrator is down"),
            ("orchestrator_registered", "1 while the orchestrator knows the worker"),
            ("orchestrator_websocket_open", "1 while a websocket stands"),
            ("orchestrator_pollers", "How many pollers the orchestrator has"),
            ("orchestrator_results_unacknowledged", "Results the orchestrator has not acknowledged"),
        ]
        .map(|(name, help)| {
            let family = Family::default();
            registry.register(name, help, family.clone());
            (name, family)
        });
        let blocked = Gauge::default();
        registry.register(
            "runtime_blocked_seconds",
            "How long the data path has stood still",
            blocked.clone(),
        );
        build_info.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        Self { registry, per_orchestrator, of_worker, blocked }
    }
}

impl Metrics {
    /// The registry, for the rooms that own counters.
    pub(crate) fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The text, in the format of `OpenMetrics`.
    pub(crate) fn text(&self, reading: &Reading) -> String {
        let values = [
            reading.slots,
            reading.slots_in_use,
            reading.tasks_waiting,
            reading.draining.into(),
            reading.disk_low.into(),
            reading.outbox_on_disk.into(),
        ];
        for ((_, gauge), value) in self.of_worker.iter().zip(values) {
            gauge.set(value as i64);
        }
        self.blocked.set(reading.blocked.as_secs_f64());
        for orchestrator in &reading.orchestrators {
            let values = [
                orchestrator.up.into(),
                orchestrator.registered.into(),
                orchestrator.websocket.into(),
                orchestrator.pollers,
                orchestrator.unacknowledged,
            ];
            let labels = vec![("orchestrator", orchestrator.name.clone())];
            for ((_, family), value) in self.per_orchestrator.iter().zip(values) {
                family.get_or_create(&labels).set(value as i64);
            }
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rxon::WorkerId;
    use rxon::signing::Seal;
    use rxon::transport::memory;

    use super::*;
    use crate::execution::counts::{Counts, NotRun};
    use crate::peer::Peer;
    use crate::peer::answer::{Answer, Exchange};
    use crate::peer::log::{PeerCounts, PeerLog};
    use crate::task::outcome::{Outcome, TaskError};

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut metrics = Metrics::default();
        let counts = Counts::default();
        counts.register(metrics.registry());
        let done = Outcome::Failed(TaskError::new("MY_OWN", "m"));
        counts.task_ended(Some("echo"), &done, Duration::from_millis(50));
        counts.task_ended(None, &Outcome::Failed(TaskError::permanent("m")), Duration::ZERO);
        counts.not_run(NotRun::Duplicate);
        let exchanges = PeerCounts::default();
        exchanges.register(metrics.registry());
        let log = PeerLog::new("http://o/".into(), &exchanges);
        let seal = Seal::new(WorkerId::new("w").expect("an identifier"), "token");
        Peer::new(log, Arc::new(memory::pair().0), seal).record(Exchange::Poll, &Answer::Good);
        let orchestrator = OrchestratorReading {
            name: "http://o/".to_owned(),
            up: true,
            pollers: 3,
            ..OrchestratorReading::default()
        };
        let reading = Reading { slots: 10, orchestrators: vec![orchestrator], ..Reading::default() };
        let text = metrics.text(&reading);
        for line in [
            r#"avtomatika_worker_tasks_total{task="echo",outcome="custom_error"} 1"#,
            r#"avtomatika_worker_tasks_total{task="unknown",outcome="PERMANENT_ERROR"} 1"#,
            r#"avtomatika_worker_task_duration_seconds_bucket{le="0.1",task="echo"} 1"#,
            r#"avtomatika_worker_tasks_not_run_total{reason="duplicate"} 1"#,
            r#"avtomatika_worker_requests_total{orchestrator="http://o/",operation="poll",outcome="answered"} 1"#,
            "avtomatika_worker_slots 10",
            r#"avtomatika_worker_orchestrator_pollers{orchestrator="http://o/"} 3"#,
            "avtomatika_worker_runtime_blocked_seconds 0.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
