//! Looking into JSON without changing it: values stay as they are spelled.

use std::collections::{BTreeMap, HashMap};

use serde_json::value::RawValue;

/// The members of an object; of a name that stands twice, the last value.
pub(super) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Returns the members of an object; `None` for other values, and for names that are no text.
pub(super) fn members(value: &RawValue) -> Option<Members<'_>> {
    serde_json::from_str(value.get()).ok()
}

/// Returns the first object with the members of the second one laid over it.
pub(super) fn merged(object: &RawValue, over: &RawValue) -> Option<Box<RawValue>> {
    let mut merged = members(object)?;
    merged.extend(members(over)?);
    serde_json::value::to_raw_value(&merged).ok()
}

/// Data that many values are taken from: each object and list on the way to one is parsed once.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    data: &'a RawValue,
    /// What is inside of values, by the addresses of their texts.
    inside: HashMap<*const u8, Inside<'a>>,
}

#[derive(Debug)]
enum Inside<'a> {
    Object(Members<'a>),
    List(Vec<&'a RawValue>),
    Nothing,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(data: &'a RawValue) -> Self {
        Self { data, inside: HashMap::new() }
    }

    /// Returns the value at a path of names of members and positions in lists.
    pub(super) fn find(&mut self, path: &[String]) -> Option<&'a RawValue> {
        path.iter().try_fold(self.data, |value, name| {
            match self.inside.entry(value.get().as_ptr()).or_insert_with(|| Inside::of(value)) {
                Inside::Object(members) => members.get(name).copied(),
                Inside::List(items) => items.get(name.parse::<usize>().ok()?).copied(),
                Inside::Nothing => None,
            }
        })
    }
}

impl<'a> Inside<'a> {
    fn of(value: &'a RawValue) -> Self {
        match value.get().as_bytes().first() {
            Some(b'[') => serde_json::from_str(value.get()).map_or(Self::Nothing, Self::List),
            _ => members(value).map_or(Self::Nothing, Self::Object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    #[test]
    fn later_members_are_laid_over_earlier_ones_with_their_spelling() {
        let merged = merged(
            &raw(r#"{"a": 1.0, "b": {"c": 1}}"#),
            &raw(r#"{"b": 1e400, "d": 12345678901234567890123}"#),
        );
        assert_eq!(merged.expect("objects").get(), r#"{"a":1.0,"b":1e400,"d":12345678901234567890123}"#);
        assert!(super::merged(&raw("{}"), &raw("[1]")).is_none());
    }

    #[test]
    fn a_value_is_found_by_its_path() {
        let data = raw(r#"{"a": {"b": [1, {"c": 1.50}]}, "a b": null, "d": 1, "d": 2, "e\u0066": 3}"#);
        let mut lookup = Lookup::new(&data);
        let mut at = |path: &str| {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            lookup.find(&path).map(RawValue::get)
        };
        assert_eq!(at("a.b.1.c"), Some("1.50"));
        assert_eq!(at("a.b"), Some(r#"[1, {"c": 1.50}]"#));
        assert_eq!((at("a b"), at("d"), at("ef")), (Some("null"), Some("2"), Some("3")));
        for missing in ["x", "a.x", "a.b.2", "a.b.x", "d.x", "a.b.1.c.x"] {
            assert_eq!(at(missing), None, "{missing}");
        }
    }
}
