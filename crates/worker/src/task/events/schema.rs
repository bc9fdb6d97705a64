//! Checking payloads by JSON Schema.

use serde_json::Value;

use super::error::DeclarationError;

/// The schema of one event.
#[derive(Debug)]
pub(super) struct EventSchema(jsonschema::Validator);

impl EventSchema {
    pub(super) fn compile(event_type: &str, schema: &Value) -> Result<Self, DeclarationError> {
        jsonschema::validator_for(schema).map(Self).map_err(|error| DeclarationError::Schema {
            event_type: event_type.to_owned(),
            problem: error.to_string(),
        })
    }

    /// Returns the first problem of a payload, with its path.
    pub(super) fn check(&self, payload: &Value) -> Result<(), String> {
        self.0.validate(payload).map_err(|error| {
            let path = error.instance_path.to_string();
            let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
            format!("{place}{error}")
        })
    }
}
