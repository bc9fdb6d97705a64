//! Replacement of strings in JSON text. All other bytes stay unchanged: numbers are not read. Pure.

use std::fmt::Write;
use std::ops::Range;

use rxon::json::end_of_string;

/// A string value in JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<T> {
    /// The path in the data, as in the keys of metadata: `a.b[0]`. None if it is longer than the limit.
    pub(super) path: Option<String>,
    /// The range in the text, with the quotes.
    pub(super) range: Range<usize>,
    /// The string, as parsed by the caller.
    pub(super) value: T,
}

/// An open object or array of the scan.
#[derive(Debug)]
enum Level {
    /// An object, and the range of the current member's key.
    Object { key: Range<usize>, expects_key: bool },
    /// An array, and the index of the current element.
    Array { index: usize },
}

/// Finds the string values that `parse` accepts, in order. The text must be valid JSON, of any depth. Paths longer than
/// `max_path` are omitted, because the paths of many strings in deep data could fill the memory.
pub(super) fn strings<T>(json: &str, max_path: usize, parse: impl Fn(String) -> Option<T>) -> Vec<Found<T>> {
    let (bytes, mut levels, mut found, mut at) = (json.as_bytes(), Vec::new(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' => levels.push(Level::Object { key: 0..0, expects_key: true }),
            b'[' => levels.push(Level::Array { index: 0 }),
            b'}' | b']' => {
                levels.pop();
            }
            b',' => match levels.last_mut() {
                Some(Level::Object { expects_key, .. }) => *expects_key = true,
                Some(Level::Array { index }) => *index += 1,
                None => {}
            },
            b'"' => {
                let range = at - 1..end_of_string(bytes, at);
                at = range.end;
                match levels.last_mut() {
                    Some(Level::Object { key, expects_key }) if *expects_key => {
                        (*key, *expects_key) = (range, false);
                    }
                    _ => {
                        if let Some(value) = unquoted(json, &range).and_then(&parse) {
                            found.push(Found { path: path(json, &levels, max_path), range, value });
                        }
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Returns the text with the strings at these ranges replaced. The ranges are in order and do not overlap.
pub(super) fn replaced(json: &str, strings: &[(Range<usize>, &str)]) -> String {
    let (mut text, mut from) = (String::with_capacity(json.len()), 0);
    for (range, string) in strings {
        text.push_str(&json[from..range.start]);
        text.push_str(&serde_json::Value::from(*string).to_string());
        from = range.end;
    }
    text.push_str(&json[from..]);
    text
}

/// Returns the text of a string. None for half a surrogate pair, which is not text.
fn unquoted(json: &str, range: &Range<usize>) -> Option<String> {
    let quoted = &json[range.clone()];
    if quoted.contains('\\') {
        serde_json::from_str(quoted).ok()
    } else {
        Some(quoted.trim_matches('"').to_owned())
    }
}

fn path(json: &str, levels: &[Level], max_path: usize) -> Option<String> {
    // Every level but the first adds at least one character.
    if levels.len() > max_path.saturating_add(1) {
        return None;
    }
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Object { key, .. } => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&unquoted(json, key).unwrap_or_else(|| json[key.clone()].to_owned()));
            }
            // Writing to a string cannot fail.
            Level::Array { index } => drop(write!(path, "[{index}]")),
        }
        if path.len() > max_path {
            return None;
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn is_s3(text: String) -> Option<String> {
        text.starts_with("s3:").then_some(text)
    }

    fn found(json: &str) -> Vec<(String, String)> {
        strings(json, 100, is_s3)
            .into_iter()
            .map(|found| (found.path.expect("a short one"), found.value))
            .collect()
    }

    #[test]
    fn strings_are_found_at_any_depth_with_their_paths() {
        let json =
            r#"{"a": "s3://1", "s3://key": {"b c": [1.50, "s3:\/\/2", ["x", "s3://3"]], "d\"": "s3://4"}}"#;
        let expected = [
            ("a", "s3://1"),
            ("s3://key.b c[1]", "s3://2"),
            ("s3://key.b c[2][1]", "s3://3"),
            ("s3://key.d\"", "s3://4"),
        ];
        assert_eq!(found(json), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
        assert_eq!(found(r#"["s3:"]"#), [("[0]".to_owned(), "s3:".to_owned())]);
        assert_eq!(found(r#""s3:""#), [(String::new(), "s3:".to_owned())]);
        assert_eq!(found(r#"{"half": "s3:\ud800"}"#), []);
    }

    #[test]
    fn any_depth_is_scanned() {
        let json = format!("{}\"s3:\"{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(strings(&json, usize::MAX, Some).len(), 1);
    }

    #[test]
    fn paths_of_deep_strings_do_not_fill_the_memory() {
        for (open, close) in [("[\"s3:\",", "]"), ("{\"a\":\"s3:\",\"\":", "}")] {
            let json = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            let found = strings(&json, 1000, Some);
            assert_eq!(found.len(), 100_000);
            let length: usize = found.iter().filter_map(|found| found.path.as_ref()).map(String::len).sum();
            assert!(length <= 1000 * 1000, "{length}");
        }
    }

    #[test]
    fn all_other_bytes_stay_unchanged() {
        let json = r#"{ "n":1.0e5,"big":18446744073709551616, "f":"s3://a" ,"e":"é\u00e9"}"#;
        let ranges = strings(json, 100, is_s3);
        let text = replaced(json, &[(ranges[0].range.clone(), "/tmp/\"x\"")]);
        assert_eq!(text, r#"{ "n":1.0e5,"big":18446744073709551616, "f":"/tmp/\"x\"" ,"e":"é\u00e9"}"#);
        assert_eq!(replaced(json, &[]), json);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5).prop_map(Value::from_iter),
            ]
        })
    }

    fn texts(value: &Value, all: &mut Vec<String>) {
        match value {
            Value::String(text) => all.push(text.clone()),
            Value::Array(values) => values.iter().for_each(|value| texts(value, all)),
            Value::Object(members) => members.values().for_each(|value| texts(value, all)),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn every_string_is_found_and_can_be_replaced(value in any_json()) {
            let json = value.to_string();
            let found = strings(&json, 100, Some);
            let mut expected = Vec::new();
            texts(&value, &mut expected);
            prop_assert_eq!(found.iter().map(|found| found.value.clone()).collect::<Vec<_>>(), expected);
            let same: Vec<_> = found.iter().map(|found| (found.range.clone(), found.value.as_str())).collect();
            let again: Value = serde_json::from_str(&replaced(&json, &same)).expect("JSON");
            prop_assert_eq!(again, value);
        }
    }
}
