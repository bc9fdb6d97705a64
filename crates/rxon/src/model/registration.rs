//! How a worker introduces itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Generation;
use super::reading::{or_default, text};
use crate::{TaskName, WorkerId};

/// `POST /_worker/workers/register`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registration {
    /// The worker's name.
    pub worker_id: WorkerId,
    /// A label for people and for selection, such as `gpu-worker`.
    pub worker_type: String,
    /// Every task the worker has a handler for (1.0b2).
    pub supported_tasks: Vec<TaskName>,
    /// The same, with what is known of each (1.0b17).
    pub supported_skills: Vec<SkillInfo>,
    /// Those that can be accepted now (1.0b17).
    pub available_skills: Vec<TaskName>,
    /// Those whose models are loaded (1.0b17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_skills: Option<Vec<TaskName>>,
    /// What the machine has.
    pub resources: Resources,
    /// Software and its version.
    pub installed_software: BTreeMap<String, String>,
    /// Models on disk (1.0b2).
    pub installed_models: Vec<InstalledModel>,
    /// Models and other artifacts on disk (1.0b17).
    pub installed_artifacts: Vec<Artifact>,
    /// What the worker can do beside its tasks.
    pub capabilities: Capabilities,
    /// Changes when the skills do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skills_hash: Option<String>,
}

/// What is known of a task that a worker can run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SkillInfo {
    /// The task's name.
    pub name: TaskName,
    /// The limit group, or the name.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Box<RawValue>>,
    /// JSON Schema of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Box<RawValue>>,
    /// Such as `1.2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The statuses its handler ends in, where they are declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_statuses: Option<Vec<String>>,
    /// JSON Schemas of the events its handler sends, by type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events_schema: BTreeMap<String, Value>,
}

/// What the machine has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// How many tasks run at once (1.0b2).
    pub max_concurrent_tasks: usize,
    /// Processor cores (1.0b2).
    pub cpu_cores: u32,
    /// The graphics card, `null` without one (1.0b2).
    pub gpu_info: Option<GpuInfo>,
    /// What else computes (1.0b17): graphics cards.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Other facts (1.0b17): `cpu_cores`, `ram_gb`.
    #[serde(default, deserialize_with = "or_default")]
    pub properties: BTreeMap<String, f64>,
}

/// A device that computes (1.0b17).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Such as `gpu`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Such as `RTX 4090`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The same as the `unit_id` of its [`DeviceUsage`](super::DeviceUsage).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Other facts: `vram_gb`.
    #[serde(default, deserialize_with = "or_default")]
    pub properties: BTreeMap<String, f64>,
}

/// A graphics card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuInfo {
    /// Such as `RTX 4090`.
    pub model: String,
    /// Its memory, in GB.
    pub vram_gb: f64,
}

/// A model on disk (1.0b2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledModel {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default = "unknown_version")]
    pub version: String,
}

/// An artifact on disk (1.0b17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default = "unknown_version")]
    pub version: String,
    /// Such as `model`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

fn unknown_version() -> String {
    "unknown".to_owned()
}

/// What a worker can do beside its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The machine's name.
    pub hostname: String,
    /// The machine's address.
    pub ip_address: String,
    /// What a second of each task costs.
    #[serde(default, deserialize_with = "or_default")]
    pub cost_per_skill: BTreeMap<String, f64>,
    /// First 16 hex digits of a hash over the S3 settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_config_hash: Option<String>,
    /// Whether commands can be pushed (1.0b2; 1.0b17 drops it at registration).
    #[serde(default, deserialize_with = "or_default")]
    pub websockets: bool,
    /// Further capabilities (1.0b17).
    #[serde(default, deserialize_with = "or_default")]
    pub extra: BTreeMap<String, Value>,
}

/// The answer to a registration. Fields of the wrong type count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Map<String, Value>")]
pub struct RegistrationAnswer {
    /// `registered`.
    pub status: Option<String>,
    /// The orchestrator's protocol version (1.0b17).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Such as a mismatch of versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl RegistrationAnswer {
    /// Which generation the orchestrator speaks.
    pub fn generation(&self) -> Generation {
        if self.version.is_some() { Generation::Newer } else { Generation::Older }
    }
}

impl From<Map<String, Value>> for RegistrationAnswer {
    fn from(mut fields: Map<String, Value>) -> Self {
        Self {
            status: text(&mut fields, "status"),
            version: text(&mut fields, "version"),
            warning: text(&mut fields, "warning"),
        }
    }
}
