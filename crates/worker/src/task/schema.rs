//! JSON Schemas that values are checked against.

use std::fmt::{self, Write as _};

use jsonschema::Validator;
use jsonschema::paths::{Location, LocationSegment};
use rxon::text::excerpt;
use serde_json::Value;

/// The maximum length of a problem that quotes the value, in bytes.
const MAX_QUOTED: usize = 200;

/// A JSON Schema, ready to check values. References to other documents are not followed.
#[derive(Debug)]
pub(crate) struct Schema(Validator);

/// The first problem of a value.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// The path to the problem, such as `items[0].width`; `.` means the value as a whole.
    pub(crate) path: String,
    pub(crate) problem: String,
}

impl Schema {
    /// Makes a schema ready, or says why it is not a valid JSON Schema.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        jsonschema::validator_for(schema).map(Self).map_err(|error| error.to_string())
    }

    /// Finds the first problem of a value; none if it fits.
    pub(crate) fn check(&self, value: &Value) -> Result<(), Mismatch> {
        self.0.validate(value).map_err(|error| {
            let quoted = error.to_string();
            // The problem itself stands after the value.
            let problem = if quoted.len() > MAX_QUOTED { error.masked().to_string() } else { quoted };
            Mismatch { path: path(&error.instance_path), problem: excerpt(problem) }
        })
    }
}

impl Mismatch {
    /// A problem of the value as a whole.
    pub(crate) fn of_all(problem: impl fmt::Display) -> Self {
        Self { path: ".".to_owned(), problem: problem.to_string() }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "." => formatter.write_str(&self.problem),
            path => write!(formatter, "at `{path}`: {}", self.problem),
        }
    }
}

/// A path in the form of those that serde's errors have.
fn path(location: &Location) -> String {
    let mut path = String::new();
    for segment in location {
        let _ = match segment {
            LocationSegment::Index(index) => write!(path, "[{index}]"),
            LocationSegment::Property(name) if path.is_empty() => write!(path, "{name}"),
            LocationSegment::Property(name) => write!(path, ".{name}"),
        };
    }
    if path.is_empty() { ".".to_owned() } else { path }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_problem_is_described_with_its_path() {
        let schema = Schema::new(&json!({
            "type": "object",
            "properties": {"n": {"type": "integer"}, "a": {"items": {"properties": {"b c": {"type": "string"}}}}},
            "required": ["n"],
        }))
        .expect("a schema");
        let problem = |value| schema.check(&value).err().map(|mismatch| mismatch.to_string());
        assert_eq!(problem(json!({"n": 1.0, "other": 2})), None);
        for (value, wanted) in [
            (json!({"n": "x"}), r#"at `n`: "x" is not of type "integer""#),
            (json!({"n": "x".repeat(300)}), r#"at `n`: value is not of type "integer""#),
            (json!({}), r#""n" is a required property"#),
            (json!(null), r#"null is not of type "object""#),
            (json!({"n": 1, "a": [{}, {"b c": 5}]}), r#"at `a[1].b c`: 5 is not of type "string""#),
        ] {
            assert_eq!(problem(value).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for schema in [json!({"type": 5}), json!({"type": "nonsense"}), json!({"$ref": "https://a.b/c.json"})]
        {
            assert!(Schema::new(&schema).is_err(), "{schema}");
        }
    }
}
