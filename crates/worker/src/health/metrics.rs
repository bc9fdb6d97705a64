//! What is counted, and its text for Prometheus.
//!
//! Counters are atomics that their users hold: counting costs no lock but one for a task's end. Gauges are set when
//! somebody looks. Labels come from the configuration and from the worker's own code, so that nobody outside can make
//! more of them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::delivery::DeliveryCounts;
use crate::files::Traffic;
use crate::peer::log::PeerCounts;
use crate::task::outcome::Outcome;

type Labels = Vec<(&'static str, String)>;

/// In seconds: from hardly anything to half an hour.
const BUCKETS: [f64; 10] = [0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// The codes that are the protocol's own; a handler's own codes are one label together.
const CODES: [&str; 8] = [
    "TRANSIENT_ERROR",
    "PERMANENT_ERROR",
    "INVALID_INPUT_ERROR",
    "TIMEOUT_ERROR",
    "SECURITY_ERROR",
    "RESOURCE_EXHAUSTED_ERROR",
    "INTEGRITY_MISMATCH_ERROR",
    "DEPENDENCY_ERROR",
];

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    tasks: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    not_run: Family<Labels, Counter>,
    peers: PeerCounts,
    results: DeliveryCounts,
    per_orchestrator: [(&'static str, Family<Labels, Gauge>); 5],
    of_worker: [(&'static str, Gauge); 6],
    blocked: Gauge<f64, AtomicU64>,
    traffic: Arc<Traffic>,
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

/// Why a task that came was not run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NotRun {
    Duplicate,
    Malformed,
    Untrusted,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("avtomatika_worker");
        let (tasks, not_run) = (Family::default(), Family::default());
        let (peers, results) = (PeerCounts::default(), DeliveryCounts::default());
        let build_info = Family::<Labels, Gauge>::default();
        let new_histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let durations = Family::new_with_constructor(new_histogram);
        registry.register("tasks", "Tasks that ended, by task and outcome", tasks.clone());
        registry.register(
            "task_duration_seconds",
            "From the start of a handler to its outcome",
            durations.clone(),
        );
        registry.register("tasks_not_run", "Tasks that came and were not run, by reason", not_run.clone());
        peers.register(&mut registry);
        results.register(&mut registry);
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
        let traffic = Arc::<Traffic>::default();
        traffic.register(&mut registry);
        build_info.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        Self {
            registry,
            tasks,
            durations,
            not_run,
            peers,
            results,
            per_orchestrator,
            of_worker,
            blocked,
            traffic,
        }
    }
}

impl Metrics {
    /// What is counted of transfers.
    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        self.traffic.clone()
    }

    /// A task ended; `task` is one the worker has.
    pub(crate) fn task_ended(&self, task: Option<&str>, outcome: &Outcome, duration: Duration) {
        let task = task.unwrap_or("unknown").to_owned();
        let labels = vec![("task", task.clone()), ("outcome", outcome_label(outcome).to_owned())];
        self.tasks.get_or_create(&labels).inc();
        self.durations.get_or_create(&vec![("task", task)]).observe(duration.as_secs_f64());
    }

    /// A task came and was not run.
    pub(crate) fn not_run(&self, reason: NotRun) {
        let reason = match reason {
            NotRun::Duplicate => "duplicate",
            NotRun::Malformed => "malformed",
            NotRun::Untrusted => "untrusted",
        };
        self.not_run.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }

    /// The counters of exchanges.
    pub(crate) fn peers(&self) -> &PeerCounts {
        &self.peers
    }

    /// The counters of results.
    pub(crate) fn results(&self) -> &DeliveryCounts {
        &self.results
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

fn outcome_label(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Completed { .. } if outcome.label() != "success" => "custom_status",
        Outcome::Failed(_) if !CODES.contains(&outcome.label()) => "custom_error",
        _ => outcome.label(),
    }
}

#[cfg(test)]
mod tests {
    use rxon::WorkerId;
    use rxon::signing::Seal;
    use rxon::transport::memory;

    use super::*;
    use crate::peer::Peer;
    use crate::peer::answer::{Answer, Exchange};
    use crate::peer::log::PeerLog;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::default();
        let done = Outcome::Failed(crate::task::outcome::TaskError::new("MY_OWN", "m"));
        metrics.task_ended(Some("echo"), &done, Duration::from_millis(50));
        metrics.task_ended(
            None,
            &Outcome::Failed(crate::task::outcome::TaskError::permanent("m")),
            Duration::ZERO,
        );
        metrics.not_run(NotRun::Duplicate);
        let log = PeerLog::new("http://o/".into(), metrics.peers());
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
