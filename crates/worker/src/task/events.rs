//! Events that handlers send, and the schemas they were declared with.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::worker::error::BuildError;

/// The longest name of an event's type, in characters.
const MAX_TYPE: usize = 128;

/// Why an event is not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The type is empty, too long, or the worker's own.
    #[error(
        "the event type `{0}` is not one: expected 1 to 128 characters, and not `progress`, which is sent by `send_progress`"
    )]
    Type(String),
    /// The payload is not JSON.
    #[error("the payload of the event `{event_type}` is not JSON: {source}")]
    NotJson {
        /// The event's type.
        event_type: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The payload is JSON, but not an object.
    #[error("the payload of the event `{event_type}` is {found}, expected an object")]
    NotAnObject {
        /// The event's type.
        event_type: String,
        /// What it is.
        found: &'static str,
    },
    /// The task declares its events, and this one is not among them.
    #[error(
        "the event `{event_type}` is not declared; declared are {declared}; `STRICT_EVENT_VALIDATION=false` lets it pass"
    )]
    Undeclared {
        /// The event's type.
        event_type: String,
        /// Those that are.
        declared: String,
    },
    /// The payload is not what the schema says.
    #[error("the payload of the event `{event_type}` does not fit its schema: {problem}")]
    Schema {
        /// The event's type.
        event_type: String,
        /// The first thing that is wrong, and where.
        problem: String,
    },
    /// So many of the task's events wait already that no more are taken.
    #[error("100 events of this task wait to be sent: the event `{0}` is dropped")]
    TooMany(String),
}

/// The events that a task declares.
#[derive(Debug, Default)]
pub(crate) struct EventSchemas {
    schemas: BTreeMap<String, Value>,
    validators: BTreeMap<String, jsonschema::Validator>,
}

impl EventSchemas {
    pub(crate) fn new(schemas: BTreeMap<String, Value>) -> Result<Self, BuildError> {
        let compile = |(event_type, schema): (&String, &Value)| {
            check_type(event_type)
                .map_err(|error| error.to_string())
                .and_then(|()| jsonschema::validator_for(schema).map_err(|error| error.to_string()))
                .map(|validator| (event_type.clone(), validator))
                .map_err(|problem| BuildError::EventSchema { event_type: event_type.clone(), problem })
        };
        let validators = schemas.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { schemas, validators })
    }

    /// The payload as it is sent.
    pub(crate) fn check(
        &self,
        event_type: &str,
        payload: &impl Serialize,
        strict: bool,
    ) -> Result<Box<RawValue>, EventError> {
        check_type(event_type)?;
        let event_type = || event_type.to_owned();
        let text = serde_json::value::to_raw_value(payload)
            .map_err(|source| EventError::NotJson { event_type: event_type(), source })?;
        let value: Value = serde_json::from_str(text.get())
            .map_err(|source| EventError::NotJson { event_type: event_type(), source })?;
        if let Some(found) = kind_unless_object(&value) {
            return Err(EventError::NotAnObject { event_type: event_type(), found });
        }
        if self.validators.is_empty() {
            return Ok(text);
        }
        match self.validators.get(&event_type()) {
            Some(validator) => match validator.validate(&value) {
                Ok(()) => Ok(text),
                Err(error) => {
                    let path = error.instance_path.to_string();
                    let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
                    Err(EventError::Schema { event_type: event_type(), problem: format!("{place}{error}") })
                }
            },
            None if strict => {
                let names: Vec<_> = self.schemas.keys().map(|name| format!("`{name}`")).collect();
                Err(EventError::Undeclared { event_type: event_type(), declared: names.join(", ") })
            }
            None => {
                tracing::warn!(event_type = event_type(), "the event is not declared, and sent all the same");
                Ok(text)
            }
        }
    }
}

fn check_type(event_type: &str) -> Result<(), EventError> {
    let length = event_type.chars().count();
    if length == 0 || length > MAX_TYPE || event_type == rxon::model::Event::PROGRESS {
        return Err(EventError::Type(rxon::transport::excerpt(event_type.as_bytes())));
    }
    Ok(())
}

fn kind_unless_object(value: &Value) -> Option<&'static str> {
    match value {
        Value::Object(_) => None,
        Value::Null => Some("null"),
        Value::Bool(_) => Some("a boolean"),
        Value::Number(_) => Some("a number"),
        Value::String(_) => Some("a string"),
        Value::Array(_) => Some("an array"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schemas() -> EventSchemas {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        EventSchemas::new(BTreeMap::from([("counted".to_owned(), schema)])).expect("schemas")
    }

    fn refusal(event_type: &str, payload: &Value) -> String {
        schemas().check(event_type, payload, true).expect_err("refused").to_string()
    }

    #[test]
    fn what_is_declared_must_fit() {
        assert_eq!(schemas().check("counted", &json!({"n": 1}), true).expect("fits").get(), r#"{"n":1}"#);
        let refused = refusal("counted", &json!({"n": "one"}));
        assert!(refused.contains("`counted` does not fit its schema: /n: "), "{refused}");
        assert!(refusal("counted", &json!({})).contains("\"n\" is a required property"));
        assert!(refusal("other", &json!({})).contains("declared are `counted`"));
        assert!(schemas().check("other", &json!({}), false).is_ok());
    }

    #[test]
    fn odd_types_and_payloads_are_refused() {
        let any = EventSchemas::default();
        assert!(any.check("anything", &json!({"a": [1]}), true).is_ok());
        for name in ["", "progress", &"x".repeat(129)] {
            assert!(matches!(any.check(name, &json!({}), true), Err(EventError::Type(_))), "{name}");
        }
        for (payload, found) in [(json!(null), "null"), (json!([]), "an array"), (json!(1), "a number")] {
            let error = any.check("e", &payload, true).expect_err("no object").to_string();
            assert!(error.ends_with(&format!("is {found}, expected an object")), "{error}");
        }
        assert!(matches!(
            any.check("e", &BTreeMap::from([((1, 2), 3)]), true),
            Err(EventError::NotJson { .. })
        ));
    }

    #[test]
    fn what_is_no_schema_is_refused_when_the_worker_is_built() {
        let error =
            EventSchemas::new(BTreeMap::from([("e".to_owned(), json!({"type": 5}))])).expect_err("none");
        assert!(error.to_string().starts_with("the schema of the event `e` is none: "), "{error}");
    }
}
