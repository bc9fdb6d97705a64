//! The values of options as text, as simple types, and as they may be shown.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::InstalledModel;
use rxon::transport::http::OrchestratorUrl;
use serde_json::json;

use super::secret::{Address, Secret};

/// The value of an option in the simplest type that can hold it, secrets included. For packages in other languages.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum OptionValue {
    /// The option has no value.
    Missing,
    /// A boolean.
    Boolean(bool),
    /// A whole number.
    Whole(u64),
    /// A number; times are seconds.
    Number(f64),
    /// A text.
    Text(String),
    /// A list or an object, as JSON text.
    Json(String),
}

/// Shows the type only: the value may be a secret.
impl fmt::Debug for OptionValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "Missing",
            Self::Boolean(_) => "Boolean(***)",
            Self::Whole(_) => "Whole(***)",
            Self::Number(_) => "Number(***)",
            Self::Text(_) => "Text(***)",
            Self::Json(_) => "Json(***)",
        })
    }
}

/// The type of an option's value.
pub(super) trait Setting {
    /// The text that a variable would need for this value, secrets included. None where there is no value.
    fn exposed_text(&self) -> Option<String>;

    /// The value in the simplest type that can hold it.
    fn value(&self) -> OptionValue {
        self.exposed_text().map_or(OptionValue::Missing, OptionValue::Text)
    }

    /// The text that may be shown.
    fn shown(&self) -> Option<String> {
        self.exposed_text()
    }
}

impl<T: Setting> Setting for Option<T> {
    fn exposed_text(&self) -> Option<String> {
        self.as_ref()?.exposed_text()
    }

    fn value(&self) -> OptionValue {
        self.as_ref().map_or(OptionValue::Missing, T::value)
    }

    fn shown(&self) -> Option<String> {
        self.as_ref()?.shown()
    }
}

macro_rules! as_displayed {
    ($($type:ty)*) => { $(
        impl Setting for $type {
            fn exposed_text(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )* };
}

as_displayed! { String IpAddr WorkerId OrchestratorUrl }

macro_rules! as_simple_type {
    ($($type:ty: $value:expr;)*) => { $(
        impl Setting for $type {
            fn exposed_text(&self) -> Option<String> {
                Some(self.to_string())
            }

            fn value(&self) -> OptionValue {
                $value(*self)
            }
        }
    )* };
}

as_simple_type! {
    bool: OptionValue::Boolean;
    u16: |number: u16| OptionValue::Whole(number.into());
    usize: |number: usize| OptionValue::Whole(number as u64);
    f64: OptionValue::Number;
}

macro_rules! as_json {
    ($($type:ty)*) => { $(
        impl Setting for $type {
            fn exposed_text(&self) -> Option<String> {
                Some(json!(self).to_string())
            }

            fn value(&self) -> OptionValue {
                OptionValue::Json(json!(self).to_string())
            }
        }
    )* };
}

as_json! { BTreeMap<String, f64> BTreeMap<String, String> Vec<InstalledModel> }

impl Setting for Duration {
    fn exposed_text(&self) -> Option<String> {
        Some(self.as_secs_f64().to_string())
    }

    fn value(&self) -> OptionValue {
        OptionValue::Number(self.as_secs_f64())
    }
}

impl Setting for PathBuf {
    fn exposed_text(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

macro_rules! as_secret {
    ($($type:ty)*) => { $(
        impl Setting for $type {
            fn exposed_text(&self) -> Option<String> {
                Some(self.expose().to_owned())
            }

            fn shown(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )* };
}

as_secret! { Secret Address }
