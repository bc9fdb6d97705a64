//! What a worker says of itself for people. Nothing depends on it, so that a value of an unexpected type counts as absent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rxon::TaskName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::store::{About, Equipment, Hot};
use crate::view::Machine;

/// The longest text that is kept, in characters.
const MAX_TEXT: usize = 200;

/// The longest description of a skill that is kept, in characters.
const MAX_DESCRIPTION: usize = 10_000;

/// The number of entries of a list that are kept.
const MAX_ENTRIES: usize = 200;

/// The largest description of a graphics card that is kept, in bytes.
const MAX_GPU: usize = 4096;

/// A task that a worker has a handler for.
#[derive(Deserialize)]
pub(super) struct Skill {
    pub(super) name: String,
    #[serde(rename = "type")]
    kind: Option<Box<RawValue>>,
    description: Option<Box<RawValue>>,
    version: Option<Box<RawValue>>,
    input_schema: Option<Box<RawValue>>,
    output_schema: Option<Box<RawValue>>,
    events_schema: Option<Box<RawValue>>,
}

impl Skill {
    pub(super) fn about(&self) -> About {
        About {
            kind: text(self.kind.as_deref(), MAX_TEXT),
            description: text(self.description.as_deref(), MAX_DESCRIPTION),
            version: text(self.version.as_deref(), MAX_TEXT),
            input_schema: object(self.input_schema.as_deref()),
            output_schema: object(self.output_schema.as_deref()),
            events_schema: object(self.events_schema.as_deref()),
        }
    }
}

/// The members of a registration that describe the worker.
pub(super) struct Description<'a> {
    pub(super) resources: Option<&'a RawValue>,
    pub(super) software: Option<&'a RawValue>,
    pub(super) capabilities: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Resources {
    max_concurrent_tasks: Option<Box<RawValue>>,
    cpu_cores: Option<Box<RawValue>>,
    gpu_info: Option<Box<RawValue>>,
    devices: Option<Box<RawValue>>,
    properties: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
struct Properties {
    max_concurrent_tasks: Option<Box<RawValue>>,
    cpu_cores: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Device {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
struct Capabilities {
    hostname: Option<Box<RawValue>>,
    ip_address: Option<Box<RawValue>>,
}

impl Description<'_> {
    pub(super) fn equipment(&self, protocol: Option<&str>) -> Equipment {
        let resources: Resources = lenient(self.resources).unwrap_or_default();
        let properties: Properties = lenient(resources.properties.as_deref()).unwrap_or_default();
        let capabilities: Capabilities = lenient(self.capabilities).unwrap_or_default();
        let number = |one: &Option<Box<RawValue>>, other: &Option<Box<RawValue>>| {
            lenient(one.as_deref()).or_else(|| lenient(other.as_deref()))
        };
        let software: BTreeMap<String, Value> = lenient(self.software).unwrap_or_default();
        let versions = software.into_iter().filter_map(|(name, version)| {
            let version = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
            (version != "null").then(|| (cut(&name), cut(&version)))
        });
        let devices: Vec<Box<RawValue>> = lenient(resources.devices.as_deref()).unwrap_or_default();
        let is_gpu = |device: &RawValue| {
            lenient(Some(device)).is_some_and(|device: Device| device.kind.eq_ignore_ascii_case("gpu"))
        };
        let gpu = resources.gpu_info.as_ref().or_else(|| devices.iter().find(|device| is_gpu(device)));
        Equipment {
            slots: number(&resources.max_concurrent_tasks, &properties.max_concurrent_tasks),
            software: versions.take(MAX_ENTRIES).collect(),
            machine: Machine {
                hostname: text(capabilities.hostname.as_deref(), MAX_TEXT),
                ip_address: text(capabilities.ip_address.as_deref(), MAX_TEXT),
                cpu_cores: number(&resources.cpu_cores, &properties.cpu_cores),
                gpu: gpu.filter(|gpu| gpu.get().len() <= MAX_GPU).map(|gpu| Arc::from(gpu.clone())),
            },
            protocol: protocol.map(cut),
        }
    }
}

/// Returns what is loaded.
pub(super) fn hot(cache: Option<&RawValue>, skills: Option<&RawValue>) -> Hot {
    let list = |raw| lenient::<Vec<Value>>(raw);
    let cache = list(cache).map(|models| {
        let models = models.iter().filter_map(Value::as_str).take(MAX_ENTRIES);
        let models: BTreeSet<String> = models.map(cut).collect();
        models.into_iter().collect()
    });
    let skills = list(skills).map(|names| {
        let names = names.iter().filter_map(Value::as_str).take(super::messages::MAX_NAMES);
        names.filter_map(|name| TaskName::new(name).ok()).collect()
    });
    Hot { cache, skills }
}

fn lenient<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

fn text(raw: Option<&RawValue>, limit: usize) -> Option<String> {
    lenient::<String>(raw).map(|text| crate::text::cut(&text, limit))
}

fn object(raw: Option<&RawValue>) -> Option<Arc<RawValue>> {
    raw.filter(|raw| raw.get().starts_with('{')).map(|raw| Arc::from(raw.to_owned()))
}

fn cut(text: &str) -> String {
    crate::text::cut(text, MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    fn equipment(resources: &str, software: &str, capabilities: &str) -> Equipment {
        let (resources, software, capabilities) = (raw(resources), raw(software), raw(capabilities));
        let (resources, software) = (Some(&*resources), Some(&*software));
        Description { resources, software, capabilities: Some(&*capabilities) }.equipment(Some("1.0b17"))
    }

    #[test]
    fn both_generations_describe_their_machine() {
        let older = equipment(
            r#"{"max_concurrent_tasks": 10, "cpu_cores": 4, "gpu_info": {"model": "RTX", "vram_gb": 24}}"#,
            r#"{"python": "3.12", "cuda": 12, "none": null}"#,
            r#"{"hostname": "h", "ip_address": "10.0.0.1", "websockets": true}"#,
        );
        assert_eq!((older.slots, older.machine.cpu_cores), (Some(10), Some(4)));
        assert_eq!(older.machine.gpu.expect("one").get(), r#"{"model": "RTX", "vram_gb": 24}"#);
        let software: Vec<_> = older.software.into_iter().collect();
        assert_eq!(software, [("cuda".into(), "12".into()), ("python".into(), "3.12".into())]);
        assert_eq!(older.machine.hostname.as_deref(), Some("h"));
        assert_eq!(
            (older.machine.ip_address.as_deref(), older.protocol.as_deref()),
            (Some("10.0.0.1"), Some("1.0b17"))
        );
        let newer = equipment(
            r#"{"gpu_info": null, "devices": [{"type": "tpu"}, {"type": "gpu", "model": "A100"}],
                "properties": {"cpu_cores": 8, "max_concurrent_tasks": 3}}"#,
            "{}",
            "{}",
        );
        assert_eq!((newer.slots, newer.machine.cpu_cores), (Some(3), Some(8)));
        assert_eq!(newer.machine.gpu.expect("one").get(), r#"{"type": "gpu", "model": "A100"}"#);
    }

    #[test]
    fn what_has_another_type_counts_as_absent() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for rubbish in
            ["5", "\"text\"", "[]", "{\"hostname\": 5, \"cpu_cores\": -1, \"devices\": [5, {}]}", &deep]
        {
            let known = equipment(rubbish, rubbish, rubbish);
            assert_eq!((known.slots, known.machine.cpu_cores, known.machine.hostname), (None, None, None));
            assert!(known.machine.gpu.is_none(), "{rubbish}");
            let rubbish = raw(rubbish);
            let about = Skill {
                name: "x".to_owned(),
                kind: None,
                description: Some(raw("5")),
                version: None,
                input_schema: Some(raw("[]")),
                output_schema: None,
                events_schema: None,
            };
            assert!(about.about().description.is_none() && about.about().input_schema.is_none());
            let hot = hot(Some(&rubbish), None);
            assert!(hot.cache.is_none_or(|models| models.is_empty()) && hot.skills.is_none());
        }
    }
}
