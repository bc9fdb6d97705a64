//! The origin of option values.

use std::collections::{BTreeMap, BTreeSet};

use rxon::WorkerId;

use super::problem::Problem;
use super::secret::Secret;

/// The variables that were read, the faults in them, and the options that were set in code.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// The worker's name where `WORKER_ID` is not set.
    pub(super) fallback_id: Option<WorkerId>,
    /// Further capabilities that are reported to orchestrators.
    pub(super) extra: BTreeMap<String, serde_json::Value>,
    /// The texts of the options' variables.
    pub(super) environment: BTreeMap<&'static str, Secret>,
    /// Keys in the variables of the AWS tools, which the storage may use.
    pub(super) keys: Vec<Secret>,
    /// Options that were set by a method or by name.
    pub(super) in_code: BTreeSet<&'static str>,
    /// Variables with a wrong value.
    pub(super) problems: Vec<Problem>,
    /// Options that were set by name to a wrong value.
    pub(super) wrong: Vec<Problem>,
    /// Variables with a wrong value that count as not set, with a warning.
    pub(super) ignored: Vec<Problem>,
    /// A sentence for each variable that belongs to no option.
    pub(super) unknown: Vec<String>,
}

impl History {
    /// Notes that an option was set in code, which takes precedence over its variable.
    pub(super) fn set_in_code(&mut self, variable: &'static str) {
        self.wrong.retain(|problem| problem.variable != variable);
        self.in_code.insert(variable);
    }
}
