//! One registered worker.

use std::collections::BTreeSet;

use rxon::{TaskName, WorkerId};

use crate::clock::Now;

/// What a worker said when it registered.
#[derive(Debug)]
pub(crate) struct Introduction {
    pub(crate) worker_id: WorkerId,
    pub(crate) worker_type: String,
    /// All tasks it has a handler for.
    pub(crate) tasks: BTreeSet<TaskName>,
    /// Those it accepts now; all of them when it did not say.
    pub(crate) accepts: Option<BTreeSet<TaskName>>,
}

/// What a worker said in a heartbeat.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    pub(crate) status: Option<String>,
    /// All tasks it has a handler for, when they have changed.
    pub(crate) tasks: Option<BTreeSet<TaskName>>,
    /// Those it accepts now.
    pub(crate) accepts: Option<BTreeSet<TaskName>>,
    /// The ids of what it is busy with.
    pub(crate) current: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) label: String,
    pub(crate) status: String,
    pub(crate) tasks: BTreeSet<TaskName>,
    /// What it said at registration, for heartbeats that do not say.
    registered: BTreeSet<TaskName>,
    accepts: BTreeSet<TaskName>,
    /// Numbers of the jobs it was given.
    pub(crate) running: BTreeSet<u64>,
    pub(crate) heard: Now,
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
            heard: now,
        }
    }

    /// Takes over what a heartbeat says.
    pub(crate) fn hear(&mut self, beat: Beat) {
        if let Some(status) = beat.status {
            self.status = status;
        }
        if let Some(tasks) = beat.tasks {
            self.registered.clone_from(&tasks);
            self.tasks = tasks;
        }
        self.accepts = beat.accepts.unwrap_or_else(|| self.registered.clone());
    }

    /// The tasks it accepts now.
    pub(crate) fn accepts(&self) -> impl Iterator<Item = &TaskName> {
        let idle = self.status == IDLE;
        self.accepts.iter().filter(move |_| idle)
    }

    pub(crate) fn accepts_task(&self, name: &TaskName) -> bool {
        self.status == IDLE && self.accepts.contains(name)
    }
}

/// The one status that tasks are given to.
const IDLE: &str = "idle";
