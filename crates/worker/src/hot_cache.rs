//! Which models are loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rxon::TaskName;

use crate::changes::Changes;

/// The set of loaded models, shared by all tasks.
#[derive(Debug)]
pub(crate) struct HotCache {
    models: Mutex<BTreeSet<String>>,
    changes: Arc<Changes>,
}

impl HotCache {
    pub(crate) fn new(changes: Arc<Changes>) -> Self {
        Self { models: Mutex::default(), changes }
    }

    pub(crate) fn add(&self, model: String) {
        if self.lock().insert(model) {
            self.changes.happened();
        }
    }

    pub(crate) fn remove(&self, model: &str) {
        if self.lock().remove(model) {
            self.changes.happened();
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
        let cache = HotCache::new(Arc::new(Changes::new(1)));
        cache.add("a".to_owned());
        assert!(cache.hot_skills(&dependencies).is_empty());
        cache.add("b".to_owned());
        assert_eq!(cache.hot_skills(&dependencies), [skill("draw")]);
        cache.remove("a");
        assert!(cache.hot_skills(&dependencies).is_empty());
    }
}
