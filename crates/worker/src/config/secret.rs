//! Secrets in options: types that do not print them, and where to find them in the text of a value.

use std::fmt;

use rxon::text::excerpt;
use rxon::transport::http::{redacted, secrets_in};
use serde_json::Value;

/// A token or key. `Display` and `Debug` print `***`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text so that it is never printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// An address that may contain credentials. `Display` and `Debug` leave out `user:password@` and everything after a
/// `?`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Takes any text: addresses are checked with the rest of the configuration.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The address with its credentials.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Address({self})")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&redacted(&self.0))
    }
}

impl<T: Into<String>> From<T> for Address {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// How much of an option's value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visibility {
    /// All of it.
    Plain,
    /// Nothing: the whole value is a secret.
    Masked,
    /// Nothing: the value is a list of orchestrators, with tokens and passwords in it.
    MaskedEntries,
    /// The address without its credentials.
    Address,
}

impl Visibility {
    /// A value, right or wrong, as an error shows it.
    pub(super) fn shown(self, value: &str) -> String {
        match self {
            Self::Plain => excerpt(value),
            Self::Masked | Self::MaskedEntries => "***".to_owned(),
            Self::Address => excerpt(redacted(value)),
        }
    }

    /// The secrets in a value, right or wrong.
    pub(super) fn secrets(self, value: &str) -> Vec<String> {
        match self {
            Self::Plain => Vec::new(),
            Self::Masked => vec![value.trim().to_owned()],
            Self::MaskedEntries => secrets_in_entries(value),
            Self::Address => secrets_in(value),
        }
    }
}

/// The tokens in a list of orchestrators, and the passwords in their addresses.
fn secrets_in_entries(text: &str) -> Vec<String> {
    let Ok(Value::Array(entries)) = serde_json::from_str(text) else { return Vec::new() };
    let field = |entry: &Value, key: &str| entry.get(key)?.as_str().map(str::to_owned);
    let in_entry = |entry: &Value| {
        let mut secrets = field(entry, "url").map_or_else(Vec::new, |url| secrets_in(&url));
        secrets.extend(field(entry, "token"));
        secrets
    };
    entries.iter().flat_map(in_entry).collect()
}
