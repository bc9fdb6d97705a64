//! The models that are loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rxon::TaskName;

use crate::capacity::catalogue::Catalogue;
use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::threads::lock;

/// The set of loaded models, shared by all tasks. It exists before the worker runs.
#[derive(Debug, Default)]
pub(crate) struct HotCache {
    models: Mutex<BTreeSet<String>>,
    /// The number of times that the set has changed.
    changes: AtomicU64,
    /// Set once the worker runs.
    trigger: OnceLock<Arc<HeartbeatTrigger>>,
}

impl HotCache {
    /// Makes changes trigger heartbeats from now on.
    pub(crate) fn connect(&self, trigger: Arc<HeartbeatTrigger>) {
        self.trigger.get_or_init(|| trigger);
    }

    pub(crate) fn add(&self, model: String) {
        self.change(|models| models.insert(model));
    }

    pub(crate) fn remove(&self, model: &str) {
        self.change(|models| models.remove(model));
    }

    /// Changes the set. `change` returns true if it has changed it.
    fn change(&self, change: impl FnOnce(&mut BTreeSet<String>) -> bool) {
        let is_change = {
            let mut models = lock(&self.models);
            let is_change = change(&mut models);
            self.changes.fetch_add(u64::from(is_change), Ordering::Release);
            is_change
        };
        if let Some(trigger) = self.trigger.get().filter(|_| is_change) {
            trigger.on_change();
        }
    }

    /// The number of times that the set has changed. Takes no lock.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The loaded models, in alphabetical order.
    pub(crate) fn models(&self) -> Vec<String> {
        lock(&self.models).iter().cloned().collect()
    }

    /// Returns the skills of which all models are loaded, and the tasks that need no models and are in the set
    /// themselves.
    pub(crate) fn hot_skills(
        &self,
        dependencies: &BTreeMap<TaskName, Vec<String>>,
        catalogue: &Catalogue,
    ) -> Vec<TaskName> {
        let models = lock(&self.models);
        let mut skills: Vec<_> = dependencies
            .iter()
            .filter(|(_, needed)| needed.iter().all(|model| models.contains(model)))
            .map(|(skill, _)| skill.clone())
            .collect();
        // A worker without loaded models looks at no task.
        if !models.is_empty() {
            let is_hot = |name: &TaskName| models.contains(name.as_str()) && !dependencies.contains_key(name);
            skills.extend(catalogue.names_if(is_hot));
        }
        skills
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::task_options::TaskOptions;

    fn skill(name: &str) -> TaskName {
        TaskName::new(name).expect("an identifier")
    }

    /// A catalogue with these tasks.
    fn catalogue(names: &[&str]) -> Catalogue {
        let catalogue = Catalogue::default();
        for name in names {
            catalogue.add(TaskOptions::new().skill(skill(name)), None);
        }
        catalogue
    }

    #[test]
    fn a_skill_is_hot_when_all_its_models_are_loaded() {
        let dependencies = BTreeMap::from([
            (skill("draw"), vec!["a".to_owned(), "b".to_owned()]),
            (skill("upscale"), vec!["c".to_owned()]),
        ]);
        let (cache, tasks) = (HotCache::default(), catalogue(&["draw", "upscale"]));
        cache.add("a".to_owned());
        assert!(cache.hot_skills(&dependencies, &tasks).is_empty());
        cache.add("b".to_owned());
        assert_eq!(cache.hot_skills(&dependencies, &tasks), [skill("draw")]);
        cache.remove("a");
        assert!(cache.hot_skills(&dependencies, &tasks).is_empty());
    }

    #[test]
    fn a_task_that_needs_no_models_is_hot_when_it_is_in_the_set_itself() {
        let dependencies = BTreeMap::from([(skill("draw"), vec!["a".to_owned()])]);
        let (cache, tasks) = (HotCache::default(), catalogue(&["draw", "resize"]));
        for name in ["draw", "resize", "nothing"] {
            cache.add(name.to_owned());
        }
        assert_eq!(cache.hot_skills(&dependencies, &tasks), [skill("resize")], "`draw` needs a model");
        cache.add("a".to_owned());
        assert_eq!(cache.hot_skills(&dependencies, &tasks), [skill("draw"), skill("resize")]);
        cache.remove("resize");
        assert_eq!(cache.hot_skills(&dependencies, &tasks), [skill("draw")]);
    }
}
