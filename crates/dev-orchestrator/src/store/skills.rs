//! What workers have said about their tasks, kept after the last worker of a task has gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use rxon::{TaskName, WorkerId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::Worker;
use crate::view::SkillView;

/// The number of names that are remembered. More are neither shown nor remembered, but work.
const MAX_SKILLS: usize = 10_000;

/// The memory of all descriptions, in bytes. Further ones are not remembered.
const MAX_WEIGHT: usize = 64 * 1024 * 1024;

/// The description of a task by one worker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) kind: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) input_schema: Option<Arc<RawValue>>,
    pub(crate) output_schema: Option<Arc<RawValue>>,
    pub(crate) events_schema: Option<Arc<RawValue>>,
}

impl About {
    /// Returns a digest of the schemas, by which those of two workers are compared; `None` without schemas.
    pub(super) fn digest(&self) -> Option<u64> {
        let schemas = self.schemas().map(|schema| schema.map(|schema| schema.get()));
        schemas.iter().any(Option::is_some).then(|| {
            // It is kept in the state, so that it has to be the same in every version.
            let mut hasher = Sha256::new();
            for schema in schemas {
                hasher.update(schema.map_or(u64::MAX, |schema| schema.len() as u64).to_be_bytes());
                hasher.update(schema.unwrap_or_default());
            }
            hasher.finalize().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
        })
    }

    fn schemas(&self) -> [Option<&Arc<RawValue>>; 3] {
        [&self.input_schema, &self.output_schema, &self.events_schema].map(Option::as_ref)
    }

    /// Whether it says anything but the name of a group, which every worker sends.
    fn is_empty(&self) -> bool {
        self.description.is_none() && self.version.is_none() && self.schemas().iter().all(Option::is_none)
    }

    fn weight(&self) -> usize {
        let texts = [&self.kind, &self.description, &self.version];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        texts + self.schemas().into_iter().flatten().map(|schema| schema.get().len()).sum::<usize>()
    }
}

/// All tasks that workers have registered since the start.
#[derive(Debug, Default)]
pub(crate) struct Skills {
    known: BTreeMap<TaskName, About>,
    weight: usize,
}

impl Skills {
    /// Remembers a name.
    pub(super) fn name(&mut self, name: &TaskName) {
        if self.known.len() < MAX_SKILLS && !self.known.contains_key(name) {
            self.known.insert(name.clone(), About::default());
        }
    }

    /// Remembers a description, in place of an earlier one.
    pub(super) fn describe(&mut self, name: &TaskName, about: About) {
        self.name(name);
        let Some(known) = self.known.get_mut(name) else { return };
        // A worker of the older generation knows no descriptions: those of another worker stay.
        if about.is_empty() && !known.is_empty() {
            return;
        }
        let weight = self.weight - known.weight() + about.weight();
        if weight <= MAX_WEIGHT {
            self.weight = weight;
            *known = about;
        }
    }

    /// Returns the description of a name; `None` if it is not remembered.
    pub(super) fn about(&self, name: &TaskName) -> Option<&About> {
        self.known.get(name)
    }

    /// Returns all names with the latest description, in order of their names.
    pub(super) fn views<'a>(
        &self,
        workers: impl Iterator<Item = (&'a WorkerId, &'a Worker)>,
    ) -> Vec<SkillView> {
        let mut views: BTreeMap<&TaskName, SkillView> =
            self.known.iter().map(|(name, about)| (name, view(name, about))).collect();
        let digests: BTreeMap<&TaskName, u64> =
            self.known.iter().filter_map(|(name, about)| Some((name, about.digest()?))).collect();
        for (id, worker) in workers {
            for name in &worker.tasks {
                let Some(view) = views.get_mut(name) else { continue };
                view.workers.push(id.clone());
                if worker.hot_skills.contains(name) {
                    view.hot.push(id.clone());
                }
                let differs = worker.schemas.get(name).zip(digests.get(name));
                view.differs |= differs.is_some_and(|(one, latest)| one != latest);
            }
        }
        let mut views: Vec<_> = views.into_values().collect();
        for view in &mut views {
            view.workers.sort();
            view.hot.sort();
        }
        views
    }
}

fn view(name: &TaskName, about: &About) -> SkillView {
    let About { kind, description, version, input_schema, output_schema, events_schema } = about.clone();
    SkillView {
        name: name.clone(),
        description,
        kind,
        version,
        input_schema,
        output_schema,
        events_schema,
        workers: Vec::new(),
        hot: Vec::new(),
        differs: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> About {
        let schema = RawValue::from_string(text.to_owned()).expect("JSON");
        About { input_schema: Some(schema.into()), ..About::default() }
    }

    #[test]
    fn descriptions_are_bounded_in_number_and_size() {
        let mut skills = Skills::default();
        let name = |text: &str| TaskName::new(text).expect("an identifier");
        let big = format!("\"{}\"", "x".repeat(MAX_WEIGHT / 2));
        skills.describe(&name("a"), schema(&big));
        skills.describe(&name("b"), schema(&big));
        skills.describe(&name("c"), schema("{}"));
        let views = skills.views(std::iter::empty());
        let has_schema: Vec<bool> = views.iter().map(|view| view.input_schema.is_some()).collect();
        assert_eq!(has_schema, [true, false, true]);
        skills.describe(&name("a"), schema("{}"));
        skills.describe(&name("b"), schema(&big));
        let views = skills.views(std::iter::empty());
        assert!(views.iter().all(|view| view.input_schema.is_some()), "the memory of a replaced one is free");
        for number in 0..2 * MAX_SKILLS {
            skills.name(&name(&format!("n{number}")));
        }
        assert_eq!(skills.known.len(), MAX_SKILLS);
    }
}
