//! The tasks that the worker can accept now.
//!
//! [`Offer`] gives the one answer to "which tasks can be accepted?", from the catalogue of tasks, the slots, the user's
//! own check, the disks and whether the worker is draining. Registrations, heartbeats and polls all ask it.

pub(crate) mod catalogue;
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

pub(crate) use self::catalogue::Catalogue;
use self::checker::Capacity;
use self::disk::Disk;
use self::hot_cache::HotCache;
use self::slots::{Slots, Usage};
use crate::config::CapacityReporting;

/// The tasks that the worker can accept now, and the models it has loaded.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) slots: Arc<Slots>,
    /// The user's own check.
    pub(crate) checker: Capacity,
    pub(crate) hot_cache: Arc<HotCache>,
    /// The models that each skill needs to count as hot.
    pub(crate) skill_dependencies: BTreeMap<TaskName, Vec<String>>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) reporting: CapacityReporting,
    /// Set once the worker drains; it is never reset.
    pub(crate) draining: Arc<AtomicBool>,
}

/// The state that decides what a poll names: as long as it is equal, so is that.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PollBasis {
    tasks: usize,
    refusals: u64,
    models: u64,
    /// Without the numbers that change nothing.
    usage: Usage,
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
            CapacityReporting::Queue => self.catalogue.names(),
        };
        self.checker.without_refused(names)
    }

    /// The state that decides what a poll names now. Costs the same however many tasks there are.
    pub(crate) fn poll_basis(&self) -> PollBasis {
        let usage = self.slots.usage();
        PollBasis {
            tasks: self.catalogue.count(),
            refusals: self.checker.changes(),
            models: self.hot_cache.changes(),
            usage: Usage { running: 0, waiting: 0, open: usage.open.min(1), ..usage },
        }
    }

    /// The tasks that a poll asks for in this state, which was taken before. The poll holds a slot already: only limit groups
    /// and the user's own check can exclude a task.
    pub(crate) fn for_poll(&self, basis: &PollBasis) -> PollOffer {
        PollOffer {
            accepted: self.checker.without_refused(self.catalogue.with_room(&basis.usage)),
            hot_skills: self.hot_skills().unwrap_or_default(),
        }
    }

    /// Calls the user's check again, before a message that reports capacity. Takes at most 250 ms.
    ///
    /// # Cancel safety
    /// Missing answers arrive later.
    pub(crate) async fn refresh(&self) {
        // A draining worker accepts nothing, whatever the check answers, and its goodbye must not be delayed.
        if !self.is_draining() {
            self.checker.refresh(|| self.catalogue.names()).await;
        }
    }

    /// The skills whose models are loaded, and those that were named as hot themselves. `None` if there are none, as in
    /// the reference.
    pub(crate) fn hot_skills(&self) -> Option<Vec<TaskName>> {
        let skills = self.hot_cache.hot_skills(&self.skill_dependencies, &self.catalogue);
        (!skills.is_empty()).then_some(skills)
    }

    /// The models that each skill needs, as sent. `None` if no skill needs any, as in the reference.
    pub(crate) fn dependencies_as_sent(&self) -> Option<BTreeMap<String, Vec<String>>> {
        let dependencies = &self.skill_dependencies;
        (!dependencies.is_empty())
            .then(|| dependencies.iter().map(|(skill, models)| (skill.to_string(), models.clone())).collect())
    }
}
