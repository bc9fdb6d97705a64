//! JSON as text, of which nothing is changed but its white space.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Returns a text of JSON on one line: without white space outside of strings. All other bytes stay, so that no number
/// changes.
pub(crate) fn compact(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    let (mut in_string, mut is_escaped) = (false, false);
    for character in json.chars() {
        if in_string {
            in_string = character != '"' || is_escaped;
            is_escaped = character == '\\' && !is_escaped;
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        line.push(character);
    }
    line
}

/// A raw value that is written on one line.
#[derive(Debug)]
pub(crate) struct Compact<'a>(pub(crate) &'a RawValue);

impl Serialize for Compact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let compact = RawValue::from_string(compact(self.0.get())).map_err(serde::ser::Error::custom)?;
        compact.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_outside_of_strings_goes() {
        let json = "{ \"a b\" :\n[1.50, 12345678901234567890],\t\"q\\\" \\\\\": \" x \" }";
        assert_eq!(compact(json), "{\"a b\":[1.50,12345678901234567890],\"q\\\" \\\\\":\" x \"}");
    }
}
