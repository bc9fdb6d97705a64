//! The canonical form of a message, which both sides sign.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;
use std::ops::Range;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The maximal number of nested levels in a signed message.
pub const MAX_DEPTH: usize = 30;

/// The top-level members that no signature covers.
pub const NEVER_SIGNED: [&str; 2] = ["security", "_signature"];

/// The reason why a message has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotBeSigned {
    /// The message is not a JSON object.
    #[error("not a JSON object: {0}")]
    NotAnObject(String),
    /// A value in the message cannot be read.
    #[error("at `{path}`: {problem}")]
    Unreadable {
        /// The path of the value, such as `data.list[2]`.
        path: String,
        /// The problem.
        problem: String,
    },
    /// A whole number is outside −2^63 … 2^64−1.
    #[error("at `{path}`: the number {number} is outside -2^63 to 2^64-1")]
    NumberOutOfRange {
        /// The path of the number, such as `data.list[2]`.
        path: String,
        /// The number, as a float.
        number: String,
    },
    /// The message has more than [`MAX_DEPTH`] nested levels.
    #[error("more than {MAX_DEPTH} nested levels")]
    TooDeep,
}

/// Returns the canonical bytes of a message: no white space, keys sorted, whole floats written as integers, and no
/// members that are null, in [`NEVER_SIGNED`] or in `ignore`.
///
/// # Errors
/// Returns [`CannotBeSigned`] when the message has no canonical form.
pub fn canonical(message: &[u8], ignore: &[&str]) -> Result<Vec<u8>, CannotBeSigned> {
    if ignore.is_empty() {
        return canonical_without(message, &NEVER_SIGNED);
    }
    canonical_without(message, &[&NEVER_SIGNED, ignore].concat())
}

/// Returns the canonical bytes of an object without some of its top-level members.
///
/// Reads and writes in one pass: building a tree in between would cost time.
pub(super) fn canonical_without(message: &[u8], dropped: &[&str]) -> Result<Vec<u8>, CannotBeSigned> {
    if !message.trim_ascii_start().starts_with(b"{") {
        return Err(CannotBeSigned::NotAnObject("it does not begin with a brace".to_owned()));
    }
    // Checked once: reading from bytes would check every single string.
    let message =
        std::str::from_utf8(message).map_err(|error| CannotBeSigned::NotAnObject(error.to_string()))?;
    let mut output = Output::with_capacity(message.len());
    let mut deserializer = serde_json::Deserializer::from_str(message);
    let written = Writer { output: &mut output, depth: 1, dropped }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    let Err(error) = written else { return Ok(output.bytes) };
    let path = output.path();
    Err(match output.problem {
        Some(CannotBeSigned::NumberOutOfRange { number, .. }) => {
            CannotBeSigned::NumberOutOfRange { path, number }
        }
        Some(problem) => problem,
        None if path.is_empty() => CannotBeSigned::NotAnObject(error.to_string()),
        // Without line and column, which refer to a text that the reader never sees.
        None => {
            let problem = error.to_string();
            let problem = problem.split(" at line ").next().unwrap_or_default().to_owned();
            CannotBeSigned::Unreadable { path, problem }
        }
    })
}

/// Canonical bytes, and the rules for writing each kind of value.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    /// A problem that an error of serde could carry as text only, without its path.
    problem: Option<CannotBeSigned>,
    /// The parts of the path to the problem, the innermost first; filled while returning from it.
    path: Vec<String>,
}

impl Output {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), problem: None, path: Vec::new() }
    }

    fn fail<E: de::Error>(&mut self, problem: CannotBeSigned) -> E {
        self.problem = Some(problem);
        E::custom("it has no canonical form")
    }

    fn check_depth<E: de::Error>(&mut self, depth: usize) -> Result<(), E> {
        if depth > MAX_DEPTH { Err(self.fail(CannotBeSigned::TooDeep)) } else { Ok(()) }
    }

    fn path(&self) -> String {
        let path: String = self.path.iter().rev().map(String::as_str).collect();
        path.strip_prefix('.').unwrap_or(&path).to_owned()
    }

    pub(super) fn write(&mut self, value: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.bytes, value).expect("it always serialises");
    }

    pub(super) fn write_text(&mut self, text: &str) {
        // Without a way out of the loop, so that many bytes are looked at in one instruction.
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            self.bytes.push(b'"');
            self.bytes.extend_from_slice(text.as_bytes());
            self.bytes.push(b'"');
        } else {
            // serde_json escapes exactly the canonical set: `"`, `\` and U+0000 to U+001F.
            self.write(text);
        }
    }

    /// Writes nothing for `NaN` and infinities, which are sent as `null`.
    pub(super) fn write_float<E: de::Error>(&mut self, float: f64) -> Result<(), E> {
        if !float.is_finite() {
            return Ok(());
        }
        if float.fract() != 0.0 {
            write_fraction(float, &mut self.bytes);
            return Ok(());
        }
        let number = whole(float).ok_or_else(|| {
            let number = format!("{float:e}");
            self.fail(CannotBeSigned::NumberOutOfRange { path: String::new(), number })
        })?;
        self.write(&number);
        Ok(())
    }

    /// Writes the value of a member of the message, given as JSON; nothing for `null`.
    pub(super) fn write_json(&mut self, json: &str) -> serde_json::Result<()> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        Writer { output: self, depth: 2, dropped: &[] }.deserialize(&mut deserializer)?;
        deserializer.end()
    }

    /// Writes a member and a comma; nothing if its value writes nothing. Members are to be written in the order of their
    /// names.
    ///
    /// The name is given as it is written, in quotes: names are known, and need not be looked through for each message.
    pub(super) fn write_member(
        &mut self,
        quoted_name: &str,
        write_value: impl FnOnce(&mut Self) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(quoted_name.as_bytes());
        self.bytes.push(b':');
        let value_at = self.bytes.len();
        write_value(self)?;
        if self.bytes.len() == value_at {
            self.bytes.truncate(before);
        } else {
            self.bytes.push(b',');
        }
        Ok(())
    }

    /// Closes an object after its members.
    pub(super) fn end_object(&mut self) {
        self.bytes.pop_if(|byte| *byte == b',');
        self.bytes.push(b'}');
    }
}

/// Writes one value in canonical form while reading it, and nothing for a `null`.
struct Writer<'a> {
    output: &'a mut Output,
    depth: usize,
    dropped: &'a [&'a str],
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.output.write(&flag);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.output.write(&number);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.output.write(&number);
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, float: f64) -> Result<(), E> {
        self.output.write_float(float)
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.output.write_text(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { output, depth, .. } = self;
        output.check_depth(depth)?;
        output.bytes.push(b'[');
        for index in 0_usize.. {
            let before = output.bytes.len();
            if index > 0 {
                output.bytes.push(b',');
            }
            let start = output.bytes.len();
            let item = items.next_element_seed(Writer { output, depth: depth + 1, dropped: &[] });
            if item.inspect_err(|_| output.path.push(format!("[{index}]")))?.is_none() {
                output.bytes.truncate(before);
                break;
            }
            if output.bytes.len() == start {
                output.bytes.extend_from_slice(b"null");
            }
        }
        output.bytes.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { output, depth, dropped } = self;
        output.check_depth(depth)?;
        // Values are written one after the other as they are read, and sorted when all keys are known.
        let begin = output.bytes.len();
        let mut members: Vec<(Cow<'de, str>, Range<usize>)> = Vec::with_capacity(16);
        while let Some(Key(key)) = entries.next_key()? {
            let start = output.bytes.len() - begin;
            let value = entries.next_value_seed(Writer { output, depth: depth + 1, dropped: &[] });
            value.inspect_err(|_| output.path.push(format!(".{key}")))?;
            members.push((key, start..output.bytes.len() - begin));
        }
        // Of members with the same key the last one counts: reversed, it comes first, and the sort is stable.
        members.reverse();
        members.sort_by(|(left, _), (right, _)| left.cmp(right));
        members.dedup_by(|(later, _), (first, _)| later == first);
        members.retain(|(key, value)| !value.is_empty() && !dropped.contains(&&**key));
        let values = output.bytes.split_off(begin);
        output.bytes.push(b'{');
        for (key, value) in members {
            if output.bytes.len() > begin + 1 {
                output.bytes.push(b',');
            }
            output.write_text(&key);
            output.bytes.push(b':');
            output.bytes.extend_from_slice(&values[value]);
        }
        output.bytes.push(b'}');
        Ok(())
    }
}

/// A key, borrowed where it contains no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Converts a whole float between −2^63 and 2^64, both excluded, into an integer.
///
/// −2^63 is excluded because the integer −2^63 is never read as a float: a float of this value is most likely a smaller
/// integer that was rounded, and its signature would cover another number than the one that was sent.
fn whole(float: f64) -> Option<i128> {
    const LOW: f64 = -9_223_372_036_854_775_808.0;
    const HIGH: f64 = 18_446_744_073_709_551_616.0;
    (LOW < float && float < HIGH).then_some(float as i128)
}

/// Writes the shortest digits: plain down to 0.00001, with an exponent below.
fn write_fraction(float: f64, out: &mut Vec<u8>) {
    let written = if float.abs() < 1e-5 { write!(out, "{float:e}") } else { write!(out, "{float}") };
    written.expect("a vector takes all bytes");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn text_of(message: &str) -> Result<String, CannotBeSigned> {
        canonical(message.as_bytes(), &[]).map(|bytes| String::from_utf8(bytes).expect("JSON is UTF-8"))
    }

    #[test]
    fn thirty_levels_can_be_signed_and_thirty_one_cannot() {
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(text_of(&nested(30)).is_ok());
        assert_eq!(text_of(&nested(31)), Err(CannotBeSigned::TooDeep));
        let mixed = format!("{{\"a\":{}{}}}", "[".repeat(30), "]".repeat(30));
        assert_eq!(text_of(&mixed), Err(CannotBeSigned::TooDeep));
    }

    #[test]
    fn whole_numbers_have_a_range() {
        assert_eq!(
            text_of(r#"{"a":-9223372036854774784.0,"b":18446744073709551615,"c":-9223372036854775808}"#)
                .as_deref(),
            Ok(r#"{"a":-9223372036854774784,"b":18446744073709551615,"c":-9223372036854775808}"#)
        );
        let bad = ["1e22", "18446744073709551616", "-9223372036854775809e1", "-9223372036854775809"];
        for bad in bad.into_iter().chain(["-9223372036854776832", "-9223372036854775808.0"]) {
            let error = text_of(&format!("{{\"a\":{bad}}}")).expect_err(bad);
            assert!(matches!(error, CannotBeSigned::NumberOutOfRange { .. }), "{error}");
        }
    }

    #[test]
    fn a_problem_is_named_by_its_path() {
        for (message, expected) in [
            (
                r#"{"data":{"a":[1,{"b":1e22}]}}"#,
                "at `data.a[1].b`: the number 1e22 is outside -2^63 to 2^64-1",
            ),
            (r#"{"a":1e400}"#, "at `a`: number out of range"),
            (r#"{"data":["x","\ud800"]}"#, "at `data[1]`: unexpected end of hex escape"),
        ] {
            assert_eq!(text_of(message).expect_err(message).to_string(), expected);
        }
    }

    #[test]
    fn only_an_object_can_be_signed() {
        for bad in ["[]", "1", "null", "", "{"] {
            assert!(matches!(text_of(bad), Err(CannotBeSigned::NotAnObject(_))), "{bad}");
        }
    }

    #[test]
    fn of_two_equal_keys_the_last_counts() {
        assert_eq!(
            text_of(r#"{"b":1,"a":2,"b":[null,3],"c":4,"c":null}"#).as_deref(),
            Ok(r#"{"a":2,"b":[null,3]}"#)
        );
    }

    #[test]
    fn keys_with_escapes_are_sorted_by_their_meaning() {
        assert_eq!(
            text_of(r#"{"\u0062":1,"a\"":2,"":[],"c":{}}"#).as_deref(),
            Ok(r#"{"":[],"a\"":2,"b":1,"c":{}}"#)
        );
    }

    #[test]
    fn text_after_the_object_is_an_error() {
        assert!(matches!(text_of("{} x"), Err(CannotBeSigned::NotAnObject(_))));
    }

    #[test]
    fn security_is_dropped_at_the_top_only() {
        let message = r#"{"security":1,"_signature":2,"a":{"security":3,"sig":4},"sig":5}"#;
        assert_eq!(text_of(message).as_deref(), Ok(r#"{"a":{"security":3,"sig":4},"sig":5}"#));
    }

    proptest! {
        #[test]
        fn fractions_read_back_as_the_same_float(bits: u64) {
            let float = f64::from_bits(bits);
            prop_assume!(float.is_finite() && float.fract() != 0.0);
            let mut out = Vec::new();
            write_fraction(float, &mut out);
            let text = String::from_utf8(out).expect("ASCII");
            prop_assert_eq!(text.parse::<f64>().expect("a number").to_bits(), bits);
        }

        #[test]
        fn the_canonical_form_is_its_own_canonical_form(keys in proptest::collection::vec(".*", 0..6), number: f64) {
            prop_assume!(number.is_finite() && number.abs() < 1e18);
            let object: Map<String, Value> =
                keys.into_iter().map(|key| (key.clone(), serde_json::json!([key, number, null]))).collect();
            let once = text_of(&Value::Object(object).to_string()).expect("signable");
            prop_assert_eq!(text_of(&once).expect("signable"), once);
        }
    }
}
