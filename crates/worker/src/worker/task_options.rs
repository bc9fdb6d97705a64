//! The options of one task.

use std::collections::BTreeMap;
use std::time::Duration;

use rxon::TaskName;
use rxon::model::SkillInfo;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};
#[cfg(feature = "event-schemas")]
use tower_layer::Layer;

use crate::task::handler::TaskService;
#[cfg(feature = "event-schemas")]
use crate::task::middleware::enforce_schemas::EnforceSchemasLayer;
use crate::worker::error::BuildError;

/// The members of a skill that have options of their own.
const OWN_MEMBERS: [&str; 8] = [
    "name",
    "type",
    "description",
    "version",
    "input_schema",
    "output_schema",
    "output_statuses",
    "events_schema",
];

/// The options of a task.
///
/// ```
/// use std::time::Duration;
/// use avtomatika_worker::TaskOptions;
///
/// let options = TaskOptions::new().limit_group("gpu").time_limit(Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TaskOptions {
    pub(crate) limit_group: Option<String>,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) events: BTreeMap<String, Value>,
    description: Option<String>,
    version: Option<String>,
    input_schema: Option<Value>,
    output_schema: Option<Value>,
    output_statuses: Option<Vec<String>>,
    enforces_input: bool,
    enforces_output: bool,
    extra: Map<String, Value>,
}

impl TaskOptions {
    /// No options: the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the task into a group with a [limit](crate::WorkerBuilder::limit) (`task_type` in the reference).
    #[doc(alias("concurrency", "queue"))]
    pub fn limit_group(mut self, group: impl Into<String>) -> Self {
        self.limit_group = Some(group.into());
        self
    }

    /// Sets the time limit of the task. Without it, `WORKER_TASK_TIMEOUT` applies.
    #[doc(alias("timeout"))]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Describes the task, in a sentence for people. This and all following options are sent to the newer orchestrator.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the version of the task, such as `1.2.0`.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the JSON Schema of the parameters. The worker only sends it, unless it is [enforced](Self::enforce_schemas):
    /// parameters are checked by `Params<T>`.
    pub fn input_schema(mut self, schema: Value) -> Self {
        self.input_schema = Some(schema);
        self
    }

    /// Sets the JSON Schema of the data. The worker only sends it, unless it is [enforced](Self::enforce_schemas); the
    /// newer orchestrator may check results against it.
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// Checks the parameters against the input schema before the layers and the handler run, and the data against the
    /// output schema after them. Needs the feature `event-schemas`.
    ///
    /// - **Parameters** that do not fit end the task with `INVALID_INPUT_ERROR`, and the handler is not run. Files have been
    ///   downloaded before.
    /// - **Data** that does not fit, with any status, makes the task fail with `CONTRACT_VIOLATION_ERROR`; the data is
    ///   sent beside the error. No data counts as `null`. Failures are not checked. Files are uploaded afterwards.
    /// - **A schema that is not valid** is sent but not enforced, with a warning. References to other documents are not
    ///   followed.
    ///
    /// ```
    /// use avtomatika_worker::prelude::*;
    /// use serde_json::json;
    ///
    /// let size = json!({"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]});
    /// let options = TaskOptions::new().output_schema(size).enforce_schemas();
    /// let builder = Worker::builder().task_with("measure", options, async || Json(json!({"size": 5})));
    /// # let _: avtomatika_worker::WorkerBuilder = builder;
    /// ```
    pub fn enforce_schemas(self) -> Self {
        self.enforce_input_schema().enforce_output_schema()
    }

    /// Checks only the parameters: see [`enforce_schemas`](Self::enforce_schemas).
    pub fn enforce_input_schema(mut self) -> Self {
        self.enforces_input = true;
        self
    }

    /// Checks only the data: see [`enforce_schemas`](Self::enforce_schemas).
    pub fn enforce_output_schema(mut self) -> Self {
        self.enforces_output = true;
        self
    }

    /// The layer that enforces the schemas of a task of this name, for checks without a worker; none if no schema is to be
    /// enforced.
    #[cfg(feature = "event-schemas")]
    pub fn enforced_schemas(&self, task: &str) -> Option<EnforceSchemasLayer> {
        let input = self.input_schema.as_ref().filter(|_| self.enforces_input);
        let output = self.output_schema.as_ref().filter(|_| self.enforces_output);
        EnforceSchemasLayer::new(task, input, output)
    }

    /// Puts the layer that enforces the schemas around a task, if any is to be enforced.
    #[cfg(feature = "event-schemas")]
    #[expect(clippy::unnecessary_wraps, reason = "without the feature, a schema to be enforced is an error")]
    pub(super) fn enforcing(&self, name: &TaskName, service: TaskService) -> Result<TaskService, BuildError> {
        Ok(match self.enforced_schemas(name.as_str()) {
            Some(layer) => TaskService::new(layer.layer(service)),
            None => service,
        })
    }

    #[cfg(not(feature = "event-schemas"))]
    pub(super) fn enforcing(&self, name: &TaskName, service: TaskService) -> Result<TaskService, BuildError> {
        if !self.enforces_input && !self.enforces_output {
            return Ok(service);
        }
        let used = format!("a schema of the task `{name}` (`TaskOptions::enforce_schemas`)");
        Err(BuildError::FeatureOff { used, feature: "event-schemas" })
    }

    /// Sets the statuses in which the handler can end, including `success`.
    pub fn output_statuses<T: Into<String>>(mut self, statuses: impl IntoIterator<Item = T>) -> Self {
        self.output_statuses = Some(statuses.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a member to the description of the task, such as `properties`. The worker only sends it. The names of members
    /// that have options of their own are ignored.
    ///
    /// ```
    /// use avtomatika_worker::TaskOptions;
    /// use serde_json::json;
    ///
    /// let options = TaskOptions::new().extra("properties", json!({"languages": ["en", "de"]}));
    /// ```
    pub fn extra(mut self, name: impl Into<String>, value: Value) -> Self {
        let name = name.into();
        if !OWN_MEMBERS.contains(&name.as_str()) {
            self.extra.insert(name, value);
        }
        self
    }

    /// Sets the JSON Schemas of the parameters and of the data, derived from their types by schemars.
    ///
    /// ```
    /// use avtomatika_worker::prelude::*;
    ///
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Resize {
    ///     width: u32,
    /// }
    ///
    /// #[derive(serde::Serialize, schemars::JsonSchema)]
    /// struct Resized {
    ///     pixels: u32,
    /// }
    ///
    /// async fn resize(Params(size): Params<Resize>) -> Json<Resized> {
    ///     Json(Resized { pixels: size.width * size.width })
    /// }
    ///
    /// let options = TaskOptions::new().schemas::<Resize, Resized>();
    /// let builder = Worker::builder().task_with("resize", options, resize);
    /// # let _: avtomatika_worker::WorkerBuilder = builder;
    /// ```
    #[cfg(feature = "schemars")]
    pub fn schemas<P: schemars::JsonSchema, D: schemars::JsonSchema>(self) -> Self {
        self.input_schema(schemars::schema_for!(P).to_value())
            .output_schema(schemars::schema_for!(D).to_value())
    }

    /// Declares an event of the handler, with the JSON Schema of its payload. The schema is sent to the newer orchestrator,
    /// and [`TaskContext::send_event`](crate::TaskContext::send_event) refuses payloads that do not match it. Once an event
    /// is declared, undeclared ones are refused, unless `STRICT_EVENT_VALIDATION` is off. References to other documents
    /// are not followed. Needs the feature `event-schemas`: without it, [`WorkerBuilder::build`](crate::WorkerBuilder::build)
    /// returns [`BuildError::FeatureOff`].
    ///
    /// ```
    /// use avtomatika_worker::TaskOptions;
    /// use serde_json::json;
    ///
    /// let options = TaskOptions::new().event("found", json!({"type": "object", "required": ["name"]}));
    /// ```
    pub fn event(mut self, event_type: impl Into<String>, schema: Value) -> Self {
        self.events.insert(event_type.into(), schema);
        self
    }

    /// The description of the task that is sent to orchestrators.
    pub(crate) fn skill(&self, name: TaskName) -> SkillInfo {
        let raw = |schema: &Option<Value>| schema.as_ref().and_then(|schema| to_raw_value(schema).ok());
        SkillInfo {
            kind: Some(self.limit_group.as_deref().unwrap_or(name.as_str()).to_owned()),
            name,
            description: self.description.clone(),
            version: self.version.clone(),
            input_schema: raw(&self.input_schema),
            output_schema: raw(&self.output_schema),
            output_statuses: self.output_statuses.clone(),
            events_schema: self.events.clone(),
            extra: self.extra.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn further_members_are_sent_beside_the_known_ones() {
        let options = TaskOptions::new()
            .input_schema(json!({"type": "object"}))
            .extra("properties", json!({"languages": ["en"]}))
            .extra("name", json!("other"));
        let skill = serde_json::to_value(options.skill(TaskName::new("echo").unwrap())).unwrap();
        let expected = json!({
            "name": "echo",
            "type": "echo",
            "input_schema": {"type": "object"},
            "properties": {"languages": ["en"]},
        });
        assert_eq!(skill, expected);
    }
}
