//! From values to texts: as a variable would have to say it, and as it may be shown.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::InstalledModel;
use rxon::transport::http::OrchestratorUrl;
use serde_json::json;

use super::parse::Named;
use super::{Address, OrchestratorEntry, Secret};

/// The value of an option, for front doors in other languages: in the simplest type that says it, secrets and all.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum OptionValue {
    /// It has none.
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

/// The value of an option.
pub(super) trait Value {
    /// As its variable would have to say it, secrets and all. None where there is no value.
    fn text(&self) -> Option<String>;

    /// In the simplest type that says it.
    fn value(&self) -> OptionValue {
        self.text().map_or(OptionValue::Missing, OptionValue::Text)
    }

    /// As it may be shown.
    fn shown(&self) -> Option<String> {
        self.text()
    }
}

impl<T: Value> Value for Option<T> {
    fn text(&self) -> Option<String> {
        self.as_ref()?.text()
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
        impl Value for $type {
            fn text(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )* };
}

as_displayed! { String IpAddr WorkerId OrchestratorUrl }

macro_rules! as_number {
    ($($type:ty: $value:expr;)*) => { $(
        impl Value for $type {
            fn text(&self) -> Option<String> {
                Some(self.to_string())
            }

            fn value(&self) -> OptionValue {
                $value(*self)
            }
        }
    )* };
}

as_number! {
    bool: OptionValue::Boolean;
    u16: |number: u16| OptionValue::Whole(number.into());
    usize: |number: usize| OptionValue::Whole(number as u64);
    f64: OptionValue::Number;
}

macro_rules! as_json {
    ($($type:ty)*) => { $(
        impl Value for $type {
            fn text(&self) -> Option<String> {
                Some(json!(self).to_string())
            }

            fn value(&self) -> OptionValue {
                OptionValue::Json(json!(self).to_string())
            }
        }
    )* };
}

as_json! { BTreeMap<String, f64> BTreeMap<String, String> Vec<InstalledModel> }

macro_rules! as_named {
    ($($type:ty)*) => { $(
        impl Value for $type {
            fn text(&self) -> Option<String> {
                let named = Self::NAMES.iter().find(|(_, value)| value == self);
                named.map(|(name, _)| (*name).to_owned())
            }
        }
    )* };
}

as_named! {
    super::CapacityReporting super::LogFormat super::LogLevel super::MultiOrchestratorMode super::ShutdownPolls
}

impl Value for Duration {
    fn text(&self) -> Option<String> {
        Some(self.as_secs_f64().to_string())
    }

    fn value(&self) -> OptionValue {
        OptionValue::Number(self.as_secs_f64())
    }
}

impl Value for PathBuf {
    fn text(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

impl Value for Secret {
    fn text(&self) -> Option<String> {
        Some(self.expose().to_owned())
    }

    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for Address {
    fn text(&self) -> Option<String> {
        Some(self.expose().to_owned())
    }

    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for Vec<OrchestratorEntry> {
    fn text(&self) -> Option<String> {
        Some(entries(self, Secret::expose))
    }

    fn value(&self) -> OptionValue {
        OptionValue::Json(entries(self, Secret::expose))
    }

    fn shown(&self) -> Option<String> {
        Some(entries(self, |_| "***"))
    }
}

fn entries(entries: &[OrchestratorEntry], token: impl Fn(&Secret) -> &str) -> String {
    let objects = entries.iter().map(|entry| {
        let mut object = json!({
            "url": entry.url.to_string(),
            "priority": entry.priority,
            "weight": entry.weight,
        });
        if !entry.token.is_empty() {
            object["token"] = token(&entry.token).into();
        }
        object
    });
    json!(objects.collect::<Vec<_>>()).to_string()
}
