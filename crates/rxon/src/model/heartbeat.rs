//! Heartbeats: the state of a worker, and the answer of the orchestrator.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::filled;
use super::reading::or_default;
use super::registration::{Capabilities, SkillInfo};
use crate::id::{TaskName, WorkerId};

/// The status of a worker. An orchestrator dispatches tasks to idle workers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerStatus {
    /// The worker can accept at least one kind of task.
    Idle,
    /// The worker cannot accept any task now.
    Busy,
}

/// The body of `PATCH /_worker/workers/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The name of the worker.
    pub worker_id: WorkerId,
    /// Whether the worker can accept tasks.
    pub status: WorkerStatus,
    /// The number of running tasks (1.0b2).
    pub load: f64,
    /// The ids of the tasks that run or wait in the worker, and for 1.0b17, which looks up jobs, the ids of their jobs.
    pub current_tasks: Vec<String>,
    /// The tasks that can be accepted now (1.0b2).
    pub supported_tasks: Vec<TaskName>,
    /// The tasks that can be accepted now (1.0b17).
    pub available_skills: Vec<TaskName>,
    /// The models in memory (1.0b2).
    pub hot_cache: Vec<String>,
    /// The models that each skill needs (1.0b2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill_dependencies: Option<BTreeMap<String, Vec<String>>>,
    /// The skills whose models are all in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_skills: Option<Vec<TaskName>>,
    /// A hash that changes with the skills (1.0b17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skills_hash: Option<String>,
    /// All skills of the worker, when the orchestrator has asked for them (1.0b17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supported_skills: Option<Vec<SkillInfo>>,
    /// The load of the machine (1.0b17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The capabilities, while a websocket is open: 1.0b17 learns of the websocket in no other way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
}

/// The load of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The load of all cores, in percent.
    #[serde(default, deserialize_with = "or_default")]
    pub cpu_load_percent: f64,
    /// The memory in use, in GB.
    #[serde(default, deserialize_with = "or_default")]
    pub ram_used_gb: f64,
    /// The load of each computing device.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub devices_usage: Vec<DeviceUsage>,
}

/// The load of a device (1.0b17).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceUsage {
    /// The `id` of the [`Device`](super::Device).
    pub unit_id: String,
    /// The load, in percent.
    #[serde(default, deserialize_with = "or_default")]
    pub load_percent: f64,
    /// Other figures, such as `memory_used_gb` and `temperature_c`.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "filled::is_hollow",
        serialize_with = "filled::members"
    )]
    pub metrics: BTreeMap<String, Value>,
}

/// The answer to a heartbeat. Fields of the wrong type count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// The ids of tasks or jobs to cancel.
    pub cancel_task_ids: Vec<String>,
    /// The next heartbeat is to contain all skills.
    pub require_full_sync: bool,
    /// The tasks that run in this worker according to the orchestrator, if it lists them (1.0b2).
    pub current_tasks: Vec<String>,
    /// The `instance` in the metadata of the last registration under this worker's id (1.0b2).
    pub instance: Option<String>,
}

/// Whether an orchestrator still knows the worker, read from its answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Liveness {
    /// The orchestrator knows the worker.
    Known(HeartbeatAnswer),
    /// The answer is JSON `null`: the worker has to register again.
    Forgotten,
    /// The body is not an answer to a heartbeat, such as a page of HTML.
    Unreadable,
}

impl Liveness {
    /// Reads the body of a 2xx answer to a heartbeat.
    ///
    /// JSON `null` means that the worker is not known; an empty body does not.
    pub fn read(body: &[u8]) -> Self {
        let text = body.trim_ascii();
        if text.is_empty() {
            return Self::Known(HeartbeatAnswer::default());
        }
        match serde_json::from_slice::<serde_json::Value>(text) {
            Ok(serde_json::Value::Null) => Self::Forgotten,
            Ok(serde_json::Value::Object(fields)) => Self::Known(HeartbeatAnswer {
                cancel_task_ids: texts(&fields, "cancel_task_ids"),
                require_full_sync: fields.get("require_full_sync").is_some_and(|value| value == true),
                current_tasks: texts(&fields, "current_tasks"),
                instance: fields
                    .get("metadata")
                    .and_then(|metadata| metadata.get("instance")?.as_str().map(str::to_owned)),
            }),
            _ => Self::Unreadable,
        }
    }
}

/// The strings of a list; other values are left out.
fn texts(fields: &serde_json::Map<String, serde_json::Value>, name: &str) -> Vec<String> {
    let list = fields.get(name).and_then(serde_json::Value::as_array);
    list.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_means_forgotten_and_an_empty_body_does_not() {
        assert_eq!(Liveness::read(b"null"), Liveness::Forgotten);
        assert_eq!(Liveness::read(b" null\n"), Liveness::Forgotten);
        assert_eq!(Liveness::read(b""), Liveness::Known(HeartbeatAnswer::default()));
    }

    #[test]
    fn answers_are_read_leniently() {
        let answer = Liveness::read(
            br#"{"status":"ok","cancel_task_ids":["a",5,null,"b"],"current_tasks":["c",[]],"later":{}}"#,
        );
        let Liveness::Known(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.cancel_task_ids, ["a", "b"]);
        assert_eq!(answer.current_tasks, ["c"]);
        assert_eq!(
            Liveness::read(br#"{"cancel_task_ids":"a"}"#),
            Liveness::Known(HeartbeatAnswer::default())
        );
        for body in ["<html></html>", "[]", "{\"a\"", "5"] {
            assert_eq!(Liveness::read(body.as_bytes()), Liveness::Unreadable, "{body}");
        }
    }
}
