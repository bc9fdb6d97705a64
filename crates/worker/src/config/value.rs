//! The values of options as simple types, as text, and as they may be shown.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::{Artifact, Device, InstalledModel};
use rxon::transport::http::OrchestratorUrl;
use serde::Serialize;
use serde_json::json;

use super::choices::{
    CapacityReporting, LogFormat, LogLevel, MultiOrchestratorMode, Named, ShutdownPolls, name_of,
};
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

impl OptionValue {
    /// The text that a variable would need for this value. None where there is no value.
    pub(super) fn into_text(self) -> Option<String> {
        match self {
            Self::Missing => None,
            Self::Boolean(value) => Some(value.to_string()),
            Self::Whole(number) => Some(number.to_string()),
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) | Self::Json(text) => Some(text),
        }
    }
}

/// The type of an option's value.
pub(super) trait Setting {
    /// The value in the simplest type that can hold it, secrets included.
    fn value(&self) -> OptionValue;

    /// The value as text without secrets. None where there is no value.
    fn shown(&self) -> Option<String> {
        self.value().into_text()
    }
}

impl<T: Setting> Setting for Option<T> {
    fn value(&self) -> OptionValue {
        self.as_ref().map_or(OptionValue::Missing, T::value)
    }

    fn shown(&self) -> Option<String> {
        self.as_ref()?.shown()
    }
}

macro_rules! settings {
    ($($type:ty: $value:expr $(, shown as $shown:expr)?;)*) => { $(
        impl Setting for $type {
            fn value(&self) -> OptionValue {
                let value: fn(&Self) -> OptionValue = $value;
                value(self)
            }

            $(fn shown(&self) -> Option<String> {
                Some($shown(self))
            })?
        }
    )* };
}

settings! {
    bool: |flag| OptionValue::Boolean(*flag);
    u16: |number| OptionValue::Whole((*number).into());
    usize: |number| OptionValue::Whole(*number as u64);
    f64: |number| OptionValue::Number(*number);
    Duration: |time| OptionValue::Number(time.as_secs_f64());
    PathBuf: |path| OptionValue::Text(path.display().to_string());
    String: text;
    IpAddr: text;
    WorkerId: text;
    OrchestratorUrl: text;
    MultiOrchestratorMode: name;
    CapacityReporting: name;
    ShutdownPolls: name;
    LogFormat: name;
    LogLevel: name;
    BTreeMap<String, f64>: as_json;
    BTreeMap<String, String>: as_json;
    Vec<InstalledModel>: as_json;
    Vec<Artifact>: as_json;
    Vec<Device>: as_json;
    Secret: |secret| OptionValue::Text(secret.expose().to_owned()), shown as ToString::to_string;
    Address: |address| OptionValue::Text(address.expose().to_owned()), shown as ToString::to_string;
}

fn text(value: &impl ToString) -> OptionValue {
    OptionValue::Text(value.to_string())
}

fn name(value: &impl Named) -> OptionValue {
    OptionValue::Text(name_of(*value).to_owned())
}

fn as_json(value: &impl Serialize) -> OptionValue {
    OptionValue::Json(json!(value).to_string())
}
