//! The parameters of a step: JSON in which a text like `$.a.b` stands for a value of the job's data.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::BlueprintError;
use super::data::Lookup;

/// The beginning of a text that stands for a value.
const REFERENCE: &str = "$.";

/// The largest parameters of a step, in bytes: as large as those that people may submit.
const MAX_SIZE: usize = 16 * 1024 * 1024;

/// The deepest nesting.
const MAX_DEPTH: usize = 100;

/// Parameters, or a part of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Template {
    /// JSON that stays as it is.
    Fixed(String),
    /// A value of the data, by its path.
    Reference(Vec<String>),
    Object(Vec<(String, Self)>),
    Array(Vec<Self>),
}

impl Template {
    /// Reads what stands at `place` in a blueprint.
    pub(super) fn read(value: &RawValue, place: &str) -> Result<Self, BlueprintError> {
        Self::read_at(value, place, 0)
    }

    fn read_at(value: &RawValue, place: &str, depth: usize) -> Result<Self, BlueprintError> {
        if depth > MAX_DEPTH {
            let problem = format!("there are more than {MAX_DEPTH} values inside of each other");
            return Err(BlueprintError::at(place, problem));
        }
        let wrong = |error| BlueprintError::at(place, error);
        let text = value.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(wrong)?;
                let read = |(name, value): (String, &RawValue)| {
                    let template = Self::read_at(value, &format!("{place}.{name}"), depth + 1)?;
                    Ok((name, template))
                };
                Self::Object(members.into_iter().map(read).collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(wrong)?;
                let read = |(index, item): (usize, &&RawValue)| {
                    Self::read_at(item, &format!("{place}[{index}]"), depth + 1)
                };
                Self::Array(items.iter().enumerate().map(read).collect::<Result<_, _>>()?)
            }
            Some(b'"') => {
                let decoded: String = serde_json::from_str(text).map_err(wrong)?;
                match decoded.strip_prefix(REFERENCE) {
                    Some(path) => Self::Reference(read_path(path, place)?),
                    None => Self::Fixed(text.to_owned()),
                }
            }
            _ => Self::Fixed(text.to_owned()),
        })
    }

    /// Returns the parameters with values of the data in place of references, or what is wrong.
    pub(super) fn fill(&self, data: &RawValue) -> Result<Box<RawValue>, String> {
        let mut text = String::new();
        self.write(&mut Lookup::new(data), &mut text)?;
        RawValue::from_string(text).map_err(|error| error.to_string())
    }

    fn write(&self, data: &mut Lookup<'_>, text: &mut String) -> Result<(), String> {
        match self {
            Self::Fixed(json) => text.push_str(json),
            Self::Reference(path) => {
                let missing = || format!("the data of the job have no `{REFERENCE}{}`", path.join("."));
                text.push_str(data.find(path).ok_or_else(missing)?.get());
            }
            Self::Object(members) => {
                text.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { "," });
                    text.push_str(&serde_json::to_string(name).map_err(|error| error.to_string())?);
                    text.push(':');
                    value.write(data, text)?;
                }
                text.push('}');
            }
            Self::Array(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { "," });
                    item.write(data, text)?;
                }
                text.push(']');
            }
        }
        if text.len() > MAX_SIZE {
            return Err(format!("they have more than {MAX_SIZE} bytes, which is the limit"));
        }
        Ok(())
    }
}

fn read_path(path: &str, place: &str) -> Result<Vec<String>, BlueprintError> {
    let names: Vec<String> = path.split('.').map(str::to_owned).collect();
    if names.iter().any(String::is_empty) {
        let problem = format!("`{REFERENCE}{path}` names no value, expected something like `$.a.b`");
        return Err(BlueprintError::at(place, problem));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    fn filled(template: &str, data: &str) -> Result<String, String> {
        let template = Template::read(&raw(template), "params").expect("a template");
        template.fill(&raw(data)).map(|filled| filled.get().to_owned())
    }

    #[test]
    fn references_are_replaced_wherever_they_stand_and_the_rest_stays() {
        let template = r#"{"a":"$.x","b":[1.0,"$.y.z",{"c":"$.y"}],"d":"$","e":"x $.x","f":"$x"}"#;
        let data = r#"{"x": 12345678901234567890123, "y": {"z": 1.10}}"#;
        let expected =
            r#"{"a":12345678901234567890123,"b":[1.0,1.10,{"c":{"z": 1.10}}],"d":"$","e":"x $.x","f":"$x"}"#;
        assert_eq!(filled(template, data).as_deref(), Ok(expected));
        assert_eq!(
            filled(r#"{"\u0022":"\u0024.x"}"#, data).as_deref(),
            Ok(r#"{"\"":12345678901234567890123}"#)
        );
    }

    #[test]
    fn a_value_that_is_missing_is_named() {
        let problem = filled(r#"{"a":"$.y.q"}"#, r#"{"y":{}}"#).expect_err("missing");
        assert!(problem.contains("`$.y.q`"), "{problem}");
    }

    #[test]
    fn data_are_parsed_once_for_many_references() {
        let items = vec!["{\"a\":1}"; 100_000].join(",");
        let data = format!(r#"{{"x":{{"list":[{items}],"n":1}}}}"#);
        let template = format!("[{}]", vec![r#""$.x.n","$.x.list.7.a""#; 500].join(","));
        let began = std::time::Instant::now();
        let filled = filled(&template, &data).expect("filled");
        assert_eq!(filled.len(), 2001);
        // A thousand times would take minutes.
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[test]
    fn sizes_are_bounded() {
        let data = format!(r#"{{"x":"{}"}}"#, "x".repeat(MAX_SIZE / 3));
        assert!(filled(r#"["$.x","$.x"]"#, &data).is_ok());
        assert!(filled(r#"["$.x","$.x","$.x"]"#, &data).expect_err("too large").contains("limit"));
        let nested = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let error = Template::read(&raw(&nested), "params").expect_err("too deep").to_string();
        assert!(error.contains("more than 100"), "{error}");
    }
}
