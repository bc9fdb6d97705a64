//! The tasks that the worker can accept now.
//!
//! [`Offer`] gives the one answer to "which tasks can be accepted?", from the catalogue of tasks, the slots, the user's
//! own check, the disks and whether the worker is draining. Registrations, heartbeats and polls all ask it.

pub(crate) mod checker;
pub(crate) mod disk;
pub(crate) mod heartbeat_trigger;
pub(crate) mod hot_cache;
pub(crate) mod orchestrator_index;
pub(crate) mod slots;
pub(crate) mod turns;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rxon::TaskName;
use rxon::model::SkillInfo;

use self::checker::Capacity;
use self::disk::Disk;
use self::hot_cache::HotCache;
use self::slots::{Group, Slots, Usage};
use crate::config::CapacityReporting;

/// The tasks that the worker can accept now, and the models it has loaded.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) catalogue: Catalogue,
    pub(crate) slots: Arc<Slots>,
    /// The user's own check.
    pub(crate) checker: Capacity,
    pub(crate) hot_cache: Arc<HotCache>,
    /// The models that each skill needs to count as hot.
    pub(crate) skill_dependencies: BTreeMap<TaskName, Vec<String>>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) reporting: CapacityReporting,
    /// Set once the worker drains; it is never reset.
    pub(crate) draining: AtomicBool,
}

/// The tasks and hot skills that a poll names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PollOffer {
    pub(crate) accepted: Vec<TaskName>,
    pub(crate) hot_skills: Vec<TaskName>,
}

impl Offer {
    /// Accepts no further tasks from now on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Returns true if the worker accepts no further tasks because it is ending.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The tasks of which one more can be accepted at this usage, for registrations and heartbeats.
    pub(crate) fn accepted(&self, usage: &Usage) -> Vec<TaskName> {
        if self.is_draining() || self.disk.is_low() {
            return Vec::new();
        }
        let names = match self.reporting {
            CapacityReporting::Strict => self.catalogue.with_room(usage),
            CapacityReporting::Queue => self.catalogue.names().cloned().collect(),
        };
        self.checker.without_refused(names)
    }

    /// The tasks that a poll asks for. `None`, the usual case, if it asks for all of them and no skill is hot. The poll
    /// holds a slot already: only limit groups and the user's own check can exclude a task.
    pub(crate) fn for_poll(&self) -> Option<PollOffer> {
        let usage = self.slots.usage();
        let hot_skills = self.hot_skills().unwrap_or_default();
        let is_usual = hot_skills.is_empty()
            && usage.groups_open.iter().all(|open| *open)
            && !self.checker.refuses_any();
        (!is_usual).then(|| PollOffer {
            accepted: self.checker.without_refused(self.catalogue.with_room(&usage)),
            hot_skills,
        })
    }

    /// Calls the user's check again, before a message that reports capacity. Takes at most 250 ms.
    ///
    /// # Cancel safety
    /// Missing answers arrive later.
    pub(crate) async fn refresh(&self) {
        // A draining worker accepts nothing, whatever the check answers, and its goodbye must not be delayed.
        if !self.is_draining() {
            self.checker.refresh().await;
        }
    }

    /// The skills whose models are loaded. `None` if there are none, as in the reference.
    pub(crate) fn hot_skills(&self) -> Option<Vec<TaskName>> {
        let skills = self.hot_cache.hot_skills(&self.skill_dependencies);
        (!skills.is_empty()).then_some(skills)
    }

    /// The models that each skill needs, as sent. `None` if no skill needs any, as in the reference.
    pub(crate) fn dependencies_as_sent(&self) -> Option<BTreeMap<String, Vec<String>>> {
        let dependencies = &self.skill_dependencies;
        (!dependencies.is_empty())
            .then(|| dependencies.iter().map(|(skill, models)| (skill.to_string(), models.clone())).collect())
    }
}

/// The registered tasks, in the order in which they were registered.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    skills: Vec<SkillInfo>,
    /// The limit group of each task, if it has one.
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
