//! The registered tasks, as described to orchestrators.

use rxon::TaskName;
use rxon::model::SkillInfo;

use crate::capacity::slots::{Group, Usage};

/// The registered tasks, in the order in which they were registered.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    skills: Vec<SkillInfo>,
    /// The limit group of each, if it has a limit.
    groups: Vec<Option<Group>>,
}

impl Catalogue {
    /// Adds a task. The caller checks that names are unique.
    pub(crate) fn add(&mut self, skill: SkillInfo, group: Option<Group>) {
        self.skills.push(skill);
        self.groups.push(group);
    }

    /// The descriptions of all tasks.
    pub(crate) fn skills(&self) -> &[SkillInfo] {
        &self.skills
    }

    /// The names of all tasks.
    pub(crate) fn names(&self) -> impl Iterator<Item = &TaskName> {
        self.skills.iter().map(|skill| &skill.name)
    }

    /// The tasks of which one more could start at this usage.
    pub(crate) fn with_room(&self, usage: &Usage) -> Vec<TaskName> {
        if usage.open == 0 {
            return Vec::new();
        }
        let has_room = |group: &Option<Group>| group.is_none_or(|group| usage.groups_open[group]);
        let tasks = self.names().zip(&self.groups);
        tasks.filter(|(_, group)| has_room(group)).map(|(name, _)| name.clone()).collect()
    }
}
