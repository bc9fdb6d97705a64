//! The one form of a message that both sides sign.

use serde_json::{Map, Value};

/// More nested levels than this cannot be signed.
pub const MAX_DEPTH: usize = 30;

/// A message has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotBeSigned {
    /// It is not a JSON object.
    #[error("not a JSON object: {0}")]
    NotAnObject(String),
    /// A whole number is outside −2^63 … 2^64−1.
    #[error("the number {0} is outside -2^63 to 2^64-1")]
    NumberOutOfRange(String),
    /// It nests too deeply.
    #[error("more than {MAX_DEPTH} nested levels")]
    TooDeep,
}

/// The canonical bytes of a message: members that are null, never signed or to be ignored dropped, whole floats
/// written as integers, keys sorted, no white space.
///
/// # Errors
/// [`CannotBeSigned`] when there are none.
pub fn canonical(message: &[u8], ignore: &[&str]) -> Result<Vec<u8>, CannotBeSigned> {
    let value = parse(message)?;
    let mut dropped = super::NEVER_SIGNED.to_vec();
    dropped.extend_from_slice(ignore);
    canonical_value(&value, &dropped)
}

pub(super) fn parse(message: &[u8]) -> Result<Value, CannotBeSigned> {
    let value: Value =
        serde_json::from_slice(message).map_err(|error| CannotBeSigned::NotAnObject(error.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(CannotBeSigned::NotAnObject("another value".to_owned())) }
}

pub(super) fn canonical_value(value: &Value, dropped: &[&str]) -> Result<Vec<u8>, CannotBeSigned> {
    let mut out = Vec::with_capacity(256);
    write(value, dropped, 1, &mut out)?;
    Ok(out)
}

fn write(value: &Value, dropped: &[&str], depth: usize, out: &mut Vec<u8>) -> Result<(), CannotBeSigned> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Number(number) => write_number(number, out)?,
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            check_depth(depth)?;
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, &[], depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            check_depth(depth)?;
            write_object(members, dropped, depth, out)?;
        }
    }
    Ok(())
}

fn write_object(
    members: &Map<String, Value>,
    dropped: &[&str],
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), CannotBeSigned> {
    let mut kept: Vec<(&String, &Value)> =
        members.iter().filter(|(key, value)| !value.is_null() && !dropped.contains(&key.as_str())).collect();
    // serde_json sorts by itself only as long as no crate in the build asks for `preserve_order`.
    kept.sort_unstable_by_key(|(key, _)| *key);
    out.push(b'{');
    for (index, (key, value)) in kept.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(key, out);
        out.push(b':');
        write(value, &[], depth + 1, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn check_depth(depth: usize) -> Result<(), CannotBeSigned> {
    if depth > MAX_DEPTH { Err(CannotBeSigned::TooDeep) } else { Ok(()) }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // serde_json escapes exactly what is escaped here: `"`, `\` and U+0000 to U+001F.
    serde_json::to_writer(out, text).expect("a string always serialises");
}

fn write_number(number: &serde_json::Number, out: &mut Vec<u8>) -> Result<(), CannotBeSigned> {
    if number.is_i64() || number.is_u64() {
        out.extend_from_slice(number.to_string().as_bytes());
        return Ok(());
    }
    let float = number.as_f64().expect("without `arbitrary_precision` a number that is no integer is a float");
    if float.fract() == 0.0 {
        out.extend_from_slice(whole(float)?.to_string().as_bytes());
    } else {
        write_fraction(float, out);
    }
    Ok(())
}

/// −2^63 … 2^64−1, as far as floats reach: 2^64 itself is the first that is too large.
fn whole(float: f64) -> Result<i128, CannotBeSigned> {
    const LOW: f64 = -9_223_372_036_854_775_808.0;
    const HIGH: f64 = 18_446_744_073_709_551_616.0;
    if (LOW..HIGH).contains(&float) {
        Ok(float as i128)
    } else {
        Err(CannotBeSigned::NumberOutOfRange(format!("{float:e}")))
    }
}

/// Shortest digits; plain down to 0.00001, with an exponent below.
fn write_fraction(float: f64, out: &mut Vec<u8>) {
    let scientific = format!("{float:e}");
    let exponent: i32 = scientific
        .rsplit_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .expect("`{:e}` always prints an exponent");
    if exponent < -5 {
        out.extend_from_slice(scientific.as_bytes());
    } else {
        out.extend_from_slice(float.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            text_of(r#"{"a":-9223372036854775808.0,"b":18446744073709551615}"#).as_deref(),
            Ok(r#"{"a":-9223372036854775808,"b":18446744073709551615}"#)
        );
        for bad in ["1e22", "18446744073709551616", "-9223372036854775809e1"] {
            let error = text_of(&format!("{{\"a\":{bad}}}")).expect_err(bad);
            assert!(matches!(error, CannotBeSigned::NumberOutOfRange(_)), "{error}");
        }
    }

    #[test]
    fn only_an_object_can_be_signed() {
        for bad in ["[]", "1", "null", "", "{", "{\"a\":\"\\ud800\"}"] {
            assert!(matches!(text_of(bad), Err(CannotBeSigned::NotAnObject(_))), "{bad}");
        }
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
        fn the_canonical_form_is_its_own(keys in proptest::collection::vec(".*", 0..6), number: f64) {
            prop_assume!(number.is_finite() && number.abs() < 1e18);
            let object: Map<String, Value> =
                keys.into_iter().map(|key| (key.clone(), serde_json::json!([key, number, null]))).collect();
            let once = text_of(&Value::Object(object).to_string()).expect("signable");
            prop_assert_eq!(text_of(&once).expect("signable"), once);
        }
    }
}
