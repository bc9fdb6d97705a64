//! From values to texts: as a variable would have to say it, and as it may be shown.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::InstalledModel;
use rxon::transport::http::OrchestratorUrl;
use serde_json::json;

use super::parse::Named;
use super::{Address, OrchestratorEntry, Secret};

/// The value of an option.
pub(super) trait Value {
    /// As its variable would have to say it, secrets and all. None where there is no value.
    fn text(&self) -> Option<String>;

    /// As it may be shown.
    fn shown(&self) -> Option<String> {
        self.text()
    }
}

impl<T: Value> Value for Option<T> {
    fn text(&self) -> Option<String> {
        self.as_ref()?.text()
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

as_displayed! { bool u16 usize f64 String IpAddr WorkerId OrchestratorUrl }

macro_rules! as_json {
    ($($type:ty)*) => { $(
        impl Value for $type {
            fn text(&self) -> Option<String> {
                Some(json!(self).to_string())
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
