//! The check of parameters against the JSON Schema that a worker registered.
//!
//! The server takes parameters that do not fit, and the worker decides; this only finds mistakes before they are sent. So
//! what is not known here is not checked, and needs no library that takes long to build.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::texts;

/// The depth beyond which nothing is checked: schemas may refer to themselves.
const MAX_DEPTH: usize = 64;

/// Returns a sentence for each value that does not fit.
pub(in crate::commands) fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let mut check = Check { root: schema, problems: Vec::new() };
    check.value(schema, value, "", 0);
    check.problems
}

/// Whether the schema says that the value of a key is a text, and the given JSON is nothing else that it allows.
pub(super) fn wants_text(schema: &Value, key: &str, json: &RawValue) -> bool {
    let Some(property) = schema.get("properties").and_then(|properties| properties.get(key)) else {
        return false;
    };
    let mut types = Vec::new();
    collect_types(schema, property, &mut types, 0);
    let is_other = |name: &&str| *name != "string" && fits(name, json.get());
    types.contains(&"string") && !types.iter().any(is_other)
}

fn fits(name: &str, json: &str) -> bool {
    serde_json::from_str(json).is_ok_and(|value| has_type(&value, name))
}

fn collect_types<'s>(root: &'s Value, schema: &'s Value, types: &mut Vec<&'s str>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match schema.get("type") {
        Some(Value::String(name)) => types.push(name),
        Some(Value::Array(names)) => types.extend(names.iter().filter_map(Value::as_str)),
        _ => {}
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        for one in schema.get(word).and_then(Value::as_array).into_iter().flatten() {
            collect_types(root, one, types, depth + 1);
        }
    }
    if let Some(target) = target(root, schema) {
        collect_types(root, target, types, depth + 1);
    }
}

/// Returns the schema that a schema refers to.
fn target<'s>(root: &'s Value, schema: &Value) -> Option<&'s Value> {
    let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
    root.pointer(pointer)
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        // A float without a fraction is an integer, too.
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    }
}

struct Check<'s> {
    root: &'s Value,
    problems: Vec<String>,
}

impl Check<'_> {
    fn value(&mut self, schema: &Value, value: &Value, path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let Value::Object(words) = schema else {
            if *schema == Value::Bool(false) {
                self.problem(path, value, "nothing");
            }
            return;
        };
        if let Some(target) = target(self.root, schema) {
            self.value(target, value, path, depth + 1);
        }
        self.kind(words, value, path);
        match value {
            Value::Number(_) => self.number(words, value, path),
            Value::String(text) => self.text(words, value, text, path),
            Value::Array(items) => self.array(words, value, items, path, depth),
            Value::Object(members) => self.object(words, value, members, path, depth),
            Value::Null | Value::Bool(_) => {}
        }
        self.combinations(words, value, path, depth);
    }

    fn kind(&mut self, words: &Map<String, Value>, value: &Value, path: &str) {
        let types: Vec<&str> = match words.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !types.is_empty() && !types.iter().any(|name| has_type(value, name)) {
            self.problem(path, value, &types.join(" or "));
        }
        if let Some(Value::Array(allowed)) = words.get("enum")
            && !allowed.contains(value)
        {
            let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            self.problem(path, value, &format!("one of {}", allowed.join(", ")));
        }
        if let Some(only) = words.get("const").filter(|only| *only != value) {
            self.problem(path, value, &only.to_string());
        }
    }

    fn number(&mut self, words: &Map<String, Value>, value: &Value, path: &str) {
        let Some(number) = value.as_f64() else { return };
        let limit = |word: &str| words.get(word).and_then(Value::as_f64);
        for (word, is_wrong, expected) in [
            ("minimum", limit("minimum").is_some_and(|limit| number < limit), "at least"),
            ("exclusiveMinimum", limit("exclusiveMinimum").is_some_and(|limit| number <= limit), "more than"),
            ("maximum", limit("maximum").is_some_and(|limit| number > limit), "at most"),
            ("exclusiveMaximum", limit("exclusiveMaximum").is_some_and(|limit| number >= limit), "less than"),
        ] {
            if is_wrong {
                self.problem(path, value, &format!("{expected} {}", words[word]));
            }
        }
        if let Some(step) = limit("multipleOf").filter(|step| *step > 0.0) {
            let steps = number / step;
            if (steps - steps.round()).abs() > 1e-9 * steps.abs().max(1.0) {
                self.problem(path, value, &format!("a multiple of {}", words["multipleOf"]));
            }
        }
    }

    fn text(&mut self, words: &Map<String, Value>, value: &Value, text: &str, path: &str) {
        self.count(words, ("minLength", "maxLength"), text.chars().count(), "characters", (path, value));
        let word = |name: &str| words.get(name).and_then(Value::as_str);
        if let Some(pattern) = word("pattern").filter(|pattern| !texts::matches(pattern, text)) {
            self.problem(path, value, &format!("a text like `{pattern}`"));
        }
        if let Some(expected) = word("format").and_then(|format| texts::format_problem(format, text)) {
            self.problem(path, value, expected);
        }
    }

    fn array(
        &mut self,
        words: &Map<String, Value>,
        value: &Value,
        items: &[Value],
        path: &str,
        depth: usize,
    ) {
        self.count(words, ("minItems", "maxItems"), items.len(), "items", (path, value));
        let has_twice = || items.iter().enumerate().any(|(index, item)| items[..index].contains(item));
        if words.get("uniqueItems") == Some(&Value::Bool(true)) && has_twice() {
            self.problem(path, value, "each item once");
        }
        let first = words.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = first.get(index).or_else(|| words.get("items")) {
                self.value(schema, item, &format!("{path}[{index}]"), depth + 1);
            }
        }
    }

    fn object(
        &mut self,
        words: &Map<String, Value>,
        value: &Value,
        members: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) {
        self.count(words, ("minProperties", "maxProperties"), members.len(), "members", (path, value));
        for name in words.get("required").and_then(Value::as_array).into_iter().flatten() {
            if name.as_str().is_some_and(|name| !members.contains_key(name)) {
                let place = joined(path, name.as_str().unwrap_or_default());
                self.problems.push(format!("`{place}` is missing"));
            }
        }
        let properties = words.get("properties").and_then(Value::as_object);
        let patterns = words.get("patternProperties").and_then(Value::as_object);
        let others = words.get("additionalProperties");
        for (name, member) in members {
            let place = joined(path, name);
            let own = properties.and_then(|properties| properties.get(name));
            let fitting = patterns.into_iter().flatten().filter(|(pattern, _)| texts::matches(pattern, name));
            let schemas: Vec<&Value> = own.into_iter().chain(fitting.map(|(_, schema)| schema)).collect();
            for schema in &schemas {
                self.value(schema, member, &place, depth + 1);
            }
            if !schemas.is_empty() {
                continue;
            }
            if others == Some(&Value::Bool(false)) {
                self.problems.push(format!("`{place}` is unknown, expected {}", known(properties, patterns)));
            } else if let Some(schema) = others {
                self.value(schema, member, &place, depth + 1);
            }
        }
    }

    fn combinations(&mut self, words: &Map<String, Value>, value: &Value, path: &str, depth: usize) {
        let list = |word: &str| words.get(word).and_then(Value::as_array).map(Vec::as_slice);
        for schema in list("allOf").unwrap_or_default() {
            self.value(schema, value, path, depth + 1);
        }
        for word in ["anyOf", "oneOf"] {
            let Some(schemas) = list(word) else { continue };
            let tried: Vec<Vec<String>> =
                schemas.iter().map(|schema| self.tried(schema, value, path, depth)).collect();
            let fitting = tried.iter().filter(|problems| problems.is_empty()).count();
            if fitting == 0 {
                // The problems of the alternative that comes closest say most.
                let closest = tried.into_iter().min_by_key(Vec::len);
                self.problems.extend(closest.unwrap_or_default());
            } else if fitting > 1 && word == "oneOf" {
                self.problem(path, value, "what fits one of the alternatives only");
            }
        }
        if let Some(schema) = words.get("not")
            && self.tried(schema, value, path, depth).is_empty()
        {
            self.problem(path, value, "something else");
        }
    }

    /// Returns the problems with a schema that is one of several.
    fn tried(&self, schema: &Value, value: &Value, path: &str, depth: usize) -> Vec<String> {
        let mut check = Check { root: self.root, problems: Vec::new() };
        check.value(schema, value, path, depth + 1);
        check.problems
    }

    fn count(
        &mut self,
        words: &Map<String, Value>,
        (least, most): (&str, &str),
        count: usize,
        what: &str,
        (path, value): (&str, &Value),
    ) {
        let limit = |word: &str| words.get(word).and_then(Value::as_f64);
        if let Some(limit) = limit(least).filter(|limit| (count as f64) < *limit) {
            self.problem(path, value, &format!("at least {limit} {what}"));
        }
        if let Some(limit) = limit(most).filter(|limit| count as f64 > *limit) {
            self.problem(path, value, &format!("at most {limit} {what}"));
        }
    }

    fn problem(&mut self, path: &str, value: &Value, expected: &str) {
        let value = rxon::text::excerpt_within(value.to_string(), 60);
        let place = if path.is_empty() { "the object" } else { path };
        self.problems.push(format!("`{place}` is `{value}`, expected {expected}"));
    }
}

/// Returns the names that members may have, for a message.
fn known(properties: Option<&Map<String, Value>>, patterns: Option<&Map<String, Value>>) -> String {
    let names = properties.into_iter().flatten().map(|(name, _)| format!("`{name}`"));
    let patterns = patterns.into_iter().flatten().map(|(pattern, _)| format!("a name like `{pattern}`"));
    let known: Vec<String> = names.chain(patterns).collect();
    if known.is_empty() { "no members".to_owned() } else { known.join(", ") }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "width": {"type": "integer", "minimum": 1, "maximum": 8192},
                "name": {"type": "string", "minLength": 2, "maxLength": 4},
                "mode": {"enum": ["fast", "good"]},
                "code": {"type": "string", "pattern": "^[a-z]+-\\d$"},
                "day": {"type": "string", "format": "date"},
                "map": {"patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": false},
                "none": {"additionalProperties": false},
                "both": {"properties": {"a": {}}, "patternProperties": {"^n_": {}}, "additionalProperties": false},
                "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2, "uniqueItems": true},
                "box": {"$ref": "#/$defs/Box"},
                "either": {"anyOf": [{"type": "null"}, {"type": "number", "exclusiveMinimum": 0}]},
                "one": {"oneOf": [{"type": "integer"}, {"type": "number", "multipleOf": 0.5}]},
                "pair": {"prefixItems": [{"const": 1}, {"type": "boolean"}], "items": false},
                "free": {"additionalProperties": {"type": "integer"}},
                "not": {"not": {"type": "string"}},
            },
            "required": ["width"],
            "additionalProperties": false,
            "$defs": {"Box": {"type": "object", "properties": {"inner": {"$ref": "#/$defs/Box"}}, "required": ["x"]}},
        })
    }

    /// Values, each with a word of the problem that they have.
    fn values() -> Vec<(Value, Option<&'static str>)> {
        vec![
            (json!({"width": 640}), None),
            (json!({"width": 640.0}), None),
            (json!({"width": "640"}), Some("`width` is `\"640\"`, expected integer")),
            (json!({"width": 0}), Some("at least 1")),
            (json!({"width": 9000}), Some("at most 8192")),
            (json!({}), Some("`width` is missing")),
            (json!({"width": 1, "wdith": 2}), Some("`wdith` is unknown, expected")),
            (json!({"width": 1, "name": "a"}), Some("at least 2 characters")),
            (json!({"width": 1, "name": "üüüüü"}), Some("at most 4 characters")),
            (json!({"width": 1, "mode": "best"}), Some("one of \"fast\", \"good\"")),
            (json!({"width": 1, "code": "ab-1"}), None),
            (
                json!({"width": 1, "code": "ab-x"}),
                Some("`code` is `\"ab-x\"`, expected a text like `^[a-z]+-\\d$`"),
            ),
            (json!({"width": 1, "day": "2026-11-30"}), None),
            (json!({"width": 1, "day": "30.11."}), Some("expected a date such as 2026-01-31")),
            (json!({"width": 1, "map": {"n_a": 1}}), None),
            (json!({"width": 1, "map": {"n_a": "x"}}), Some("`map.n_a` is `\"x\"`, expected integer")),
            (json!({"width": 1, "map": {"m": 1}}), Some("`map.m` is unknown, expected a name like `^n_`")),
            (json!({"width": 1, "none": {"m": 1}}), Some("`none.m` is unknown, expected no members")),
            (
                json!({"width": 1, "both": {"m": 1}}),
                Some("`both.m` is unknown, expected `a`, a name like `^n_`"),
            ),
            (json!({"width": 1, "tags": ["a", "a"]}), Some("each item once")),
            (json!({"width": 1, "tags": ["a", 5]}), Some("`tags[1]` is `5`, expected string")),
            (json!({"width": 1, "box": {"x": 1, "inner": {}}}), Some("`box.inner.x` is missing")),
            (json!({"width": 1, "box": {"x": 1, "inner": {"x": 2}}}), None),
            (json!({"width": 1, "either": null}), None),
            (json!({"width": 1, "either": 0}), Some("either")),
            (json!({"width": 1, "one": 1}), Some("one of the alternatives only")),
            (json!({"width": 1, "one": 1.5}), None),
            (json!({"width": 1, "one": 1.25}), Some("one")),
            (json!({"width": 1, "pair": [1, true]}), None),
            (json!({"width": 1, "pair": [2, true]}), Some("`pair[0]`")),
            (json!({"width": 1, "pair": [1, true, 5]}), Some("expected nothing")),
            (json!({"width": 1, "free": {"a": "x"}}), Some("`free.a`")),
            (json!({"width": 1, "not": "x"}), Some("something else")),
            (json!([1]), Some("expected object")),
        ]
    }

    #[test]
    fn problems_name_the_place_and_the_expected_value() {
        for (value, expected) in values() {
            let problems = problems(&schema(), &value).join("; ");
            match expected {
                Some(words) => assert!(problems.contains(words), "{value}: {problems}"),
                None => assert_eq!(problems, "", "{value}"),
            }
        }
    }

    #[test]
    fn it_agrees_with_a_library() {
        let validator =
            jsonschema::options().should_validate_formats(true).build(&schema()).expect("a schema");
        for (value, _) in values() {
            assert_eq!(problems(&schema(), &value).is_empty(), validator.is_valid(&value), "{value}");
        }
    }

    #[test]
    fn schemas_that_refer_to_themselves_end() {
        let endless = json!({"$ref": "#"});
        assert_eq!(problems(&endless, &json!({})), [] as [&str; 0]);
        assert!(!wants_text(&json!({"properties": {"a": {"$ref": "#/properties/a"}}}), "a", RawValue::NULL));
    }
}
