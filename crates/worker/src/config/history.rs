//! How options came by their values.

use std::collections::{BTreeMap, BTreeSet};

use rxon::WorkerId;

use super::{Problem, Secret, WorkerConfig};

/// What was read, what was wrong with it, and what was set in code.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// The worker's name where `WORKER_ID` says none.
    pub(super) fallback_id: Option<WorkerId>,
    /// Told to orchestrators beside everything else.
    pub(super) extra: BTreeMap<String, serde_json::Value>,
    /// What the variables of options said.
    pub(super) environment: BTreeMap<&'static str, Secret>,
    /// Keys of the AWS tools, which the storage may take.
    pub(super) keys: Vec<Secret>,
    /// Options that were set by a method or by name.
    pub(super) in_code: BTreeSet<&'static str>,
    /// Variables that are an error.
    pub(super) problems: Vec<Problem>,
    /// What is wrong with options that were set by name.
    pub(super) wrong: Vec<Problem>,
    /// Variables that are a warning, and count as not set.
    pub(super) ignored: Vec<Problem>,
    /// A sentence for each variable that no option has.
    pub(super) unknown: Vec<String>,
}

impl History {
    /// Code has the last word on an option.
    pub(super) fn set_in_code(&mut self, variable: &'static str) {
        self.wrong.retain(|problem| problem.variable != variable);
        self.in_code.insert(variable);
    }
}

impl WorkerConfig {
    /// Whether code had the last word. A field that was assigned is found out by its value.
    pub(super) fn is_set_in_code(&self, variable: &str) -> bool {
        if self.history.in_code.contains(variable) {
            return true;
        }
        let mut read = Self::empty();
        if let Some(text) = self.history.environment.get(variable) {
            // What is wrong leaves the default, as it did when it was read.
            let _ = read.assign(variable, text.expose());
        }
        !self.agrees(&read, variable)
    }

    /// Whether anybody set an option.
    pub(super) fn is_set(&self, variable: &str) -> bool {
        self.history.environment.contains_key(variable) || self.is_set_in_code(variable)
    }
}
