//! The counters of tasks.
//!
//! Labels come from the configuration and from the worker's own code, so that nobody outside can make more of them.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::task::outcome::Outcome;

type Labels = Vec<(&'static str, String)>;

/// Upper bounds of the buckets of durations, in seconds: from hardly anything to half an hour.
const BUCKETS: [f64; 10] = [0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// The codes of the protocol; all codes of users' own share one label.
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

/// The counters of tasks.
#[derive(Debug)]
pub(crate) struct Counts {
    tasks: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    not_run: Family<Labels, Counter>,
}

/// The reason an arriving task was not run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NotRun {
    Duplicate,
    Malformed,
    Untrusted,
}

impl Default for Counts {
    fn default() -> Self {
        let new_histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            tasks: Family::default(),
            durations: Family::new_with_constructor(new_histogram),
            not_run: Family::default(),
        }
    }
}

impl Counts {
    /// Adds the counters to the worker's metrics.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("tasks", "Tasks that ended, by task and outcome", self.tasks.clone());
        registry.register(
            "task_duration_seconds",
            "From the start of a handler to its outcome",
            self.durations.clone(),
        );
        registry.register(
            "tasks_not_run",
            "Tasks that came and were not run, by reason",
            self.not_run.clone(),
        );
    }

    /// Counts a task that ended; `task` is the name of a registered task.
    pub(crate) fn task_ended(&self, task: Option<&str>, outcome: &Outcome, duration: Duration) {
        let task = task.unwrap_or("unknown").to_owned();
        let labels = vec![("task", task.clone()), ("outcome", label(outcome).to_owned())];
        self.tasks.get_or_create(&labels).inc();
        self.durations.get_or_create(&vec![("task", task)]).observe(duration.as_secs_f64());
    }

    /// Counts a task that arrived and was not run.
    pub(crate) fn not_run(&self, reason: NotRun) {
        let reason = match reason {
            NotRun::Duplicate => "duplicate",
            NotRun::Malformed => "malformed",
            NotRun::Untrusted => "untrusted",
        };
        self.not_run.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }
}

fn label(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Completed { .. } if outcome.label() != "success" => "custom_status",
        Outcome::Failed(_) if !CODES.contains(&outcome.label()) => "custom_error",
        _ => outcome.label(),
    }
}
