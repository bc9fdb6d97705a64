//! The registered tasks.

use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rxon::TaskName;
use rxon::model::SkillInfo;

use crate::capacity::slots::{Group, Usage};
use crate::threads::{read, write};

/// The registered tasks, in the order in which they were registered. Tasks can be added while the worker runs; none is
/// removed, so that their number tells whether there are new ones.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    entries: RwLock<Vec<Entry>>,
    count: AtomicUsize,
}

#[derive(Debug)]
struct Entry {
    skill: SkillInfo,
    /// The limit group, if the task has one.
    group: Option<Group>,
}

impl Catalogue {
    /// Adds a task. The caller checks that names are unique.
    pub(crate) fn add(&self, skill: SkillInfo, group: Option<Group>) {
        let mut entries = write(&self.entries);
        entries.push(Entry { skill, group });
        self.count.store(entries.len(), Ordering::Release);
    }

    /// The number of tasks. Takes no lock.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// The descriptions of all tasks.
    pub(crate) fn skills(&self) -> Vec<SkillInfo> {
        read(&self.entries).iter().map(|entry| entry.skill.clone()).collect()
    }

    /// The names of all tasks.
    pub(crate) fn names(&self) -> Vec<TaskName> {
        self.names_if(|_| true)
    }

    /// The names of the tasks that fulfil a condition.
    pub(crate) fn names_if(&self, condition: impl Fn(&TaskName) -> bool) -> Vec<TaskName> {
        let entries = read(&self.entries);
        entries.iter().map(|entry| &entry.skill.name).filter(|name| condition(name)).cloned().collect()
    }

    /// The tasks of which one more could start at this usage.
    pub(crate) fn with_room(&self, usage: &Usage) -> Vec<TaskName> {
        if usage.open == 0 {
            return Vec::new();
        }
        let has_room = |entry: &&Entry| entry.group.is_none_or(|group| usage.groups_open[group]);
        read(&self.entries).iter().filter(has_room).map(|entry| entry.skill.name.clone()).collect()
    }
}
