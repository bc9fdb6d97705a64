//! The counters of tasks.
//!
//! Labels come from the configuration and from the worker's own code, so that their number cannot grow from outside.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use rxon::model::ErrorCode;

use crate::task::outcome::Outcome;

type TaskLabels = Vec<(&'static str, String)>;

/// Upper bounds of the buckets of durations, in seconds.
const BUCKETS: [f64; 10] = [0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// The counters of tasks.
#[derive(Debug)]
pub(crate) struct Counts {
    tasks: Family<TaskLabels, Counter>,
    durations: Family<TaskLabels, Histogram, fn() -> Histogram>,
    not_run: Family<TaskLabels, Counter>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            tasks: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
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
    pub(crate) fn not_run(&self, reason: &str) {
        self.not_run.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }
}

fn label(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Completed { .. } if outcome.label() != "success" => "custom_status",
        // One label for all codes that a user may choose.
        Outcome::Failed(error) => match error.code() {
            ErrorCode::Internal
            | ErrorCode::LimitExceeded
            | ErrorCode::DependencyMissing
            | ErrorCode::ContractViolation
            | ErrorCode::Other(_) => "custom_error",
            code => code.as_str(),
        },
        _ => outcome.label(),
    }
}
