//! Writing messages without empty objects.
//!
//! On Redis, orchestrator 1.0b30 repacks the record of a worker with a serialiser that knows no difference between an empty
//! object and an empty list: each `{}` becomes `[]`, and jobs of that worker fail on it. An empty object says nothing, so it
//! is left out. An empty schema allows everything, and is written as one that allows everything and is not empty.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Keywords of JSON Schema whose value is an object of schemas by name.
const SCHEMAS_BY_NAME: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// Keywords of JSON Schema whose value is data. If there is an empty object in it, the keyword is left out: then the schema
/// allows more, which is as much as can be said without empty objects.
const DATA: [&str; 4] = ["default", "const", "enum", "examples"];

/// The members of an object, as maps of different kinds have them.
pub(super) trait Members {
    fn members(&self) -> impl Iterator<Item = (&String, &Value)>;
}

impl Members for BTreeMap<String, Value> {
    fn members(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.iter()
    }
}

impl Members for Map<String, Value> {
    fn members(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.iter()
    }
}

/// Whether nothing is left of an object without its empty objects.
pub(super) fn is_hollow(members: &impl Members) -> bool {
    members.members().all(|(_, value)| is_empty(value))
}

/// Writes an object without its empty objects.
pub(super) fn members<S: Serializer>(members: &impl Members, serializer: S) -> Result<S::Ok, S::Error> {
    let filled = members.members().filter(|(_, value)| !is_empty(value));
    serializer.collect_map(filled.map(|(key, value)| (key, filled_value(value))))
}

/// Writes schemas by name.
pub(super) fn schemas<S: Serializer>(
    schemas: &BTreeMap<String, Value>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(schemas.iter().map(|(name, schema)| (name, filled_schema(schema))))
}

/// Writes a schema. One without empty objects is written as it is.
#[expect(clippy::ref_option, reason = "as serde calls it")]
pub(super) fn schema<S: Serializer>(
    schema: &Option<Box<RawValue>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let parsed = schema.as_ref().and_then(|schema| serde_json::from_str::<Value>(schema.get()).ok());
    match parsed.filter(contains_empty) {
        Some(parsed) => filled_schema(&parsed).serialize(serializer),
        None => schema.serialize(serializer),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(is_hollow)
}

fn contains_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty() || members.values().any(contains_empty),
        Value::Array(items) => items.iter().any(contains_empty),
        _ => false,
    }
}

fn filled_value(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let filled = members.iter().filter(|(_, value)| !is_empty(value));
            filled.map(|(key, value)| (key.clone(), filled_value(value))).collect()
        }
        Value::Array(items) => items.iter().filter(|item| !is_empty(item)).map(filled_value).collect(),
        _ => value.clone(),
    }
}

fn filled_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(keywords) => {
            let filled: Map<_, _> = keywords.iter().filter_map(filled_keyword).collect();
            if filled.is_empty() { any_value() } else { Value::Object(filled) }
        }
        Value::Array(schemas) => schemas.iter().map(filled_schema).collect(),
        _ => schema.clone(),
    }
}

fn filled_keyword((keyword, value): (&String, &Value)) -> Option<(String, Value)> {
    let filled = match value {
        Value::Object(schemas) if SCHEMAS_BY_NAME.contains(&keyword.as_str()) => {
            let filled: Map<_, _> =
                schemas.iter().map(|(name, schema)| (name.clone(), filled_schema(schema))).collect();
            (!filled.is_empty()).then_some(Value::Object(filled))
        }
        _ if DATA.contains(&keyword.as_str()) => (!contains_empty(value)).then(|| value.clone()),
        _ => Some(filled_schema(value)),
    };
    filled.map(|filled| (keyword.clone(), filled))
}

/// The schema that allows everything, as an object that is not empty: comments mean nothing to validators.
fn any_value() -> Value {
    serde_json::json!({ "$comment": "any value" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_schemas_become_equal_ones_and_empty_maps_of_schemas_go() {
        let any = || json!({"$comment": "any value"});
        let cases = [
            (json!({}), any()),
            (json!({"type": "object", "properties": {}}), json!({"type": "object"})),
            (json!({"properties": {}}), any()),
            // A property may be named like a keyword.
            (json!({"properties": {"properties": {}}}), json!({"properties": {"properties": any()}})),
            (json!({"items": {}, "anyOf": [{}, true]}), json!({"items": any(), "anyOf": [any(), true]})),
            (json!({"type": "object", "default": {"a": [{}]}}), json!({"type": "object"})),
            (json!({"enum": [1, {}]}), any()),
            (json!({"default": [], "$defs": {"x": {}}}), json!({"default": [], "$defs": {"x": any()}})),
            (json!(true), json!(true)),
        ];
        for (schema, filled) in cases {
            assert_eq!(filled_schema(&schema), filled, "{schema}");
        }
    }

    #[test]
    fn a_schema_without_empty_objects_is_written_to_the_letter() {
        let text = r#"{ "maximum": 1.50, "b": 1, "a": 123456789012345678901 }"#;
        let raw = Some(RawValue::from_string(text.to_owned()).unwrap());
        let mut written = Vec::new();
        schema(&raw, &mut serde_json::Serializer::new(&mut written)).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), text);
    }

    #[test]
    fn empty_objects_are_left_out_with_all_that_holds_nothing_else() {
        let members = json!({"a": {"b": {}}, "list": [{}, [], {"c": {}, "d": null}], "e": ""});
        let expected = json!({"list": [[], {"d": null}], "e": ""});
        assert_eq!(filled_value(&members), expected);
        assert!(is_hollow(json!({"a": {"b": {"c": {}}}}).as_object().unwrap()));
        assert!(!is_hollow(members.as_object().unwrap()));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            Just(json!({})),
            Just(json!([])),
            any::<i32>().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            let key = prop_oneof!["[a-c]", Just("properties".to_owned()), Just("default".to_owned())];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::vec((key, inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_empty_object_is_left(value in any_json()) {
            prop_assert!(!contains_empty(&filled_schema(&value)));
            let holder: BTreeMap<String, Value> = BTreeMap::from([("held".to_owned(), value)]);
            let written = members(&holder, serde_json::value::Serializer).unwrap();
            prop_assert!(is_hollow(&holder) || !contains_empty(&written), "{written}");
        }
    }
}
