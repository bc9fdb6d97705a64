//! One registered worker.

use std::collections::BTreeSet;

use rxon::{TaskName, WorkerId};

use crate::clock::Now;

/// The content of a registration.
#[derive(Debug)]
pub(crate) struct Introduction {
    pub(crate) worker_id: WorkerId,
    pub(crate) worker_type: String,
    /// All tasks that the worker has a handler for.
    pub(crate) tasks: BTreeSet<TaskName>,
    /// The tasks it accepts now; `None` stands for all of them.
    pub(crate) accepts: Option<BTreeSet<TaskName>>,
}

/// The content of a heartbeat.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    pub(crate) status: Option<String>,
    /// All tasks that the worker has a handler for, if they have changed.
    pub(crate) tasks: Option<BTreeSet<TaskName>>,
    /// The tasks it accepts now.
    pub(crate) accepts: Option<BTreeSet<TaskName>>,
    /// The ids of the tasks it is running.
    pub(crate) current: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) label: String,
    pub(crate) status: String,
    pub(crate) tasks: BTreeSet<TaskName>,
    /// The tasks accepted at registration, for heartbeats without a list.
    registered: BTreeSet<TaskName>,
    accepts: BTreeSet<TaskName>,
    /// The numbers of the jobs it was given.
    pub(crate) running: BTreeSet<u64>,
    pub(crate) last_contact: Now,
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
    }

    /// Returns the tasks it accepts now.
    pub(crate) fn accepts(&self) -> impl Iterator<Item = &TaskName> {
        let idle = self.status == IDLE;
        self.accepts.iter().filter(move |_| idle)
    }

    pub(crate) fn accepts_task(&self, name: &TaskName) -> bool {
        self.status == IDLE && self.accepts.contains(name)
    }
}

/// The only status in which a worker is given tasks.
const IDLE: &str = "idle";
