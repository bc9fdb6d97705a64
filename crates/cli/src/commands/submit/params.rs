//! The parameters, as they are given in arguments.

use std::io::{self, Read};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use serde_json::Value;
use serde_json::value::RawValue;

use super::schema;
use crate::exit::Failure;

/// Parameters.
#[derive(Debug)]
pub(super) enum Given {
    /// An object, as it stands.
    Json(Box<RawValue>),
    /// Words like `width=640`.
    Words(Vec<Word>),
}

/// A word like `width=640`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    key: String,
    value: WordValue,
}

#[derive(Debug, PartialEq, Eq)]
enum WordValue {
    /// A value that is JSON, or a text.
    Text(String),
    /// A text, whatever the schema says.
    Literal(String),
    /// `@path`: the file is uploaded.
    File(PathBuf),
}

impl Given {
    /// Reads arguments.
    pub(super) fn read(arguments: &[String]) -> Result<Self, Failure> {
        match arguments {
            [] => Ok(Self::Json(json("{}")?)),
            [only] if !is_word(only) => json(only).map(Self::Json),
            words => self::words(words).map(Self::Words),
        }
    }

    /// The files to be uploaded.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let words = match self {
            Self::Json(_) => &[][..],
            Self::Words(words) => words,
        };
        words.iter().filter_map(|word| match &word.value {
            WordValue::File(path) => Some(path),
            WordValue::Text(_) | WordValue::Literal(_) => None,
        })
    }

    /// Returns the object. `addresses` are those of the files, in their order; the schema decides what is a text.
    pub(super) fn object(
        self,
        addresses: &[String],
        schema: Option<&Value>,
    ) -> anyhow::Result<Box<RawValue>> {
        let words = match self {
            Self::Json(object) => return Ok(object),
            Self::Words(words) => words,
        };
        let mut addresses = addresses.iter();
        let mut members = Vec::with_capacity(words.len());
        for Word { key, value } in words {
            let value = match value {
                WordValue::Text(text) => match serde_json::from_str::<&RawValue>(&text) {
                    Ok(json) if !schema.is_some_and(|schema| schema::wants_text(schema, &key, json)) => {
                        json.get().to_owned()
                    }
                    _ => serde_json::to_string(&text)?,
                },
                WordValue::Literal(text) => serde_json::to_string(&text)?,
                WordValue::File(path) => {
                    let address = addresses.next();
                    serde_json::to_string(
                        address.with_context(|| format!("`{}` has no address", path.display()))?,
                    )?
                }
            };
            members.push(format!("{}:{value}", serde_json::to_string(&key)?));
        }
        Ok(RawValue::from_string(format!("{{{}}}", members.join(",")))?)
    }
}

/// Whether an argument is a word with a key, and not JSON, a file with JSON, or standard input.
fn is_word(argument: &str) -> bool {
    argument.contains('=') && !argument.trim_start().starts_with(['{', '[', '"', '@'])
}

fn words(arguments: &[String]) -> Result<Vec<Word>, Failure> {
    let mut words: Vec<Word> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let word = argument.split_once('=').filter(|(key, _)| !key.is_empty() && is_word(argument));
        let Some((key, value)) = word else {
            let text = format!(
                "PARAMS has `{}`, expected words like `width=640`, or one argument with JSON",
                shown(argument)
            );
            return Err(Failure::usage(anyhow!(text)));
        };
        if words.iter().any(|known| known.key == key) {
            return Err(Failure::usage(anyhow!("PARAMS has `{}` twice, expected each key once", shown(key))));
        }
        let value = match value.strip_prefix('@') {
            Some(literal) if literal.starts_with('@') => WordValue::Literal(literal.to_owned()),
            Some(path) => WordValue::File(PathBuf::from(path)),
            None => WordValue::Text(value.to_owned()),
        };
        words.push(Word { key: key.to_owned(), value });
    }
    Ok(words)
}

/// Reads an argument with JSON: the text itself, `@FILE`, or `-` for standard input. It has to be an object.
pub(in crate::commands) fn json(argument: &str) -> Result<Box<RawValue>, Failure> {
    let wrong = |text: String| Failure::usage(anyhow!(text));
    let text = if argument == "-" {
        let mut text = String::new();
        io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")
            .map_err(Failure::usage)?;
        if text.trim().is_empty() {
            return Err(wrong("standard input is empty, expected JSON".to_owned()));
        }
        text
    } else if let Some(path) = argument.strip_prefix('@') {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"));
        text.map_err(Failure::usage)?
    } else {
        argument.to_owned()
    };
    let text = text.trim_start_matches('\u{feff}');
    let json: Box<RawValue> = serde_json::from_str(text).map_err(|error| {
        wrong(format!("PARAMS is `{}`, which is not JSON: {error}; expected an object", shown(text)))
    })?;
    if json.get().starts_with('{') {
        Ok(json)
    } else {
        Err(wrong(format!("PARAMS is `{}`, expected an object", shown(json.get()))))
    }
}

fn shown(text: &str) -> String {
    rxon::text::excerpt_within(text, 60)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(arguments: &[&str], schema: Option<&Value>) -> Option<String> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let given = Given::read(&arguments).ok()?;
        let addresses: Vec<String> = given.files().map(|path| format!("s3://b/{}", path.display())).collect();
        Some(given.object(&addresses, schema).expect("an object").get().to_owned())
    }

    #[test]
    fn words_make_an_object_and_json_keeps_its_characters() {
        for (arguments, expected) in [
            (&[][..], "{}"),
            (&["{\"a\": 1.50}"], "{\"a\": 1.50}"),
            (&["width=640"], r#"{"width":640}"#),
            (&["a=1.50", "b=12345678901234567890"], r#"{"a":1.50,"b":12345678901234567890}"#),
            (&["a=true", "b=null", "c=[1]", "d=\"640\""], r#"{"a":true,"b":null,"c":[1],"d":"640"}"#),
            (&["a=hello world", "b=", "c=x=y"], r#"{"a":"hello world","b":"","c":"x=y"}"#),
            (&["a.b=1"], r#"{"a.b":1}"#),
            (&["a=@photo.jpg", "b=@@x"], r#"{"a":"s3://b/photo.jpg","b":"@x"}"#),
            (&["a={\"b\":1}"], r#"{"a":{"b":1}}"#),
            (&["ü\"=1"], r#"{"ü\"":1}"#),
        ] {
            assert_eq!(object(arguments, None).as_deref(), Some(expected), "{arguments:?}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for arguments in [
            &["[1]"][..],
            &["5"],
            &["\"a\""],
            &["null"],
            &["{"],
            &["width"],
            &["=5"],
            &["a=1", "a=2"],
            &["{}", "a=1"],
            &["a=1", "{}"],
            &["@/no/such/file"],
        ] {
            assert_eq!(object(arguments, None), None, "{arguments:?}");
        }
    }

    #[test]
    fn the_schema_decides_what_is_a_text() {
        let schema = json!({"properties": {
            "name": {"type": "string"},
            "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "both": {"type": ["string", "integer"]},
        }});
        let arguments = ["name=640", "maybe=null", "both=640", "other=640"];
        let expected = r#"{"name":"640","maybe":null,"both":640,"other":640}"#;
        assert_eq!(object(&arguments, Some(&schema)).as_deref(), Some(expected));
        let quoted = object(&["name=\"640\"", "maybe=640"], Some(&schema));
        assert_eq!(quoted.as_deref(), Some(r#"{"name":"\"640\"","maybe":"640"}"#));
    }
}
