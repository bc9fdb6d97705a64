//! Reading TOML as JSON.

use serde_json::{Map, Value};
use toml::de::Error;

use super::BlueprintError;

/// Returns the same content as JSON.
pub(super) fn to_json(text: &str) -> Result<Value, BlueprintError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| syntax(text, &error))?;
    object("", table)
}

fn syntax(text: &str, error: &Error) -> BlueprintError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    BlueprintError(format!("line {line} is not TOML: {}", error.message().trim().replace('\n', ", ")))
}

fn object(place: &str, table: toml::Table) -> Result<Value, BlueprintError> {
    let member = |(key, value): (String, toml::Value)| {
        let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        Ok((key, json(&place, value)?))
    };
    table.into_iter().map(member).collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

fn json(place: &str, value: toml::Value) -> Result<Value, BlueprintError> {
    Ok(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| BlueprintError::at(place, format!("`{number}` is not a number in JSON")))?,
        toml::Value::Datetime(time) => {
            let problem = format!("`{time}` is a time, which JSON does not have: put it in quotation marks");
            return Err(BlueprintError::at(place, problem));
        }
        toml::Value::Array(items) => {
            let items = items.into_iter().enumerate();
            items.map(|(index, item)| json(&format!("{place}[{index}]"), item)).collect::<Result<_, _>>()?
        }
        toml::Value::Table(table) => object(place, table)?,
    })
}
