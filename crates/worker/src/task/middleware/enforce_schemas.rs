//! The JSON Schemas of a task, enforced.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use rxon::model::ErrorCode;
use serde_json::Value;
use serde_json::value::RawValue;
use tower_layer::Layer;
use tower_service::Service;

use crate::task::extract::{Rejection, TaskRequest};
use crate::task::outcome::{FailureExtras, Outcome, TaskError};
use crate::task::schema::{Mismatch, Schema};

/// Enforces the JSON Schemas of a task. Made by [`TaskOptions::enforced_schemas`](crate::TaskOptions::enforced_schemas);
/// a worker puts it around the task by itself, outside all other layers.
#[derive(Debug, Clone)]
pub struct EnforceSchemasLayer(Arc<Schemas>);

#[derive(Debug)]
struct Schemas {
    input: Option<Schema>,
    output: Option<Schema>,
}

impl EnforceSchemasLayer {
    /// Returns `None` without any schema. A schema that is not valid is left out, with a warning.
    pub(crate) fn new(task: &str, input: Option<&Value>, output: Option<&Value>) -> Option<Self> {
        let ready = |what: &str, schema: Option<&Value>| {
            let left_out = |problem: &String| {
                tracing::warn!(
                    "the {what} schema of the task `{task}` is not enforced, since it is not a valid JSON Schema: {problem}"
                );
            };
            Schema::new(schema?).inspect_err(left_out).ok()
        };
        let schemas = Schemas { input: ready("input", input), output: ready("output", output) };
        (schemas.input.is_some() || schemas.output.is_some()).then(|| Self(Arc::new(schemas)))
    }

    /// Checks the parameters of a task.
    ///
    /// # Errors
    /// `INVALID_INPUT_ERROR` with the first problem and its path, as for [`Params`](crate::Params).
    pub fn check_params(&self, params: &RawValue) -> Result<(), TaskError> {
        check(self.0.input.as_ref(), Some(params))
            .map_err(|mismatch| Rejection::problems([(mismatch.path, mismatch.problem)]).into())
    }

    /// Checks the data of a task that is done. No data counts as `null`. A failure is not checked: its own error says
    /// more.
    ///
    /// # Errors
    /// `CONTRACT_VIOLATION_ERROR` with the first problem and its path.
    pub fn check_outcome(&self, outcome: &Outcome) -> Result<(), TaskError> {
        let Outcome::Completed { status, data, .. } = outcome else { return Ok(()) };
        if matches!(status.as_str(), "failure" | "cancelled") {
            return Ok(());
        }
        check(self.0.output.as_ref(), data.as_deref()).map_err(|mismatch| {
            let message = format!("the data does not fit the output schema: {mismatch}");
            let problem = serde_json::json!({"path": mismatch.path, "problem": mismatch.problem});
            TaskError::new(ErrorCode::ContractViolation, message)
                .with_details(serde_json::json!({"problems": [problem]}))
        })
    }

    /// Makes a failure of an outcome whose data does not fit. Its data, metadata and costs are kept.
    fn checked(&self, outcome: Outcome) -> Outcome {
        let Err(mut failed) = self.check_outcome(&outcome) else { return outcome };
        if let Outcome::Completed { data, metadata, costs, .. } = outcome {
            // A failure without costs is sent without its run time, but this handler has done its work.
            let costs = costs.or_else(|| RawValue::from_string("{}".to_owned()).ok());
            failed.extras = Some(Box::new(FailureExtras { data, metadata, costs }));
        }
        Outcome::Failed(failed)
    }
}

fn check(schema: Option<&Schema>, json: Option<&RawValue>) -> Result<(), Mismatch> {
    let Some(schema) = schema else { return Ok(()) };
    let value = json.map_or(Ok(Value::Null), |json| serde_json::from_str(json.get()));
    schema.check(&value.map_err(Mismatch::of_all)?)
}

impl<S> Layer<S> for EnforceSchemasLayer {
    type Service = EnforceSchemas<S>;

    fn layer(&self, inner: S) -> EnforceSchemas<S> {
        EnforceSchemas { inner, schemas: self.clone() }
    }
}

/// The service of [`EnforceSchemasLayer`].
#[derive(Debug, Clone)]
pub struct EnforceSchemas<S> {
    inner: S,
    schemas: EnforceSchemasLayer,
}

impl<S> Service<TaskRequest> for EnforceSchemas<S>
where
    S: Service<TaskRequest, Response = Outcome, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Outcome, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: TaskRequest) -> Self::Future {
        if let Err(refused) = self.schemas.check_params(&request.parts().params) {
            return Box::pin(ready(Ok(Outcome::Failed(refused))));
        }
        let (schemas, future) = (self.schemas.clone(), self.inner.call(request));
        Box::pin(async move { future.await.map(|outcome| schemas.checked(outcome)) })
    }
}
