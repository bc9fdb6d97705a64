//! Events that handlers send, and the schemas they are declared with.

mod error;
mod options;

use std::collections::BTreeMap;
#[cfg(not(feature = "event-schemas"))]
use std::convert::Infallible as EventSchema;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

pub(crate) use self::error::DeclarationError;
pub use self::error::EventError;
pub use self::options::EventOptions;
#[cfg(feature = "event-schemas")]
use crate::task::schema::Schema as EventSchema;

/// The maximum length of an event's type, in characters.
const MAX_TYPE: usize = 128;

/// The events that a task declares: none if the feature `event-schemas` is off.
#[derive(Debug, Default)]
pub(crate) struct EventSchemas(BTreeMap<String, EventSchema>);

impl EventSchemas {
    pub(crate) fn new(schemas: BTreeMap<String, Value>) -> Result<Self, DeclarationError> {
        let compile = |(event_type, schema): (String, Value)| {
            check_type(&event_type).map_err(DeclarationError::Type)?;
            let schema = compile(&event_type, &schema)?;
            Ok((event_type, schema))
        };
        schemas.into_iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// Checks an event, and returns its payload as it is sent.
    pub(crate) fn check(
        &self,
        event_type: &str,
        payload: &impl Serialize,
        strict: bool,
    ) -> Result<Box<RawValue>, EventError> {
        check_type(event_type)?;
        let name = || event_type.to_owned();
        let not_json = |source| EventError::NotJson { event_type: name(), source };
        let text = to_raw_value(payload).map_err(not_json)?;
        let value: Value = serde_json::from_str(text.get()).map_err(not_json)?;
        let found = match &value {
            Value::Object(_) => None,
            Value::Null => Some("null"),
            Value::Bool(_) => Some("a boolean"),
            Value::Number(_) => Some("a number"),
            Value::String(_) => Some("a string"),
            Value::Array(_) => Some("an array"),
        };
        if let Some(found) = found {
            return Err(EventError::NotAnObject { event_type: name(), found });
        }
        match self.0.get(event_type) {
            Some(schema) => {
                if let Some(problem) = first_problem(schema, &value) {
                    return Err(EventError::Schema { event_type: name(), problem });
                }
            }
            None if self.0.is_empty() => {}
            None if strict => {
                let names: Vec<_> = self.0.keys().map(|name| format!("`{name}`")).collect();
                return Err(EventError::Undeclared { event_type: name(), declared: names.join(", ") });
            }
            None => tracing::warn!(event_type, "the event is not declared, and is sent anyway"),
        }
        Ok(text)
    }
}

fn check_type(event_type: &str) -> Result<(), EventError> {
    let length = event_type.chars().count();
    if length == 0 || length > MAX_TYPE || event_type == rxon::model::Event::PROGRESS {
        return Err(EventError::Type(rxon::text::excerpt(event_type)));
    }
    Ok(())
}

#[cfg(feature = "event-schemas")]
fn compile(event_type: &str, schema: &Value) -> Result<EventSchema, DeclarationError> {
    EventSchema::new(schema)
        .map_err(|problem| DeclarationError::Schema { event_type: event_type.to_owned(), problem })
}

#[cfg(not(feature = "event-schemas"))]
fn compile(event_type: &str, _schema: &Value) -> Result<EventSchema, DeclarationError> {
    Err(DeclarationError::FeatureOff { event_type: event_type.to_owned() })
}

/// The first problem of a payload, with its path.
#[cfg(feature = "event-schemas")]
fn first_problem(schema: &EventSchema, payload: &Value) -> Option<String> {
    schema.check(payload).err().map(|mismatch| mismatch.to_string())
}

#[cfg(not(feature = "event-schemas"))]
fn first_problem(schema: &EventSchema, _payload: &Value) -> Option<String> {
    match *schema {}
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
    fn a_declared_event_must_fit_its_schema() {
        assert_eq!(schemas().check("counted", &json!({"n": 1}), true).expect("fits").get(), r#"{"n":1}"#);
        let refused = refusal("counted", &json!({"n": "one"}));
        assert!(refused.contains("`counted` does not fit its schema: at `n`: "), "{refused}");
        assert!(refusal("counted", &json!({})).contains("\"n\" is a required property"));
        assert!(refusal("other", &json!({})).contains("the declared events are `counted`"));
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

    fn refused_declaration(event_type: &str, schema: Value) -> String {
        let error =
            EventSchemas::new(BTreeMap::from([(event_type.to_owned(), schema)])).expect_err("invalid");
        error.to_string()
    }

    #[test]
    fn an_invalid_type_cannot_be_declared() {
        let error = refused_declaration("progress", json!({}));
        assert!(error.starts_with("the event type `progress` is not valid"), "{error}");
    }

    #[test]
    fn an_invalid_schema_cannot_be_declared() {
        let error = refused_declaration("e", json!({"type": 5}));
        assert!(error.starts_with("the schema of the event `e` is not a valid JSON Schema: "), "{error}");
    }
}
