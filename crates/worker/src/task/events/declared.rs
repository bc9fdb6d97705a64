//! The events that a task declares.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::{DeclarationError, EventError};
use super::schema::EventSchema;

/// The maximum length of an event's type, in characters.
const MAX_TYPE: usize = 128;

/// The events that a task declares.
#[derive(Debug, Default)]
pub(crate) struct EventSchemas(BTreeMap<String, EventSchema>);

impl EventSchemas {
    pub(crate) fn new(schemas: BTreeMap<String, Value>) -> Result<Self, DeclarationError> {
        let compile = |(event_type, schema): (String, Value)| {
            check_type(&event_type).map_err(DeclarationError::Type)?;
            let schema = EventSchema::compile(&event_type, &schema)?;
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
        let event_type = || event_type.to_owned();
        let text = serde_json::value::to_raw_value(payload)
            .map_err(|source| EventError::NotJson { event_type: event_type(), source })?;
        let value: Value = serde_json::from_str(text.get())
            .map_err(|source| EventError::NotJson { event_type: event_type(), source })?;
        if let Some(found) = kind_unless_object(&value) {
            return Err(EventError::NotAnObject { event_type: event_type(), found });
        }
        if self.0.is_empty() {
            return Ok(text);
        }
        match self.0.get(&event_type()) {
            Some(schema) => match schema.check(&value) {
                Ok(()) => Ok(text),
                Err(problem) => Err(EventError::Schema { event_type: event_type(), problem }),
            },
            None if strict => {
                let names: Vec<_> = self.0.keys().map(|name| format!("`{name}`")).collect();
                Err(EventError::Undeclared { event_type: event_type(), declared: names.join(", ") })
            }
            None => {
                tracing::warn!(event_type = event_type(), "the event is not declared, and is sent anyway");
                Ok(text)
            }
        }
    }
}

fn check_type(event_type: &str) -> Result<(), EventError> {
    let length = event_type.chars().count();
    if length == 0 || length > MAX_TYPE || event_type == rxon::model::Event::PROGRESS {
        return Err(EventError::Type(rxon::text::excerpt(event_type)));
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

    #[cfg(feature = "event-schemas")]
    fn schemas() -> EventSchemas {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        EventSchemas::new(BTreeMap::from([("counted".to_owned(), schema)])).expect("schemas")
    }

    #[cfg(feature = "event-schemas")]
    fn refusal(event_type: &str, payload: &Value) -> String {
        schemas().check(event_type, payload, true).expect_err("refused").to_string()
    }

    #[cfg(feature = "event-schemas")]
    #[test]
    fn a_declared_event_must_fit_its_schema() {
        assert_eq!(schemas().check("counted", &json!({"n": 1}), true).expect("fits").get(), r#"{"n":1}"#);
        let refused = refusal("counted", &json!({"n": "one"}));
        assert!(refused.contains("`counted` does not fit its schema: /n: "), "{refused}");
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

    #[cfg(feature = "event-schemas")]
    #[test]
    fn an_invalid_schema_cannot_be_declared() {
        let error = refused_declaration("e", json!({"type": 5}));
        assert!(error.starts_with("the schema of the event `e` is not a valid JSON Schema: "), "{error}");
    }

    #[cfg(not(feature = "event-schemas"))]
    #[test]
    fn without_the_feature_no_event_can_be_declared() {
        let error = refused_declaration("e", json!({}));
        assert_eq!(error, "the event `e` cannot be checked: the feature `event-schemas` is off");
    }
}
