//! The metrics of the worker, and their text for Prometheus.
//!
//! The rooms own their counters, and register them here. Gauges are read when the text is asked for. Labels come from the
//! configuration and from the worker's own code, so that their number cannot grow from outside.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::capacity::Offer;
use crate::session::Session;

type GaugeLabels = Vec<(&'static str, String)>;

/// The name of a gauge, its help and its value.
type GaugeOf<T> = (&'static str, &'static str, fn(&T) -> usize);

const OF_WORKER: [GaugeOf<Offer>; 5] = [
    ("slots", "Tasks that may run at once", |offer| offer.slots.limit()),
    ("slots_in_use", "Slots that tasks hold", |offer| offer.slots.limit() - offer.slots.usage().open),
    ("tasks_waiting", "Tasks that wait for their limit group", |offer| offer.slots.usage().waiting),
    ("draining", "1 once the worker was told to stop", |offer| offer.is_draining().into()),
    ("disk_low", "1 while there is too little space on a disk", |offer| offer.disk.is_low().into()),
];

const OF_ORCHESTRATOR: [GaugeOf<Session>; 5] = [
    ("orchestrator_up", "0 while the orchestrator is down", |session| (!session.is_down()).into()),
    ("orchestrator_registered", "1 while the orchestrator knows the worker", |session| {
        session.origin.peer.is_registered().into()
    }),
    ("orchestrator_websocket_open", "1 while a websocket is open", |session| {
        session.origin.peer.has_websocket().into()
    }),
    ("orchestrator_pollers", "Pollers of the orchestrator", |session| *session.pollers.borrow()),
    ("orchestrator_results_unacknowledged", "Results the orchestrator has not acknowledged", |session| {
        session.origin.delivery.unacknowledged()
    }),
];

/// All metrics of the worker.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// The rooms that own counters register them here.
    pub(crate) registry: Registry,
    of_worker: [Gauge; 5],
    outbox_on_disk: Gauge,
    of_orchestrator: [Family<GaugeLabels, Gauge>; 5],
    blocked: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("avtomatika_worker");
        let build_info = Family::<GaugeLabels, Gauge>::default();
        registry.register("build_info", "Always 1, with the version", build_info.clone());
        let of_worker = OF_WORKER.map(|(name, help, _)| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        });
        let outbox_on_disk = Gauge::default();
        registry.register(
            "outbox_on_disk",
            "1 while results are written to disk before they are sent",
            outbox_on_disk.clone(),
        );
        let of_orchestrator = OF_ORCHESTRATOR.map(|(name, help, _)| {
            let family = Family::default();
            registry.register(name, help, family.clone());
            family
        });
        let blocked = Gauge::default();
        registry.register(
            "runtime_blocked_seconds",
            "How long the data path has stood still",
            blocked.clone(),
        );
        build_info.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        Self { registry, of_worker, outbox_on_disk, of_orchestrator, blocked }
    }
}

impl Metrics {
    /// The text of all metrics, in the format of `OpenMetrics`.
    pub(super) fn text(&self, offer: &Offer, sessions: &[Arc<Session>], blocked: Duration) -> String {
        for (gauge, (_, _, value)) in self.of_worker.iter().zip(OF_WORKER) {
            gauge.set(value(offer) as i64);
        }
        self.outbox_on_disk.set(on_disk(sessions).unwrap_or_default().into());
        self.blocked.set(blocked.as_secs_f64());
        for session in sessions {
            let labels = vec![("orchestrator", session.origin.peer.name.to_string())];
            for (family, (_, _, value)) in self.of_orchestrator.iter().zip(OF_ORCHESTRATOR) {
                family.get_or_create(&labels).set(value(session) as i64);
            }
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Whether results would survive a crash now; `None` if they are kept in memory only.
pub(super) fn on_disk(sessions: &[Arc<Session>]) -> Option<bool> {
    sessions.first()?.origin.delivery.is_on_disk()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rxon::WorkerId;
    use rxon::signing::Seal;
    use rxon::transport::memory;

    use super::*;
    use crate::execution::counts::{Counts, TaskCounters};
    use crate::health::condition::tests::idle_health;
    use crate::peer::Peer;
    use crate::peer::answer::{Answer, Exchange};
    use crate::peer::log::{PeerCounts, PeerLog};
    use crate::task::outcome::{Outcome, TaskError};

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut health = idle_health();
        let counts = Counts::default();
        counts.register(&mut health.metrics.registry);
        let done = Outcome::Failed(TaskError::new("MY_OWN", "m"));
        let (echo, failed) = (TaskCounters::default(), Outcome::Failed(TaskError::permanent("m")));
        counts.task_ended("echo", &echo, &done, Duration::from_millis(50));
        for _ in 0..2 {
            counts.task_ended("echo", &echo, &Outcome::success(), Duration::from_millis(50));
        }
        counts.unknown_task_ended(&failed, Duration::ZERO);
        counts.not_run("duplicate");
        let exchanges = PeerCounts::default();
        exchanges.register(&mut health.metrics.registry);
        let log = PeerLog::new("http://o/".into(), &exchanges);
        let seal = Seal::new(WorkerId::new("w").expect("an identifier"), "token");
        drop(Peer::new(log, Arc::new(memory::pair().0), seal).record(Exchange::Poll, &Answer::Good));
        health.sessions[0].pollers.send_replace(3);
        let text = health.metrics.text(&health.offer, &health.sessions, Duration::ZERO);
        for line in [
            r#"avtomatika_worker_tasks_total{task="echo",outcome="custom_error"} 1"#,
            r#"avtomatika_worker_tasks_total{task="echo",outcome="success"} 2"#,
            r#"avtomatika_worker_tasks_total{task="unknown",outcome="PERMANENT_ERROR"} 1"#,
            r#"avtomatika_worker_task_duration_seconds_bucket{le="0.1",task="echo"} 3"#,
            r#"avtomatika_worker_tasks_not_run_total{reason="duplicate"} 1"#,
            r#"avtomatika_worker_requests_total{orchestrator="http://o/",operation="poll",outcome="answered"} 1"#,
            "avtomatika_worker_slots 1",
            r#"avtomatika_worker_orchestrator_pollers{orchestrator="http://peer"} 3"#,
            "avtomatika_worker_runtime_blocked_seconds 0.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
