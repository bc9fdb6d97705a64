//! The options of one task.

use std::collections::BTreeMap;
use std::time::Duration;

use rxon::TaskName;
use rxon::model::SkillInfo;
use serde_json::Value;
use serde_json::value::to_raw_value;

/// What a task has beside its handler.
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
}

impl TaskOptions {
    /// Nothing special.
    pub fn new() -> Self {
        Self::default()
    }

    /// The group whose [limit](crate::WorkerBuilder::limit) the task shares (`task_type` in the reference).
    pub fn limit_group(mut self, group: impl Into<String>) -> Self {
        self.limit_group = Some(group.into());
        self
    }

    /// How long the task may take; without it `WORKER_TASK_TIMEOUT` counts.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// What the task does, in a sentence for people. The newer orchestrator is told, as of all that follows here.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// The version of what the task does, such as `1.2.0`.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// The JSON Schema of the parameters. It is told, not checked: the worker checks by `Params<T>`.
    pub fn input_schema(mut self, schema: Value) -> Self {
        self.input_schema = Some(schema);
        self
    }

    /// The JSON Schema of the data. It is told, not checked here; the newer orchestrator may hold results to it.
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// The statuses the handler ends in, `success` among them.
    pub fn output_statuses<T: Into<String>>(mut self, statuses: impl IntoIterator<Item = T>) -> Self {
        self.output_statuses = Some(statuses.into_iter().map(Into::into).collect());
        self
    }

    /// The JSON Schemas of the parameters and of the data, derived from their types by schemars.
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

    /// Declares an event that the handler sends, with the JSON Schema of its payload: the newer orchestrator is told,
    /// and [`TaskContext::send_event`](crate::TaskContext::send_event) refuses what does not fit. Once one is declared,
    /// others are refused too, unless `STRICT_EVENT_VALIDATION` is off. References to other documents are not
    /// followed.
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

    /// The task as orchestrators are told about it.
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
        }
    }
}
