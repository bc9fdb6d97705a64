//! The counters of tasks.
//!
//! Labels come from the configuration and from the worker's own code, so that their number cannot grow from outside.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use rxon::model::ErrorCode;

use crate::task::outcome::Outcome;

type TaskLabels = Vec<(&'static str, String)>;

/// The label of the usual outcome.
const SUCCESS: &str = "success";

/// Upper bounds of the buckets of durations, in seconds.
const BUCKETS: [f64; 10] = [0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// The counters of tasks.
#[derive(Debug)]
pub(crate) struct Counts {
    tasks: Family<TaskLabels, Counter>,
    durations: Family<TaskLabels, Histogram, fn() -> Histogram>,
    not_run: Family<TaskLabels, Counter>,
}

/// The counters of one registered task that a success changes, found once: to find them costs more than to count.
#[derive(Debug, Default)]
pub(crate) struct TaskCounters(OnceLock<(Counter, Histogram)>);

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

    /// Counts a registered task that ended.
    pub(crate) fn task_ended(
        &self,
        task: &str,
        counters: &TaskCounters,
        outcome: &Outcome,
        duration: Duration,
    ) {
        let label = label(outcome);
        if label != SUCCESS {
            return self.ended(task, label, duration);
        }
        let (tasks, durations) = counters.0.get_or_init(|| {
            let tasks = self.tasks.get_or_create_owned(&outcome_labels(task, SUCCESS));
            (tasks, self.durations.get_or_create_owned(&task_labels(task)))
        });
        tasks.inc();
        durations.observe(duration.as_secs_f64());
    }

    /// Counts a task that ended, and that no handler is registered for.
    pub(crate) fn unknown_task_ended(&self, outcome: &Outcome, duration: Duration) {
        self.ended("unknown", label(outcome), duration);
    }

    fn ended(&self, task: &str, label: &str, duration: Duration) {
        self.tasks.get_or_create(&outcome_labels(task, label)).inc();
        self.durations.get_or_create(&task_labels(task)).observe(duration.as_secs_f64());
    }

    /// Counts a task that arrived and was not run.
    pub(crate) fn not_run(&self, reason: &str) {
        self.not_run.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }
}

fn task_labels(task: &str) -> TaskLabels {
    vec![("task", task.to_owned())]
}

fn outcome_labels(task: &str, label: &str) -> TaskLabels {
    vec![("task", task.to_owned()), ("outcome", label.to_owned())]
}

fn label(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Completed { .. } if outcome.label() != SUCCESS => "custom_status",
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
