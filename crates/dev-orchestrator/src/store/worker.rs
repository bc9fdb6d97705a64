//! One registered worker.

use std::collections::{BTreeMap, BTreeSet};

use rxon::{TaskName, WorkerId};
use serde::{Deserialize, Serialize};

use super::skills::About;
use crate::clock::Now;
use crate::view::Machine;

/// The content of a registration.
#[derive(Debug)]
pub(crate) struct Introduction {
    pub(crate) worker_id: WorkerId,
    pub(crate) worker_type: String,
    /// All tasks that the worker has a handler for.
    pub(crate) tasks: BTreeSet<TaskName>,
    /// The tasks it accepts now; `None` stands for all of them.
    pub(crate) accepts: Option<BTreeSet<TaskName>>,
    /// The descriptions of its tasks.
    pub(crate) skills: Vec<(TaskName, About)>,
    /// The models and tasks that are loaded, if it says so.
    pub(crate) hot: Hot,
    pub(crate) equipment: Equipment,
}

/// The content of a heartbeat.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    pub(crate) status: Option<String>,
    /// All tasks that the worker has a handler for, if they have changed.
    pub(crate) tasks: Option<BTreeSet<TaskName>>,
    /// The tasks it accepts now.
    pub(crate) accepts: Option<BTreeSet<TaskName>>,
    /// The descriptions of its tasks, if it sends them.
    pub(crate) skills: Vec<(TaskName, About)>,
    /// The models and tasks that are loaded, if it says so.
    pub(crate) hot: Hot,
    /// The ids of the tasks it is running.
    pub(crate) current: Vec<String>,
}

/// What is loaded; `None` where a message does not say it.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    /// Models.
    pub(crate) cache: Option<Vec<String>>,
    /// Names of tasks all of whose models are loaded.
    pub(crate) skills: Option<BTreeSet<TaskName>>,
}

/// What a worker says of itself for people only.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Equipment {
    /// The number of tasks that it runs at once.
    pub(crate) slots: Option<u64>,
    pub(crate) software: BTreeMap<String, String>,
    pub(crate) machine: Machine,
    /// The version of the protocol.
    pub(crate) protocol: Option<String>,
}

/// A worker. What is skipped in its row in the database begins anew after a restart.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Worker {
    pub(crate) label: String,
    pub(crate) status: String,
    pub(crate) tasks: BTreeSet<TaskName>,
    /// The tasks accepted at registration, for heartbeats without a list.
    registered: BTreeSet<TaskName>,
    accepts: BTreeSet<TaskName>,
    /// The numbers of the jobs it was given.
    #[serde(skip)]
    pub(crate) running: BTreeSet<u64>,
    #[serde(skip, default = "Now::read")]
    pub(crate) last_contact: Now,
    /// Whether this orchestrator has heard of it: one that an earlier orchestrator knew may have ended meanwhile.
    #[serde(skip)]
    pub(crate) is_heard: bool,
    pub(crate) registered_at: f64,
    pub(crate) last_heartbeat_at: Option<f64>,
    /// The digests of the schemas of its tasks, of those that have any.
    pub(super) schemas: BTreeMap<TaskName, u64>,
    hot_cache: Vec<String>,
    pub(super) hot_skills: BTreeSet<TaskName>,
    pub(super) equipment: Equipment,
}

impl Worker {
    pub(crate) fn new(hello: Introduction, now: Now) -> Self {
        let accepts = hello.accepts.unwrap_or_else(|| hello.tasks.clone());
        Self {
            label: hello.worker_type,
            status: IDLE.to_owned(),
            tasks: hello.tasks,
            registered: accepts.clone(),
            accepts,
            running: BTreeSet::new(),
            last_contact: now,
            is_heard: true,
            registered_at: now.unix,
            last_heartbeat_at: None,
            schemas: digests(&hello.skills),
            hot_cache: hello.hot.cache.unwrap_or_default(),
            hot_skills: hello.hot.skills.unwrap_or_default(),
            equipment: hello.equipment,
        }
    }

    /// Applies the content of a heartbeat.
    pub(crate) fn apply(&mut self, beat: Beat) {
        if let Some(status) = beat.status {
            self.status = status;
        }
        if let Some(tasks) = beat.tasks {
            self.registered.clone_from(&tasks);
            self.tasks = tasks;
        }
        self.accepts = beat.accepts.unwrap_or_else(|| self.registered.clone());
        self.schemas.extend(digests(&beat.skills));
        if let Some(cache) = beat.hot.cache {
            self.hot_cache = cache;
        }
        if let Some(skills) = beat.hot.skills {
            self.hot_skills = skills;
        }
    }

    /// Returns the tasks it accepts now.
    pub(crate) fn accepts(&self) -> impl Iterator<Item = &TaskName> {
        let idle = self.status == IDLE;
        self.accepts.iter().filter(move |_| idle)
    }

    pub(crate) fn accepts_task(&self, name: &TaskName) -> bool {
        self.status == IDLE && self.accepts.contains(name)
    }

    /// Returns the models in memory; the names of tasks if the worker names no models.
    pub(super) fn hot(&self) -> Vec<String> {
        if self.hot_cache.is_empty() {
            return self.hot_skills.iter().map(|name| name.as_str().to_owned()).collect();
        }
        self.hot_cache.clone()
    }
}

fn digests(skills: &[(TaskName, About)]) -> BTreeMap<TaskName, u64> {
    let digests = skills.iter().filter_map(|(name, about)| Some((name.clone(), about.digest()?)));
    digests.collect()
}

/// The only status in which a worker is given tasks.
const IDLE: &str = "idle";
