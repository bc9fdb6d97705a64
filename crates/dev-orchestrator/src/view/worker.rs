//! Workers, and the tasks that they have registered.

use std::collections::BTreeMap;
use std::sync::Arc;

use rxon::{JobId, TaskName, WorkerId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::raw;

/// The state of a worker at one moment.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct WorkerView {
    /// The id of the worker.
    pub worker_id: WorkerId,
    /// The type in its registration, a label.
    pub worker_type: String,
    /// The status of its last heartbeat: `idle`, `busy`, or another one.
    pub status: String,
    /// All tasks it has a handler for.
    pub tasks: Vec<TaskName>,
    /// The tasks it accepts now; empty unless the status is `idle`.
    pub accepts: Vec<TaskName>,
    /// The jobs that it was given, and has not answered yet.
    pub running: Vec<JobId>,
    /// The number of tasks that it runs, and can run.
    pub slots: Slots,
    /// The models that are loaded; if it names none, the tasks all of whose models are loaded.
    pub hot: Vec<String>,
    /// The number of its polls that are held now.
    pub open_polls: usize,
    /// The time since its last request, in seconds.
    pub last_heard: f64,
    /// The time of its last heartbeat, in seconds since 1970.
    pub last_heartbeat_at: Option<f64>,
    /// The time of its last registration, in seconds since 1970.
    pub registered_at: f64,
    /// Installed software, with versions.
    pub software: BTreeMap<String, String>,
    /// The machine it runs on.
    pub machine: Machine,
    /// Whether it has a websocket.
    pub websocket: bool,
    /// The version of the protocol that it speaks, as in the header `X-RXON-Version` of its registration.
    pub protocol: Option<String>,
}

/// The slots of a worker, in each of which one task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Slots {
    /// The number of tasks that it was given, and has not answered yet.
    pub used: usize,
    /// The number of tasks that it runs at once, if it has said so.
    pub total: Option<u64>,
}

/// The machine of a worker, as described in its registration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Machine {
    /// The host name.
    pub hostname: Option<String>,
    /// The IP address.
    pub ip_address: Option<String>,
    /// The number of processor cores.
    pub cpu_cores: Option<u64>,
    /// The graphics card, as the worker describes it.
    #[serde(serialize_with = "raw")]
    pub gpu: Option<Arc<RawValue>>,
}

/// A task that workers have registered.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SkillView {
    /// The name.
    pub name: TaskName,
    /// What it does, in words.
    pub description: Option<String>,
    /// The name of its group or kind.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The JSON Schema of the parameters, unchanged.
    #[serde(serialize_with = "raw")]
    pub input_schema: Option<Arc<RawValue>>,
    /// The JSON Schema of the data, unchanged.
    #[serde(serialize_with = "raw")]
    pub output_schema: Option<Arc<RawValue>>,
    /// The JSON Schemas of its events, unchanged.
    #[serde(serialize_with = "raw")]
    pub events_schema: Option<Arc<RawValue>>,
    /// The workers that have a handler for it now.
    pub workers: Vec<WorkerId>,
    /// Those that have its models loaded.
    pub hot: Vec<WorkerId>,
    /// Whether some of the workers have other schemas.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub differs: bool,
}
