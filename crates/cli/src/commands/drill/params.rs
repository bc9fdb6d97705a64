//! Parameters that a JSON Schema allows, as small as possible.

use serde_json::{Map, Number, Value};

use crate::commands::submit::schema::problems;

/// The depth beyond which nothing is made: schemas may refer to themselves.
const MAX_DEPTH: usize = 16;

/// The most items or characters that a value gets.
const MAX_LENGTH: u64 = 1_000;

/// Makes an object that fits a schema. `file` is the address of a file, for texts that are to be addresses.
pub(super) fn of(schema: &Value, file: &str) -> Result<Value, String> {
    let maker = Maker { root: schema, file };
    let value = maker.value(schema, 0).unwrap_or_else(|| Value::Object(Map::new()));
    match problems(schema, &value).as_slice() {
        [] if value.is_object() => Ok(value),
        [] => Err("its schema asks for something else than an object".to_owned()),
        problems => Err(format!("no parameters could be made from its schema: {}", problems.join("; "))),
    }
}

struct Maker<'s> {
    root: &'s Value,
    file: &'s str,
}

impl Maker<'_> {
    /// Makes a value: the example, else the default, the constant, the first of the allowed values, the smallest one.
    fn value(&self, schema: &Value, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        let Value::Object(words) = schema else {
            return (*schema == Value::Bool(true)).then(|| Value::Object(Map::new()));
        };
        self.given(schema, words)
            .or_else(|| self.referred(words, depth))
            .or_else(|| self.smallest(words, depth))
    }

    /// Returns a value that stands in the schema and fits it.
    fn given(&self, schema: &Value, words: &Map<String, Value>) -> Option<Value> {
        let first = |word: &str| words.get(word)?.as_array()?.first();
        let given = [
            words.get("example"),
            first("examples"),
            words.get("default"),
            words.get("const"),
            first("enum"),
        ];
        given.into_iter().flatten().find(|value| self.fits(schema, value)).cloned()
    }

    /// Whether a value fits a part of the schema, which may refer to its root.
    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut whole = Map::new();
        for definitions in ["$defs", "definitions"] {
            if let Some(known) = self.root.get(definitions) {
                whole.insert(definitions.to_owned(), known.clone());
            }
        }
        if let Value::Object(words) = schema {
            whole.extend(words.clone());
        }
        problems(&Value::Object(whole), value).is_empty()
    }

    /// Makes a value of a schema that this one names, beside what it says itself.
    fn referred(&self, words: &Map<String, Value>, depth: usize) -> Option<Value> {
        if let Some(pointer) = words.get("$ref").and_then(Value::as_str) {
            let target = self.root.pointer(pointer.strip_prefix('#')?)?;
            return self.value(target, depth + 1);
        }
        for word in ["anyOf", "oneOf"] {
            let Some(alternatives) = words.get(word).and_then(Value::as_array) else { continue };
            let made = alternatives.iter().filter_map(|one| self.value(&joined(words, word, one), depth + 1));
            let whole = Value::Object(words.clone());
            return made.into_iter().find(|value| self.fits(&whole, value));
        }
        let parts = words.get("allOf").and_then(Value::as_array)?;
        let whole = parts.iter().fold(without(words, "allOf"), |whole, part| {
            let part = part
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|pointer| self.root.pointer(pointer.strip_prefix('#')?))
                .unwrap_or(part);
            merged(whole, part)
        });
        self.value(&Value::Object(whole), depth + 1)
    }

    fn smallest(&self, words: &Map<String, Value>, depth: usize) -> Option<Value> {
        let kind = match words.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
            _ if words.contains_key("properties") || words.contains_key("required") => "object",
            _ if words.contains_key("items") || words.contains_key("prefixItems") => "array",
            _ if words.contains_key("minLength") || words.contains_key("format") => "string",
            _ if words.contains_key("minimum") || words.contains_key("maximum") => "number",
            _ => "object",
        };
        match kind {
            "null" => Some(Value::Null),
            "boolean" => Some(Value::Bool(false)),
            "integer" => number(words, true),
            "number" => number(words, false),
            "string" => Some(Value::String(self.text(words))),
            "array" => self.array(words, depth),
            _ => self.object(words, depth),
        }
    }

    fn text(&self, words: &Map<String, Value>) -> String {
        match words.get("format").and_then(Value::as_str) {
            Some("uri" | "iri" | "uri-reference" | "url") => self.file.to_owned(),
            Some("date-time") => "2000-01-01T00:00:00Z".to_owned(),
            Some("date") => "2000-01-01".to_owned(),
            Some("time") => "00:00:00Z".to_owned(),
            Some("duration") => "PT0S".to_owned(),
            Some("email") => "a@example.com".to_owned(),
            Some("hostname") => "localhost".to_owned(),
            Some("ipv4") => "127.0.0.1".to_owned(),
            Some("ipv6") => "::1".to_owned(),
            Some("uuid") => "00000000-0000-4000-8000-000000000000".to_owned(),
            _ => "x".repeat(length(words, "minLength")),
        }
    }

    fn array(&self, words: &Map<String, Value>, depth: usize) -> Option<Value> {
        let first = words.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let any = Value::Bool(true);
        let schema = |index: usize| first.get(index).or_else(|| words.get("items")).unwrap_or(&any);
        let items = (0..length(words, "minItems")).map(|index| self.value(schema(index), depth + 1));
        items.collect::<Option<Vec<Value>>>().map(Value::Array)
    }

    fn object(&self, words: &Map<String, Value>, depth: usize) -> Option<Value> {
        let required = words.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let properties = words.get("properties").and_then(Value::as_object);
        let any = Value::Bool(true);
        let mut members = Map::new();
        for name in required.iter().filter_map(Value::as_str) {
            let schema = properties.and_then(|properties| properties.get(name));
            let others = || words.get("additionalProperties").unwrap_or(&any);
            members.insert(name.to_owned(), self.value(schema.unwrap_or_else(others), depth + 1)?);
        }
        let least = length(words, "minProperties");
        for (name, schema) in properties.into_iter().flatten() {
            if members.len() >= least {
                break;
            }
            if !members.contains_key(name) {
                members.insert(name.clone(), self.value(schema, depth + 1)?);
            }
        }
        Some(Value::Object(members))
    }
}

/// Returns the number nearest to zero that is allowed.
fn number(words: &Map<String, Value>, is_whole: bool) -> Option<Value> {
    let limit = |word: &str| words.get(word).and_then(Value::as_f64);
    let step = limit("multipleOf").filter(|step| *step > 0.0).or(is_whole.then_some(1.0));
    let beyond = step.unwrap_or(0.5);
    let least =
        limit("minimum").into_iter().chain(limit("exclusiveMinimum").map(|limit| limit + beyond / 2.0));
    let most =
        limit("maximum").into_iter().chain(limit("exclusiveMaximum").map(|limit| limit - beyond / 2.0));
    let mut number = least.fold(f64::NEG_INFINITY, f64::max).max(0.0);
    let most = most.fold(f64::INFINITY, f64::min);
    if number > most {
        number = most;
    }
    if let Some(step) = step {
        let steps = number / step;
        number = step * if number > 0.0 { steps.ceil() } else { steps.floor() };
    }
    // Whole numbers are written without a fraction, as they mostly stand in examples.
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Some(Value::Number(Number::from(number as i64)));
    }
    Number::from_f64(number).map(Value::Number)
}

fn length(words: &Map<String, Value>, word: &str) -> usize {
    let length = words.get(word).and_then(Value::as_u64).unwrap_or(0);
    usize::try_from(length.min(MAX_LENGTH)).unwrap_or(0)
}

fn without(words: &Map<String, Value>, word: &str) -> Map<String, Value> {
    words
        .iter()
        .filter(|(name, _)| *name != word)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Returns an alternative together with what is said beside it.
fn joined(words: &Map<String, Value>, word: &str, alternative: &Value) -> Value {
    match alternative {
        Value::Object(_) => Value::Object(merged(without(words, word), alternative)),
        other => other.clone(),
    }
}

/// Joins two schemas; the second one counts where both say something else than members.
fn merged(mut whole: Map<String, Value>, part: &Value) -> Map<String, Value> {
    for (name, value) in part.as_object().into_iter().flatten() {
        match (whole.get_mut(name), value) {
            (Some(Value::Object(known)), Value::Object(more)) if name == "properties" => {
                known.extend(more.clone());
            }
            (Some(Value::Array(known)), Value::Array(more)) if name == "required" => {
                known.extend(more.clone());
            }
            _ => {
                whole.insert(name.clone(), value.clone());
            }
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_smallest_parameters_are_made() {
        for (schema, expected) in [
            (json!({}), json!({})),
            (json!(true), json!({})),
            (json!({"type": "object", "properties": {"a": {"type": "string"}}}), json!({})),
            (json!({"required": ["a"]}), json!({"a": {}})),
            (member(&json!({"type": "string"})), json!({"a": ""})),
            (member(&json!({"type": "string", "minLength": 3})), json!({"a": "xxx"})),
            (member(&json!({"type": "string", "format": "uri"})), json!({"a": "s3://b/file"})),
            (member(&json!({"type": "integer", "minimum": 3})), json!({"a": 3})),
            (member(&json!({"type": "integer", "exclusiveMinimum": 3})), json!({"a": 4})),
            (member(&json!({"type": "integer", "minimum": -5, "maximum": -2})), json!({"a": -2})),
            (member(&json!({"type": "integer", "minimum": 5, "multipleOf": 4})), json!({"a": 8})),
            (member(&json!({"type": "number", "exclusiveMinimum": 0})), json!({"a": 0.25})),
            (member(&json!({"type": "number", "minimum": 0.1})), json!({"a": 0.1})),
            (member(&json!({"type": ["null", "string"]})), json!({"a": null})),
            (member(&json!({"type": "boolean"})), json!({"a": false})),
            (
                member(&json!({"type": "array", "items": {"type": "integer"}, "minItems": 2})),
                json!({"a": [0, 0]}),
            ),
            (
                member(&json!({"prefixItems": [{"const": 1}, {"type": "null"}], "minItems": 2})),
                json!({"a": [1, null]}),
            ),
            (member(&json!({"anyOf": [{"type": "integer"}, {"type": "null"}]})), json!({"a": 0})),
            (
                member(&json!({"oneOf": [{"type": "string"}, {"type": "string", "minLength": 2}]})),
                json!({"a": ""}),
            ),
            (
                json!({"allOf": [{"$ref": "#/$defs/A"}, {"required": ["a"]}], "$defs": {"A": {"properties": {"a": {"const": 7}}}}}),
                json!({"a": 7}),
            ),
            (
                json!({"$ref": "#/$defs/A", "$defs": {"A": member(&json!({"type": "null"}))}}),
                json!({"a": null}),
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "null"}}, "minProperties": 1}),
                json!({"a": null}),
            ),
        ] {
            assert_eq!(of(&schema, "s3://b/file").as_ref(), Ok(&expected), "{schema}");
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            assert!(validator.is_valid(&expected), "{schema}");
        }
    }

    #[test]
    fn what_the_schema_gives_comes_first_if_it_fits() {
        let words = |mut schema: Value, left_out: &[&str]| {
            for word in left_out {
                schema.as_object_mut().expect("an object").remove(*word);
            }
            member(&schema)
        };
        let all = json!({
            "type": "integer", "examples": [5], "default": 6, "enum": [8, 7, 6, 5], "example": 7, "minimum": 5,
        });
        for (left_out, expected) in [
            (&[][..], 7),
            (&["example"], 5),
            (&["example", "examples"], 6),
            (&["example", "examples", "default"], 8),
            (&["example", "examples", "default", "enum"], 5),
        ] {
            assert_eq!(of(&words(all.clone(), left_out), ""), Ok(json!({"a": expected})), "{left_out:?}");
        }
        let wrong = member(&json!({"type": "integer", "examples": ["five"], "default": 3, "minimum": 9}));
        assert_eq!(of(&wrong, ""), Ok(json!({"a": 9})));
        let whole = json!({"type": "object", "required": ["a", "b"], "examples": [{"a": 1, "b": 2}]});
        assert_eq!(of(&whole, ""), Ok(json!({"a": 1, "b": 2})));
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        for schema in [
            json!(false),
            json!({"type": "array"}),
            member(&json!({"type": "integer", "minimum": 5, "maximum": 4})),
            member(&json!({"not": {}})),
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"required": ["a"], "properties": {"a": {"$ref": "#/$defs/A"}}}}}),
        ] {
            let error = of(&schema, "").expect_err("impossible");
            assert!(error.contains("schema"), "{schema}: {error}");
        }
    }

    /// The schema of an object with one member.
    fn member(schema: &Value) -> Value {
        json!({"type": "object", "properties": {"a": schema}, "required": ["a"]})
    }
}
