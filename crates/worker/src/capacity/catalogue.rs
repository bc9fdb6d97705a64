//! The descriptions of the registered tasks.

use serde_json::Value;

/// What is told of a task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Described {
    pub(crate) description: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) input_schema: Option<Value>,
    pub(crate) output_schema: Option<Value>,
    pub(crate) output_statuses: Option<Vec<String>>,
}
