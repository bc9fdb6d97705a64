//! The messages of workers of both generations: an absent field equals `null`, unknown fields are ignored.

use std::collections::BTreeSet;

use rxon::model::{ErrorCode, Failure};
use rxon::{TaskName, WorkerId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::refusal::Refusal;
use crate::store::{Beat, Introduction};

/// The number of names in a list: more than any worker has handlers; it limits the memory for one worker.
const MAX_NAMES: usize = 1000;

#[derive(Deserialize)]
pub(super) struct Registration {
    worker_id: String,
    worker_type: Option<String>,
    supported_tasks: Option<Vec<String>>,
    supported_skills: Option<Vec<Skill>>,
    available_skills: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Skill {
    name: String,
}

#[derive(Deserialize)]
pub(super) struct Heartbeat {
    pub(super) worker_id: Option<String>,
    status: Option<String>,
    current_tasks: Option<Vec<String>>,
    supported_tasks: Option<Vec<String>>,
    supported_skills: Option<Vec<Skill>>,
    available_skills: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub(super) struct TaskResult {
    pub(super) job_id: String,
    pub(super) task_id: String,
    pub(super) worker_id: Option<String>,
    pub(super) status: Option<String>,
    pub(super) data: Option<Box<RawValue>>,
    pub(super) metadata: Option<Box<RawValue>>,
    pub(super) costs: Option<Box<RawValue>>,
    pub(super) error: Option<TaskError>,
}

#[derive(Deserialize)]
pub(super) struct TaskError {
    code: Option<String>,
    message: Option<String>,
    details: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
pub(super) struct EventMessage {
    pub(super) worker_id: Option<String>,
    #[serde(rename = "event_type")]
    pub(super) kind: String,
    pub(super) payload: Box<RawValue>,
    pub(super) origin_task_id: Option<String>,
    pub(super) target_job_id: Option<String>,
    pub(super) target_task_id: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ProgressPayload {
    pub(super) progress: f64,
    pub(super) message: Option<String>,
}

impl Registration {
    /// Returns the content, and the names in it that are not valid task names.
    pub(super) fn introduction(self) -> Result<(Introduction, Vec<String>), Refusal> {
        let worker_id = worker_id(&self.worker_id)?;
        let mut invalid = Vec::new();
        let accepts =
            self.available_skills.map(|list| names("available_skills", list, &mut invalid)).transpose()?;
        let older = names("supported_tasks", self.supported_tasks.unwrap_or_default(), &mut invalid)?;
        let mut tasks =
            names("supported_skills", skills(self.supported_skills.unwrap_or_default()), &mut invalid)?;
        tasks.extend(older);
        tasks.extend(accepts.iter().flatten().cloned());
        let worker_type = crate::text::cut(self.worker_type.as_deref().unwrap_or("generic"), 128);
        Ok((Introduction { worker_id, worker_type, tasks, accepts }, invalid))
    }
}

impl Heartbeat {
    pub(super) fn beat(self) -> Result<Beat, Refusal> {
        let mut invalid = Vec::new();
        let newer =
            self.available_skills.map(|list| names("available_skills", list, &mut invalid)).transpose()?;
        let older =
            self.supported_tasks.map(|list| names("supported_tasks", list, &mut invalid)).transpose()?;
        let tasks = self
            .supported_skills
            .map(|list| names("supported_skills", skills(list), &mut invalid))
            .transpose()?;
        Ok(Beat {
            status: self.status.map(|status| crate::text::cut(&status, 128)),
            tasks,
            accepts: newer.or(older),
            current: self.current_tasks.unwrap_or_default(),
        })
    }
}

impl TaskError {
    /// Returns the failure. Without a code it counts as transient, as for the real orchestrators.
    pub(super) fn failure(self) -> Failure {
        Failure {
            code: ErrorCode::from(self.code.as_deref().unwrap_or(ErrorCode::Transient.as_str())),
            message: self.message.unwrap_or_default(),
            details: self.details,
        }
    }
}

/// Checks the id of a worker.
pub(super) fn worker_id(text: &str) -> Result<WorkerId, Refusal> {
    WorkerId::new(text).map_err(|error| Refusal::bad_request(format!("`worker_id`: {error}")))
}

fn skills(list: Vec<Skill>) -> Vec<String> {
    list.into_iter().map(|skill| skill.name).collect()
}

fn names(field: &str, list: Vec<String>, invalid: &mut Vec<String>) -> Result<BTreeSet<TaskName>, Refusal> {
    if list.len() > MAX_NAMES {
        return Err(Refusal::bad_request(format!(
            "`{field}` has {} entries, expected at most {MAX_NAMES}",
            list.len()
        )));
    }
    let mut names = BTreeSet::new();
    for text in list {
        match TaskName::new(&text) {
            Ok(name) => {
                names.insert(name);
            }
            Err(_) => invalid.push(crate::text::cut(&text, 80)),
        }
    }
    Ok(names)
}
