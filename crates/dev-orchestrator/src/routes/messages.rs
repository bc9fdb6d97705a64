//! The messages of workers of both generations: an absent field equals `null`, unknown fields are ignored.

use std::collections::BTreeSet;

use rxon::model::{ErrorCode, Failure};
use rxon::{TaskName, WorkerId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::description::{self, Description, Skill};
use crate::refusal::Refusal;
use crate::store::{About, Beat, Introduction};

/// The number of names in a list: more than any worker has handlers; it limits the memory for one worker.
pub(super) const MAX_NAMES: usize = 1000;

#[derive(Deserialize)]
pub(super) struct Registration {
    worker_id: String,
    worker_type: Option<String>,
    supported_tasks: Option<Vec<String>>,
    supported_skills: Option<Vec<Skill>>,
    available_skills: Option<Vec<String>>,
    hot_cache: Option<Box<RawValue>>,
    hot_skills: Option<Box<RawValue>>,
    resources: Option<Box<RawValue>>,
    installed_software: Option<Box<RawValue>>,
    capabilities: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
pub(super) struct Heartbeat {
    pub(super) worker_id: Option<String>,
    status: Option<String>,
    current_tasks: Option<Vec<String>>,
    supported_tasks: Option<Vec<String>>,
    supported_skills: Option<Vec<Skill>>,
    available_skills: Option<Vec<String>>,
    hot_cache: Option<Box<RawValue>>,
    hot_skills: Option<Box<RawValue>>,
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
    /// Returns the content, and the names in it that are not valid task names. `protocol` is the version of the protocol
    /// in the head of the message.
    pub(super) fn introduction(self, protocol: Option<&str>) -> Result<(Introduction, Vec<String>), Refusal> {
        let worker_id = worker_id(&self.worker_id)?;
        let mut invalid = Vec::new();
        let accepts =
            self.available_skills.map(|list| names("available_skills", list, &mut invalid)).transpose()?;
        let older = names("supported_tasks", self.supported_tasks.unwrap_or_default(), &mut invalid)?;
        let (mut tasks, skills) = skills(&self.supported_skills.unwrap_or_default(), &mut invalid)?;
        tasks.extend(older);
        tasks.extend(accepts.iter().flatten().cloned());
        let worker_type = crate::text::cut(self.worker_type.as_deref().unwrap_or("generic"), 128);
        let description = Description {
            resources: self.resources.as_deref(),
            software: self.installed_software.as_deref(),
            capabilities: self.capabilities.as_deref(),
        };
        let equipment = description.equipment(protocol);
        let hot = description::hot(self.hot_cache.as_deref(), self.hot_skills.as_deref());
        Ok((Introduction { worker_id, worker_type, tasks, accepts, skills, hot, equipment }, invalid))
    }
}

impl Heartbeat {
    pub(super) fn beat(self) -> Result<Beat, Refusal> {
        let mut invalid = Vec::new();
        let newer =
            self.available_skills.map(|list| names("available_skills", list, &mut invalid)).transpose()?;
        let older =
            self.supported_tasks.map(|list| names("supported_tasks", list, &mut invalid)).transpose()?;
        let skills = self.supported_skills.map(|list| skills(&list, &mut invalid)).transpose()?;
        let (tasks, skills) = skills.unzip();
        Ok(Beat {
            status: self.status.map(|status| crate::text::cut(&status, 128)),
            tasks,
            accepts: newer.or(older),
            skills: skills.unwrap_or_default(),
            hot: description::hot(self.hot_cache.as_deref(), self.hot_skills.as_deref()),
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

/// The names of tasks, and the descriptions of some of them.
type Skills = (BTreeSet<TaskName>, Vec<(TaskName, About)>);

/// Reads skills. Those without a valid name are left out.
fn skills(list: &[Skill], invalid: &mut Vec<String>) -> Result<Skills, Refusal> {
    let tasks = list.iter().map(|skill| skill.name.clone()).collect();
    let tasks = names("supported_skills", tasks, invalid)?;
    let described = list.iter().filter_map(|skill| Some((TaskName::new(&skill.name).ok()?, skill.about())));
    Ok((tasks, described.collect()))
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
