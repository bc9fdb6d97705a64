//! How a worker says that it lives, and what it can take now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reading::or_default;
use super::{Capabilities, SkillInfo};
use crate::{TaskName, WorkerId};

/// Whether an orchestrator may dispatch to a worker. It dispatches to `idle` ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerStatus {
    /// Something can be accepted.
    Idle,
    /// Nothing can be accepted now.
    Busy,
}

/// `PATCH /_worker/workers/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The worker's name.
    pub worker_id: WorkerId,
    /// Whether something can be accepted.
    pub status: WorkerStatus,
    /// How many tasks run (1.0b2).
    pub load: f64,
    /// Ids of the tasks that run or wait here; towards 1.0b17 their jobs' ids too, as that is what it looks up.
    pub current_tasks: Vec<String>,
    /// What can be accepted now (1.0b2).
    pub supported_tasks: Vec<TaskName>,
    /// The same (1.0b17).
    pub available_skills: Vec<TaskName>,
    /// Models in memory (1.0b2).
    pub hot_cache: Vec<String>,
    /// Which models each skill needs (1.0b2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill_dependencies: Option<BTreeMap<String, Vec<String>>>,
    /// Skills whose models are all in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_skills: Option<Vec<TaskName>>,
    /// Changes when the skills do (1.0b17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skills_hash: Option<String>,
    /// Everything the worker can run, when the orchestrator has asked for it (1.0b17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supported_skills: Option<Vec<SkillInfo>>,
    /// How busy the machine is (1.0b17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Whole, while a websocket is open: 1.0b17 learns of it no other way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
}

/// How busy the machine is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Load of all cores, in percent.
    #[serde(default, deserialize_with = "or_default")]
    pub cpu_load_percent: f64,
    /// Memory in use, in GB.
    #[serde(default, deserialize_with = "or_default")]
    pub ram_used_gb: f64,
    /// How busy each device is that computes.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub devices_usage: Vec<DeviceUsage>,
}

/// How busy a device is (1.0b17).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceUsage {
    /// Which: the same as the `id` of a [`Device`](super::Device).
    pub unit_id: String,
    /// In percent.
    #[serde(default, deserialize_with = "or_default")]
    pub load_percent: f64,
    /// Further figures: `memory_used_gb`, `temperature_c`.
    #[serde(default, deserialize_with = "or_default")]
    pub metrics: BTreeMap<String, f64>,
}

/// What an orchestrator says to a heartbeat. Fields of the wrong type count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// Tasks (or jobs) to cancel.
    pub cancel_task_ids: Vec<String>,
    /// The skills are to be sent whole once more.
    pub require_full_sync: bool,
    /// The tasks that the orchestrator takes this worker to run, where it says so (1.0b2).
    pub current_tasks: Vec<String>,
}

/// Whether an orchestrator still knows the worker, read from its answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Liveness {
    /// It does, and said this.
    Known(HeartbeatAnswer),
    /// It answered JSON `null`: register again.
    Forgotten,
    /// It answered something that is not a heartbeat's answer, such as a page of HTML.
    Unreadable,
}

impl Liveness {
    /// Reads the body of a 2xx answer to a heartbeat.
    ///
    /// JSON `null` means that the worker is unknown; an empty body does not.
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
            }),
            _ => Self::Unreadable,
        }
    }
}

/// The texts of a list; whatever else is in it is left out.
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
