//! JSON as Python writes it: with `NaN` and infinities, with members that stand twice, behind a byte order mark.
//!
//! A reader that knows only JSON would lose a whole task for one such number. [`mended`] makes JSON of it, and is called
//! only after reading has failed, so that usual texts cost nothing. Numbers that JSON lacks become numbers that no `f64`
//! can hold: whoever reads one finds it out of range, whoever passes it on or ignores it finds JSON. [`restored`] brings
//! them back for readers that know them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde::de::IgnoredAny;

/// The numbers of Python that JSON lacks, and what stands for them.
const NUMBERS: [(&str, &str); 3] =
    [("NaN", "7e777777777"), ("-Infinity", "-8e888888888"), ("Infinity", "8e888888888")];

/// The depth of a text beyond which it is not mended. No task is so deep, and each level takes memory.
const MAX_DEPTH: usize = 1_000;

/// Makes JSON of a text as Python writes it: the last of several members with one name is kept, a byte order mark is left
/// out, and numbers that JSON lacks are replaced. All other bytes stay.
///
/// Returns `None` when there is nothing to mend, when even the mended text is not JSON, or when it is more than 1,000 levels
/// deep.
pub fn mended(text: &[u8]) -> Option<String> {
    mended_with(text, |stand_in| stand_in)
}

/// Makes JSON of a text like [`mended`], with `null` for numbers that JSON lacks: so signatures are made.
pub fn mended_with_nulls(text: &[u8]) -> Option<String> {
    mended_with(text, |_| "null")
}

/// Brings the numbers that JSON lacks back into a [`mended`] text.
pub fn restored(text: &str) -> Cow<'_, str> {
    if !NUMBERS.iter().any(|(_, stand_in)| text.contains(stand_in)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(replaced(text, |text| {
        let (number, stand_in) = NUMBERS.iter().find(|(_, stand_in)| text.starts_with(stand_in))?;
        // Not the beginning of another number.
        let follows = text.as_bytes().get(stand_in.len());
        follows.is_none_or(|byte| !byte.is_ascii_digit()).then_some((stand_in.len(), *number))
    }))
}

/// Whether a text has numbers that stand for those that JSON lacks: data that is to be sent must have none.
pub fn has_stand_ins(text: &str) -> bool {
    let has = |sign: &str| memchr::memmem::find(text.as_bytes(), sign.as_bytes()).is_some();
    (has("7e777777777") || has("8e888888888")) && restored(text) != text
}

fn mended_with(text: &[u8], stand_in: impl Fn(&'static str) -> &'static str) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let json = replaced(text.trim_start_matches('\u{feff}'), |text| {
        let (number, of_number) = NUMBERS.iter().find(|(number, _)| text.starts_with(number))?;
        Some((number.len(), stand_in(of_number)))
    });
    serde_json::from_str::<IgnoredAny>(&json).ok()?;
    let json = without_repeated(json)?;
    (json != text).then_some(json)
}

/// Replaces tokens outside of strings. `token` gets the text from the beginning of a token on, and returns the length of
/// what it replaces.
fn replaced<'a>(text: &str, token: impl Fn(&str) -> Option<(usize, &'a str)>) -> String {
    let (bytes, mut out, mut copied, mut at) = (text.as_bytes(), String::new(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at + 1),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => {
                if let Some((length, by)) = token(&text[at..]) {
                    out.extend([&text[copied..at], by]);
                    at += length;
                    copied = at;
                } else {
                    // A word is replaced as a whole or not at all.
                    let is_word =
                        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                    at += bytes[at..].iter().take_while(|byte| is_word(byte)).count();
                }
            }
            _ => at += 1,
        }
    }
    out.push_str(&text[copied..]);
    out
}

/// Returns the index after the closing quote of a string that begins before `at`.
pub fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') => return at + 1,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

/// An open object or array of the scan.
enum Level<'a> {
    Object {
        /// Where each member begins.
        begins: Vec<usize>,
        /// The last member of each name.
        names: HashMap<Cow<'a, str>, usize>,
        expects_name: bool,
    },
    Array,
}

/// Removes the members of JSON that stand again later in the same object. `None` if it is too deep.
fn without_repeated(json: String) -> Option<String> {
    let repeated = repeated(&json)?;
    if repeated.is_empty() {
        return Some(json);
    }
    let (mut out, mut copied) = (String::with_capacity(json.len()), 0);
    for range in repeated {
        // One within another is gone with it.
        if range.start >= copied {
            out.push_str(&json[copied..range.start]);
            copied = range.end;
        }
    }
    out.push_str(&json[copied..]);
    Some(out)
}

/// Finds the members that stand again later, each with what separates it from the next one. `None` if the JSON is too deep.
fn repeated(json: &str) -> Option<Vec<Range<usize>>> {
    let (bytes, mut levels, mut repeated, mut at) = (json.as_bytes(), Vec::new(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' if levels.len() >= MAX_DEPTH => return None,
            b'{' => {
                levels.push(Level::Object { begins: Vec::new(), names: HashMap::new(), expects_name: true });
            }
            b'[' => levels.push(Level::Array),
            b'}' | b']' => drop(levels.pop()),
            b',' => {
                if let Some(Level::Object { expects_name, .. }) = levels.last_mut() {
                    *expects_name = true;
                }
            }
            b'"' => {
                let begin = at - 1;
                at = end_of_string(bytes, at);
                if let Some(Level::Object { begins, names, expects_name }) = levels.last_mut()
                    && std::mem::take(expects_name)
                {
                    let member = begins.len();
                    begins.push(begin);
                    if let Some(before) = names.insert(name(&json[begin..at]), member) {
                        repeated.push(begins[before]..begins[before + 1]);
                    }
                }
            }
            _ => {}
        }
    }
    repeated.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    Some(repeated)
}

/// Returns the name in quotes, however it is escaped.
fn name(quoted: &str) -> Cow<'_, str> {
    if quoted.contains('\\')
        && let Ok(name) = serde_json::from_str::<String>(quoted)
    {
        return Cow::Owned(name);
    }
    Cow::Borrowed(quoted.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn mend(text: &str) -> Option<String> {
        mended(text.as_bytes())
    }

    #[test]
    fn numbers_that_json_lacks_are_out_of_range_and_come_back() {
        let text = r#"{"a": NaN,"b":[-Infinity , Infinity],"c":"NaN, \"-Infinity","d":7e7,"NaN":-1}"#;
        let json = mend(text).expect("it is mended");
        serde_json::from_str::<IgnoredAny>(&json).expect("JSON");
        assert_eq!(restored(&json), text);
        let nulls = mended_with_nulls(text.as_bytes()).expect("it is mended");
        let expected =
            serde_json::json!({"a": null, "b": [null, null], "c": "NaN, \"-Infinity", "d": 7e7, "NaN": -1});
        assert_eq!(serde_json::from_str::<Value>(&nulls).expect("JSON"), expected);
        for (_, stand_in) in NUMBERS {
            let error = serde_json::from_str::<f64>(stand_in).expect_err("no number of Rust");
            assert!(error.to_string().contains("out of range"), "{error}");
            assert!(serde_json::from_str::<Value>(stand_in).is_err());
        }
        assert!(has_stand_ins(&json));
        for same in ["7e7777777771", r#""7e777777777""#, "17e777777777"] {
            assert_eq!(restored(same), same);
            assert!(!has_stand_ins(same));
        }
    }

    #[test]
    fn the_last_of_equal_names_is_kept() {
        for (text, expected) in [
            (r#"{"a":1,"b":2, "a" : 3}"#, r#"{"b":2, "a" : 3}"#),
            (r#"{"a":1,"\u0061":2,"a":3}"#, r#"{"a":3}"#),
            (r#"{"a":{"x":1,"x":2},"b":{"x":[{"y":1,"y":2}]},"a":{}}"#, r#"{"b":{"x":[{"y":2}]},"a":{}}"#),
            ("\u{feff}[{\"a\":1}]", r#"[{"a":1}]"#),
        ] {
            assert_eq!(mend(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_needs_no_mending_or_cannot_be_mended_is_left() {
        for text in [
            r#"{"a":1,"b":{"a":1}}"#,
            "",
            "{",
            "NaNs",
            "{\"a\":nan}",
            "[Infinit]",
            "{\"a\":1,\"a\"}",
            "+Infinity",
        ] {
            assert_eq!(mend(text), None, "{text}");
        }
        assert_eq!(mended(b"\"\xff\""), None);
    }

    #[test]
    fn a_text_that_is_only_brackets_is_not_mended() {
        let nested = |depth| format!("{}NaN{}", "[".repeat(depth), "]".repeat(depth));
        assert!(mend(&nested(MAX_DEPTH)).is_some());
        for depth in [MAX_DEPTH + 1, 1 << 20] {
            assert_eq!(mend(&nested(depth)), None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in r#"[\[\]{}:,"\\aN 0-9einfity-]{0,40}"#) {
            if let Some(json) = mend(&text) {
                prop_assert!(serde_json::from_str::<IgnoredAny>(&json).is_ok(), "{json}");
                prop_assert_eq!(mend(&json), None, "mended twice");
            }
        }
    }
}
