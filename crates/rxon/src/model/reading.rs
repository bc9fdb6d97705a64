//! Lenient reading of received fields, where leniency does no harm.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Reads a field that may be `null` as well as absent.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a field that counts as absent when it has the wrong type.
pub(super) fn if_readable<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}

/// Takes the string members of an answer by their names. A member of another type counts as absent.
pub(super) fn texts<const N: usize>(mut fields: Map<String, Value>, names: [&str; N]) -> [Option<String>; N] {
    names.map(|name| match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    })
}
