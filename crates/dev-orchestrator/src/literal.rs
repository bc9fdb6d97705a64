//! Texts inside JSON, as people see them: without escapes.

use std::borrow::Cow;

/// The character in place of half a surrogate pair.
const REPLACEMENT: char = '\u{fffd}';

/// Returns JSON with the escapes in its texts replaced by what they stand for. The result is for reading and searching;
/// it is not JSON any more.
pub(crate) fn readable(json: &str) -> Cow<'_, str> {
    let mut rest = json;
    let mut readable = String::new();
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        readable.push_str(&rest[..at]);
        let (character, length) = unescape(&rest[at..]);
        readable.push(character);
        rest = &rest[at + length..];
    }
    if readable.is_empty() && rest.len() == json.len() {
        return Cow::Borrowed(json);
    }
    readable.push_str(rest);
    Cow::Owned(readable)
}

/// Returns the texts of valid JSON, the names of members among them, without escapes.
pub(crate) fn texts(json: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = json;
    std::iter::from_fn(move || {
        let start = memchr::memchr(b'"', rest.as_bytes())? + 1;
        let length = length_of_text(&rest[start..])?;
        let text = &rest[start..start + length];
        rest = &rest[start + length + 1..];
        Some(readable(text))
    })
}

/// Returns the position of the quotation mark that ends a text.
fn length_of_text(json: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', json.as_bytes().get(at..)?)?;
        if json.as_bytes()[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Reads the escape at the beginning of a text; returns its character and its length. A backslash that begins no escape
/// stands for itself.
fn unescape(text: &str) -> (char, usize) {
    let character = match text.as_bytes().get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(plain @ (b'"' | b'\\' | b'/')) => char::from(*plain),
        Some(b'u') => return unescape_number(text),
        _ => return ('\\', 1),
    };
    (character, 2)
}

fn unescape_number(text: &str) -> (char, usize) {
    let unit = |at: usize| u32::from_str_radix(text.get(at..at + 4)?, 16).ok();
    let Some(first) = unit(2) else { return ('\\', 1) };
    if let Some(character) = char::from_u32(first) {
        return (character, 6);
    }
    let second = unit(8).filter(|second| text[6..].starts_with("\\u") && (0xdc00..0xe000).contains(second));
    let pair = second
        .filter(|_| first < 0xdc00)
        .and_then(|second| char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
    pair.map_or((REPLACEMENT, 6), |character| (character, 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_replaced_by_what_they_stand_for() {
        for (json, expected) in [
            (r#"{"a": 1}"#, r#"{"a": 1}"#),
            (r#""\u043a\u043B\u044e\u0447""#, "\"ключ\""),
            (r#""a\"b\\c\/d\n\t\r\b\f""#, "\"a\"b\\c/d\n\t\r\u{8}\u{c}\""),
            (r#""\ud83d\ude00!""#, "\"😀!\""),
            (r#""\ud83d""#, "\"\u{fffd}\""),
            (r#""\ude00x""#, "\"\u{fffd}x\""),
            (r#""\ud83d\u0041""#, "\"\u{fffd}A\""),
            (r#""\ud83d\ud83d\ude00""#, "\"\u{fffd}😀\""),
            (r#""\\u0041""#, r#""\u0041""#),
            ("", ""),
            // Not JSON: nothing to break on.
            ("\\", "\\"),
            ("\\u12", "\\u12"),
            ("\\u00é9", "\\u00é9"),
        ] {
            assert_eq!(readable(json), expected, "{json}");
        }
        assert!(matches!(readable("{}"), Cow::Borrowed(_)), "nothing is copied");
    }

    #[test]
    fn texts_are_found_wherever_they_are() {
        let json = r#" {"a" : ["b\"c", {"d\\": "\u0065"}], "": 5, "f":"g"} "#;
        let found: Vec<_> = texts(json).collect();
        assert_eq!(found, ["a", "b\"c", "d\\", "e", "", "f", "g"]);
        assert_eq!(texts("[1, true]").count(), 0);
        assert_eq!(texts(r#"["open"#).count(), 0);
    }
}
