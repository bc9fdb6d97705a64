//! Errors that keep a worker from running, and the exit of the process.

use std::io::{self, Write as _};
use std::process::{ExitCode, Termination};

use rxon::TaskName;

use crate::config::ConfigError;
use crate::config::parse::CONCURRENT_TASKS;
use crate::task::events::{DeclarationError, EventError};
use crate::task::outcome::BoxError;
use crate::worker::shutdown::Stopped;

/// A worker that cannot be built, because of a mistake in the code that builds it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The name of a task, or of a skill with dependencies, breaks the orchestrator's rule.
    #[error("the task name {0}")]
    TaskName(rxon::id::InvalidIdentifier),
    /// Two tasks have the same name.
    #[error("two tasks are named `{0}`")]
    DuplicateTask(TaskName),
    /// A task is added to a worker that is ending.
    #[error("the task `{0}` cannot be added: the worker is shutting down")]
    Draining(TaskName),
    /// No task is registered.
    #[error("the worker has no task: register one before it runs")]
    NoTasks,
    /// The limit of a group is 0, so that none of its tasks would ever run.
    #[error("the limit of the group `{0}` is 0, expected at least 1")]
    ZeroLimit(String),
    /// An event is declared with a type that is not valid.
    #[error(transparent)]
    EventType(EventError),
    /// An event is declared with a schema that is not a valid JSON Schema.
    #[error("the schema of the event `{event_type}` is not a valid JSON Schema: {problem}")]
    EventSchema {
        /// The event's type.
        event_type: String,
        /// The problem.
        problem: String,
    },
    /// The code uses something that needs a feature of this crate, and the crate was built without it.
    #[error("{used} needs the feature `{feature}` of `avtomatika-worker`, which is off")]
    FeatureOff {
        /// The thing used, such as the declaration of an event.
        used: String,
        /// The feature.
        feature: &'static str,
    },
    /// The limit of all tasks is out of range.
    #[error("`max_concurrent_tasks` is `{0}`, expected {expected}", expected = CONCURRENT_TASKS.text)]
    Limit(usize),
}

impl From<DeclarationError> for BuildError {
    fn from(error: DeclarationError) -> Self {
        match error {
            DeclarationError::Type(error) => Self::EventType(error),
            #[cfg(feature = "event-schemas")]
            DeclarationError::Schema { event_type, problem } => Self::EventSchema { event_type, problem },
            #[cfg(not(feature = "event-schemas"))]
            DeclarationError::FeatureOff { event_type } => Self::FeatureOff {
                used: format!("the event `{event_type}` (`TaskOptions::event`)"),
                feature: "event-schemas",
            },
        }
    }
}

/// The reason why a worker did not run, or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The code that builds the worker is wrong.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The health server cannot listen on its address.
    #[error("the health server cannot listen on `{address}`; set `WORKER_HOST` or `WORKER_PORT`")]
    HealthServer {
        /// The address.
        address: String,
        /// The reason.
        source: std::io::Error,
    },
    /// A start-up hook failed.
    #[error("a start-up hook failed")]
    Startup(#[source] BoxError),
    /// Results cannot be kept in the directory `WORKER_OUTBOX_DIR`.
    #[error("the file of results `{file}` cannot be used; check `WORKER_OUTBOX_DIR`")]
    Outbox {
        /// The file.
        file: String,
        /// The reason.
        source: BoxError,
    },
    /// The control thread cannot be started.
    #[error("the control thread cannot be started")]
    ControlThread(#[source] std::io::Error),
    /// The control thread died, because of a mistake in this crate. The log has the details.
    #[error("the control thread died")]
    ControlThreadDied,
    /// The signal handlers cannot be installed.
    #[error("the signal handlers cannot be installed")]
    Signals(#[source] std::io::Error),
}

impl Error {
    /// 2 for faults that the user has to fix before the next start, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        if matches!(self, Self::Build(_) | Self::Config(_)) { 2 } else { 1 }
    }
}

/// The end of a worker, to be returned from `main`.
///
/// | exit code | meaning |
/// |---|---|
/// | 0 | all tasks finished, and their results are acknowledged or on disk |
/// | 1 | tasks were cancelled, results were lost unacknowledged, or the worker could not start |
/// | 2 | the configuration or the code is wrong |
#[derive(Debug)]
#[must_use = "return it from `main`, so that the process has its exit code"]
pub struct Exit(Result<Stopped, Error>);

impl Exit {
    /// Returns how the worker ended, for programs that do more than exit.
    ///
    /// # Errors
    /// The reason why the worker did not run.
    pub fn into_result(self) -> Result<Stopped, Error> {
        self.0
    }

    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match &self.0 {
            Ok(stopped) => u8::from(!stopped.is_clean()),
            Err(error) => error.exit_code(),
        }
    }
}

impl<E: Into<Error>> From<Result<Stopped, E>> for Exit {
    fn from(result: Result<Stopped, E>) -> Self {
        Self(result.map_err(Into::into))
    }
}

impl Termination for Exit {
    /// Prints the error and its causes to standard error, as `main` does for any other error.
    fn report(self) -> ExitCode {
        if let Err(error) = &self.0 {
            // The exit code says the same to a process whose standard error has no reader.
            let _ = writeln!(io::stderr(), "error: {error}");
            for cause in std::iter::successors(std::error::Error::source(error), |&cause| cause.source()) {
                let _ = writeln!(io::stderr(), "  caused by: {cause}");
            }
        }
        self.code().into()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use crate::worker::Worker;

    #[test]
    fn a_wrong_task_name_is_printed_once() {
        let error = Worker::builder::<()>().task("a b", async || ()).build().expect_err("a space");
        assert!(error.to_string().starts_with("the task name `a b` is not an identifier"), "{error}");
        assert!(error.source().is_none(), "a chain would repeat it");
    }

    #[test]
    fn the_limit_of_the_builder_has_the_range_of_the_option() {
        let build =
            |limit| Worker::builder::<()>().task("t", async || ()).max_concurrent_tasks(limit).build();
        for limit in [0, 10_001] {
            let error = build(limit).expect_err("out of range").to_string();
            let expected =
                format!("`max_concurrent_tasks` is `{limit}`, expected a whole number, 1 to 10000");
            assert_eq!(error, expected);
        }
        assert!([1, 10_000].into_iter().all(|limit| build(limit).is_ok()));
    }
}
