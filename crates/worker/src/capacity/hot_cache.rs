//! Which models are loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rxon::TaskName;

use crate::capacity::changes::Changes;

/// The set of loaded models, shared by all tasks. It is there before the worker runs.
#[derive(Debug, Default)]
pub(crate) struct HotCache {
    models: Mutex<BTreeSet<String>>,
    /// Whom to tell of changes, once somebody wants to know.
    changes: OnceLock<Arc<Changes>>,
}

impl HotCache {
    /// From now on changes are told.
    pub(crate) fn tell(&self, changes: Arc<Changes>) {
        self.changes.get_or_init(|| changes);
    }

    pub(crate) fn add(&self, model: String) {
        let is_new = self.lock().insert(model);
        self.changed(is_new);
    }

    pub(crate) fn remove(&self, model: &str) {
        let was_there = self.lock().remove(model);
        self.changed(was_there);
    }

    fn changed(&self, is_change: bool) {
        if let Some(changes) = self.changes.get().filter(|_| is_change) {
            changes.happened();
        }
    }

    pub(crate) fn models(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    /// The skills all of whose models are loaded.
    pub(crate) fn hot_skills(&self, dependencies: &BTreeMap<TaskName, Vec<String>>) -> Vec<TaskName> {
        let models = self.lock();
        dependencies
            .iter()
            .filter(|(_, needed)| needed.iter().all(|model| models.contains(model)))
            .map(|(skill, _)| skill.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skill_is_hot_when_all_its_models_are_loaded() {
        let skill = |name| TaskName::new(name).expect("an identifier");
        let dependencies = BTreeMap::from([
            (skill("draw"), vec!["a".to_owned(), "b".to_owned()]),
            (skill("upscale"), vec!["c".to_owned()]),
        ]);
        let cache = HotCache::default();
        cache.add("a".to_owned());
        assert!(cache.hot_skills(&dependencies).is_empty());
        cache.add("b".to_owned());
        assert_eq!(cache.hot_skills(&dependencies), [skill("draw")]);
        cache.remove("a");
        assert!(cache.hot_skills(&dependencies).is_empty());
    }
}
