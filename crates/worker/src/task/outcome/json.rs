//! A handler's data as JSON text.
//!
//! `serde_json` writes NaN and infinities as `null`, which would change the data, so they are refused. Only data whose
//! text contains `null` is searched for them; all other data is serialised once and not searched.

use std::fmt;

use serde::de::value::Error as RefusedValue;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{self, Error as _, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// Returns the JSON text of data, or describes the value that is not JSON, with its path.
pub(super) fn to_json(data: &impl Serialize) -> Result<Box<RawValue>, String> {
    let raw = match to_raw_value(data) {
        Ok(raw) => raw,
        Err(error) => {
            let mut again = serde_json::Serializer::new(std::io::sink());
            return Err(problem(data, &mut again).unwrap_or_else(|| error.to_string()));
        }
    };
    if rxon::json::has_stand_ins(raw.get()) {
        return Err("NaN or an infinity, which the task's parameters have, is no number of JSON".to_owned());
    }
    let problem = raw.get().contains("null").then(|| problem(data, Finite)).flatten();
    problem.map_or(Ok(raw), Err)
}

/// Returns the JSON text of an object, or logs a warning that another value is left out; nothing stays nothing.
pub(crate) fn optional_object(what: &str, value: &impl Serialize) -> Option<Box<RawValue>> {
    let problem = match to_json(value) {
        Ok(raw) if raw.get().starts_with('{') => return Some(raw),
        Ok(raw) if raw.get() == "null" => return None,
        Ok(raw) => format!("`{}`, expected a JSON object", rxon::text::excerpt(raw.get())),
        Err(problem) => format!("not JSON: {problem}"),
    };
    tracing::warn!("left out {what}: {problem}");
    None
}

/// Adds a field to an object, or replaces its value. All other fields stay the same, byte by byte and in their order.
pub(super) fn with_field(object: Option<&RawValue>, name: &str, value: &RawValue) -> Box<RawValue> {
    let text = object.map_or("{}", RawValue::get);
    let fields = serde_json::Deserializer::from_str(text).deserialize_map(FieldsInOrder);
    let mut fields = fields.expect("data is an object");
    fields.retain(|(key, _)| serde_json::from_str::<String>(key.get()).ok().as_deref() != Some(name));
    let name = serde_json::Value::from(name);
    let mut texts: Vec<String> = fields.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    texts.push(format!("{name}:{value}"));
    let text = format!("{{{}}}", texts.join(","));
    RawValue::from_string(text).expect("made of JSON")
}

/// Reads the fields of an object in their order, with names and values as written.
struct FieldsInOrder;

impl<'de> Visitor<'de> for FieldsInOrder {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        std::iter::from_fn(|| map.next_entry().transpose()).collect()
    }
}

/// Describes the value that a serialiser refuses, with its path.
fn problem<S: Serializer>(data: &impl Serialize, serializer: S) -> Option<String> {
    let error = serde_path_to_error::serialize(data, serializer).err()?;
    let path = error.path().to_string();
    let place = if path == "." { String::new() } else { format!("at `{path}`: ") };
    Some(format!("{place}{}", error.into_inner()))
}

/// A serialiser that writes nothing and refuses floats that are not finite.
struct Finite;

/// Methods that accept any value, and return the same output.
macro_rules! accepted {
    ($output:ty, $value:expr; $($method:ident($($argument:ty),*))*) => { $(
        fn $method(self, $(_: $argument),*) -> Result<$output, RefusedValue> {
            Ok($value)
        }
    )* };
}

/// Methods that check the value in their last argument.
macro_rules! checked {
    ($($method:ident($($argument:ty),*))*) => { $(
        fn $method<T: Serialize + ?Sized>(self, $(_: $argument,)* value: &T) -> Result<(), RefusedValue> {
            value.serialize(self)
        }
    )* };
}

impl Serializer for Finite {
    type Ok = ();
    type Error = RefusedValue;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn serialize_f32(self, value: f32) -> Result<(), RefusedValue> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), RefusedValue> {
        if value.is_finite() { Ok(()) } else { Err(RefusedValue::custom(value)) }
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<(), RefusedValue> {
        Ok(())
    }

    accepted! { (), ();
        serialize_bool(bool) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_none() serialize_unit() serialize_unit_struct(&'static str)
        serialize_unit_variant(&'static str, u32, &'static str)
    }

    accepted! { Self, Finite;
        serialize_seq(Option<usize>) serialize_map(Option<usize>)
        serialize_tuple(usize) serialize_tuple_struct(&'static str, usize)
        serialize_tuple_variant(&'static str, u32, &'static str, usize)
        serialize_struct(&'static str, usize)
        serialize_struct_variant(&'static str, u32, &'static str, usize)
    }

    checked! {
        serialize_some() serialize_newtype_struct(&'static str)
        serialize_newtype_variant(&'static str, u32, &'static str)
    }
}

/// The traits of values that have parts.
macro_rules! compound {
    ($($trait:ident: $($method:ident($($name:ty)?))+;)*) => { $(
        impl ser::$trait for Finite {
            type Ok = ();
            type Error = RefusedValue;

            $(
                fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? part: &T) -> Result<(), RefusedValue> {
                    part.serialize(Finite)
                }
            )+

            fn end(self) -> Result<(), RefusedValue> {
                Ok(())
            }
        }
    )* };
}

compound! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key() serialize_value();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    struct Stats {
        name: &'static str,
        mean: f64,
        parts: Vec<Shape>,
        note: Option<Box<RawValue>>,
    }

    #[derive(Serialize)]
    enum Shape {
        Whole,
        Single(f32),
        Pair(u8, f64),
        Named { value: Option<f64> },
    }

    fn stats(mean: f64, parts: Vec<Shape>) -> Stats {
        Stats { name: "null", mean, parts, note: None }
    }

    #[test]
    fn what_is_no_number_is_refused_and_named_by_its_path() {
        let table = [
            (stats(f64::NAN, vec![]), "at `mean`: NaN"),
            (stats(0.0, vec![Shape::Whole, Shape::Single(f32::INFINITY)]), "inf"),
            (stats(0.0, vec![Shape::Pair(1, f64::NEG_INFINITY)]), "-inf"),
            (stats(0.0, vec![Shape::Named { value: Some(f64::NAN) }]), "NaN"),
        ];
        for (data, expected) in table {
            let problem = to_json(&data).expect_err(expected);
            let index = data.parts.len().wrapping_sub(1);
            assert!(problem.ends_with(expected), "{problem}");
            assert!(data.parts.is_empty() || problem.contains(&format!("parts[{index}]")), "{problem}");
        }
        let nested = BTreeMap::from([("a b", vec![(1, Some(f64::NAN))])]);
        assert_eq!(to_json(&nested).expect_err("NaN"), "at `a b[0][1]`: NaN");
        assert_eq!(to_json(&f64::NAN).expect_err("NaN"), "NaN");
    }

    #[test]
    fn what_serde_json_refuses_is_named_by_its_path_too() {
        let problem = to_json(&json_with_keys()).expect_err("a key that is no text");
        assert_eq!(problem, "at `outer`: key must be a string");
    }

    fn json_with_keys() -> BTreeMap<&'static str, BTreeMap<Vec<u8>, u8>> {
        BTreeMap::from([("outer", BTreeMap::from([(vec![1], 1)]))])
    }

    #[test]
    fn a_field_is_added_or_replaced_and_all_else_stays() {
        let object = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        let odd = r#"{ "z" : 1e400, "\ud800": [ 1.0 ],"\u0061":1,"b":18446744073709551616,"b":-0.0}"#;
        for (before, name, after) in [
            (
                odd,
                "c\"",
                r#"{"z":1e400,"\ud800":[ 1.0 ],"\u0061":1,"b":18446744073709551616,"b":-0.0,"c\"":2}"#,
            ),
            (odd, "a", r#"{"z":1e400,"\ud800":[ 1.0 ],"b":18446744073709551616,"b":-0.0,"a":2}"#),
            (odd, "b", r#"{"z":1e400,"\ud800":[ 1.0 ],"\u0061":1,"b":2}"#),
            ("{}", "", r#"{"":2}"#),
        ] {
            assert_eq!(with_field(Some(&object(before)), name, &object("2")).get(), after);
        }
        assert_eq!(with_field(None, "a", &object("[ 2 ]")).get(), r#"{"a":[ 2 ]}"#);
    }

    #[test]
    fn nulls_that_are_meant_stay() {
        let mut data = stats(1.0, vec![Shape::Named { value: None }, Shape::Single(0.5)]);
        let json = to_json(&data).expect("JSON");
        assert_eq!(
            json.get(),
            r#"{"name":"null","mean":1.0,"parts":[{"Named":{"value":null}},{"Single":0.5}],"note":null}"#
        );
        data.note = RawValue::from_string(r#"{ "b":1e400, "a" : [null, 1.0,-0.0] }"#.to_owned()).ok();
        let json = to_json(&data).expect("JSON");
        assert!(json.get().ends_with(r#""note":{ "b":1e400, "a" : [null, 1.0,-0.0] }}"#), "{json}");
        assert_eq!(to_json(&data.note).expect("JSON").get(), data.note.as_ref().expect("set").get());
        assert_eq!(to_json(&json!({"a": null, "b": [1.5]})).expect("JSON").get(), r#"{"a":null,"b":[1.5]}"#);
        assert_eq!(to_json(&()).expect("JSON").get(), "null");
    }
}
