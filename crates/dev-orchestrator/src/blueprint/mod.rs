//! Blueprints: jobs of several steps. A blueprint is a small state machine: each state runs a task, and the status of its
//! result decides which state follows. Pure.
//!
//! A tool for development: it is enough to try a worker whose tasks follow each other, and does without what the
//! blueprints of the real orchestrators can do beside it (branches, waiting for people, blueprints within blueprints).

mod course;
mod data;
mod file;
mod template;
mod toml;

use std::collections::BTreeMap;
use std::sync::Arc;

use rxon::TaskName;
use serde::Serialize;
use serde_json::value::RawValue;

pub(crate) use self::course::{Course, Left, Next, Step};
use self::template::Template;

/// The end state of a job that went well.
pub(crate) const FINISHED: &str = "finished";

/// The end state of a job that did not.
pub(crate) const FAILED: &str = "failed";

/// A blueprint, read from a file: see [`Settings::with_blueprint`](crate::Settings::with_blueprint).
///
/// ```
/// # fn main() -> Result<(), avtomatika_dev::BlueprintError> {
/// let blueprint = avtomatika_dev::Blueprint::from_toml(r#"
///     name = "thumbnail"
///     start = "shrink"
///     [states.shrink]
///     task = "resize_image"
///     params = { image = "$.image", width = 64 } # `image` of the job's parameters
///     on = { success = "tell" }                  # any other status ends the job as failed
///     [states.tell]
///     task = "notify"
///     params = { image = "$.result" }            # `result` in the data of the step before
///     on = { success = "finished" }
/// "#)?;
/// assert_eq!(blueprint.name(), "thumbnail");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct Blueprint {
    name: TaskName,
    start: String,
    states: Arc<BTreeMap<String, State>>,
}

/// A state of a blueprint.
#[derive(Debug, Serialize)]
struct State {
    /// The name of the task that it runs.
    task: TaskName,
    /// The parameters of the task as they stand in the file.
    params: Box<RawValue>,
    #[serde(skip)]
    template: Template,
    /// The state that follows each status of a result.
    on: BTreeMap<String, String>,
}

/// The error of a blueprint that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BlueprintError(String);

impl BlueprintError {
    /// A problem at a place like `states.first.task`.
    fn at(place: &str, problem: impl std::fmt::Display) -> Self {
        Self(format!("`{place}`: {problem}"))
    }
}

impl Blueprint {
    /// The name under which jobs of it are submitted.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Returns the name of the task of a state, and its parameters made of the data of a job.
    fn step(&self, state: &str, data: &RawValue) -> Result<Step, String> {
        let unknown = || format!("the blueprint `{}` has no state `{state}`", self.name);
        let State { task, template, .. } = self.states.get(state).ok_or_else(unknown)?;
        let params = template.fill(data).map_err(|problem| format!("`states.{state}.params`: {problem}"))?;
        Ok(Step { name: task.clone(), params: params.into() })
    }

    /// Returns the state that follows a state after this status.
    fn after(&self, state: &str, status: &str) -> Option<&str> {
        Some(self.states.get(state)?.on.get(status)?.as_str())
    }
}
