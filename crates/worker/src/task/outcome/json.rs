//! A handler's data as JSON text.
//!
//! `serde_json` writes NaN and infinities as `null`, which would change the data, so they are refused. Only data whose
//! text contains `null` is searched for them; all other data is serialised once and not searched.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{self, Serialize, Serializer};
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
    match raw.get().contains("null").then(|| problem(data, Finite)).flatten() {
        Some(problem) => Err(problem),
        None => Ok(raw),
    }
}

/// Adds a field to an object, or replaces its value. All other fields stay the same, byte by byte and in their order.
pub(super) fn with_field(object: Option<&RawValue>, name: &str, value: &RawValue) -> Box<RawValue> {
    let fields = object.map(|object| serde_json::from_str(object.get()).expect("data is an object"));
    let Fields(mut fields) = fields.unwrap_or_default();
    fields.retain(|(key, _)| serde_json::from_str::<String>(key.get()).ok().as_deref() != Some(name));
    let name = serde_json::Value::from(name).to_string();
    let mut texts: Vec<String> = fields.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    texts.push(format!("{name}:{value}"));
    let text = format!("{{{}}}", texts.join(","));
    RawValue::from_string(text).expect("made of JSON")
}

/// The fields of an object in their order, with names and values as written.
#[derive(Default)]
struct Fields<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
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

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct RefusedValue(String);

impl ser::Error for RefusedValue {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

macro_rules! accepted {
    ($($method:ident: $type:ty)*) => { $(
        fn $method(self, _value: $type) -> Result<(), RefusedValue> {
            Ok(())
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

    accepted! {
        serialize_bool: bool serialize_char: char serialize_str: &str serialize_bytes: &[u8]
        serialize_i8: i8 serialize_i16: i16 serialize_i32: i32 serialize_i64: i64 serialize_i128: i128
        serialize_u8: u8 serialize_u16: u16 serialize_u32: u32 serialize_u64: u64 serialize_u128: u128
        serialize_unit_struct: &'static str
    }

    fn serialize_f32(self, value: f32) -> Result<(), RefusedValue> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), RefusedValue> {
        if value.is_finite() { Ok(()) } else { Err(RefusedValue(value.to_string())) }
    }

    fn serialize_none(self) -> Result<(), RefusedValue> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), RefusedValue> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), RefusedValue> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), RefusedValue> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), RefusedValue> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), RefusedValue> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, RefusedValue> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, RefusedValue> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, RefusedValue> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, RefusedValue> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, RefusedValue> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, RefusedValue> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, RefusedValue> {
        Ok(self)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<(), RefusedValue> {
        Ok(())
    }
}

macro_rules! compound {
    ($($trait:ident: $method:ident)*) => { $(
        impl ser::$trait for Finite {
            type Ok = ();
            type Error = RefusedValue;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), RefusedValue> {
                value.serialize(Finite)
            }

            fn end(self) -> Result<(), RefusedValue> {
                Ok(())
            }
        }
    )* };
}

compound! {
    SerializeSeq: serialize_element
    SerializeTuple: serialize_element
    SerializeTupleStruct: serialize_field
    SerializeTupleVariant: serialize_field
}

macro_rules! compound_with_names {
    ($($trait:ident)*) => { $(
        impl ser::$trait for Finite {
            type Ok = ();
            type Error = RefusedValue;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), RefusedValue> {
                value.serialize(Finite)
            }

            fn end(self) -> Result<(), RefusedValue> {
                Ok(())
            }
        }
    )* };
}

compound_with_names! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Finite {
    type Ok = ();
    type Error = RefusedValue;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), RefusedValue> {
        key.serialize(Finite)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), RefusedValue> {
        value.serialize(Finite)
    }

    fn end(self) -> Result<(), RefusedValue> {
        Ok(())
    }
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
