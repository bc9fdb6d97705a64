//! Registrations: the description of a worker, and the answer of the orchestrator.
//!
//! No object in a registration is empty, at any depth: see [`filled`].

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::filled;
use super::generation::Generation;
use super::reading::or_default;
use crate::id::{TaskName, WorkerId};

/// The body of `POST /_worker/workers/register`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registration {
    /// The name of the worker.
    pub worker_id: WorkerId,
    /// A label for people and for selection, such as `gpu-worker`.
    pub worker_type: String,
    /// All tasks for which the worker has a handler (1.0b2).
    pub supported_tasks: Vec<TaskName>,
    /// Descriptions of these tasks (1.0b17).
    pub supported_skills: Vec<SkillInfo>,
    /// The tasks that can be accepted now (1.0b17).
    pub available_skills: Vec<TaskName>,
    /// The tasks whose models are loaded (1.0b17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_skills: Option<Vec<TaskName>>,
    /// The resources of the machine.
    pub resources: Resources,
    /// Installed software, with versions.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub installed_software: BTreeMap<String, String>,
    /// The models on disk (1.0b2).
    pub installed_models: Vec<InstalledModel>,
    /// The models and other artifacts on disk (1.0b17).
    pub installed_artifacts: Vec<Artifact>,
    /// The capabilities of the worker beside its tasks.
    pub capabilities: Capabilities,
    /// A hash that changes with the skills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skills_hash: Option<String>,
    /// What the orchestrator keeps and does not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<RegistrationMetadata>,
}

/// What an orchestrator keeps of a worker and does not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationMetadata {
    /// A random text for each process. 1.0b2 gives it back in answers to heartbeats: another one there is that of another
    /// process with the same worker id.
    pub instance: String,
}

/// The description of a task that a worker can run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SkillInfo {
    /// The name of the task.
    pub name: TaskName,
    /// The limit group, or the name where there is no group.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A description for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema of the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "filled::schema")]
    pub input_schema: Option<Box<RawValue>>,
    /// The JSON Schema of the data.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "filled::schema")]
    pub output_schema: Option<Box<RawValue>>,
    /// The version, such as `1.2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The statuses in which its handler ends, where they are declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_statuses: Option<Vec<String>>,
    /// The JSON Schemas of the events that its handler sends, by type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "filled::schemas")]
    pub events_schema: BTreeMap<String, Value>,
    /// Further members, such as `properties` and `schema_dialect`. They are sent but not read.
    #[serde(flatten, skip_deserializing, serialize_with = "filled::members")]
    pub extra: Map<String, Value>,
}

/// The resources of the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// The maximal number of tasks that run at once (1.0b2).
    pub max_concurrent_tasks: usize,
    /// The number of processor cores (1.0b2).
    pub cpu_cores: u32,
    /// The graphics card, `null` without one (1.0b2).
    pub gpu_info: Option<GpuInfo>,
    /// Other computing devices (1.0b17): graphics cards.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Other properties (1.0b17): `cpu_cores`, `ram_gb`.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "filled::is_hollow",
        serialize_with = "filled::members"
    )]
    pub properties: BTreeMap<String, Value>,
}

/// A computing device (1.0b17).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "a device with `type`")]
pub struct Device {
    /// The kind of device, such as `gpu`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The model, such as `RTX 4090`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The id, which is the `unit_id` of the device's [`DeviceUsage`](super::DeviceUsage).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Other properties: `memory_gb`.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "filled::is_hollow",
        serialize_with = "filled::members"
    )]
    pub properties: BTreeMap<String, Value>,
}

/// A graphics card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "a graphics card with `model` and `vram_gb`")]
pub struct GpuInfo {
    /// The model, such as `RTX 4090`.
    pub model: String,
    /// The memory, in GB.
    #[serde(default)]
    pub vram_gb: f64,
}

/// A model on disk (1.0b2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledModel {
    /// The name.
    pub name: String,
    /// The version, `unknown` where a message has none.
    #[serde(default = "unknown_version")]
    pub version: String,
}

/// An artifact on disk (1.0b17).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// The name.
    pub name: String,
    /// The version, `unknown` where a message has none.
    #[serde(default = "unknown_version")]
    pub version: String,
    /// The kind of artifact, such as `model`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Other properties.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "filled::is_hollow",
        serialize_with = "filled::members"
    )]
    pub properties: BTreeMap<String, Value>,
}

fn unknown_version() -> String {
    "unknown".to_owned()
}

/// The capabilities of a worker beside its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The host name of the machine.
    pub hostname: String,
    /// The IP address of the machine.
    pub ip_address: String,
    /// The cost of a second of each task.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub cost_per_skill: BTreeMap<String, f64>,
    /// The first 16 hex digits of a hash over the S3 settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_config_hash: Option<String>,
    /// Whether commands can be pushed (1.0b2; 1.0b17 drops it at registration).
    #[serde(default, deserialize_with = "or_default")]
    pub websockets: bool,
    /// Other capabilities (1.0b17).
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "filled::is_hollow",
        serialize_with = "filled::members"
    )]
    pub extra: BTreeMap<String, Value>,
}

/// The answer to a registration. Fields of the wrong type count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RegistrationAnswer {
    /// The status, `registered`.
    pub status: Option<String>,
    /// The protocol version of the orchestrator (1.0b17).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A warning, such as a mismatch of versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl RegistrationAnswer {
    /// Returns the generation that the orchestrator speaks.
    pub fn generation(&self) -> Generation {
        if self.version.is_some() { Generation::Newer } else { Generation::Older }
    }
}

impl<'de> Deserialize<'de> for RegistrationAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As a tree, unlike the answers to results: its depth is limited, and registrations are rare.
        let fields = Map::<String, Value>::deserialize(deserializer)?;
        let text = |name| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self { status: text("status"), version: text("version"), warning: text("warning") })
    }
}
