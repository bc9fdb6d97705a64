//! The real orchestrators, each in a virtual environment of its own, because their pins exclude each other.

use crate::environment::{self, Environment};
use crate::failure::Result;
use crate::workspace::Workspace;

/// The environment's name, as the fixtures of `e2e` look for it, and what is in it.
const ORCHESTRATORS: [(&str, &str); 2] =
    [("avtomatika-1.0b12", "avtomatika[telemetry,s3]==1.0b12"), ("avtomatika-1.0b30", "avtomatika==1.0b30")];

/// Installs what is missing.
pub(crate) fn install(workspace: &Workspace) -> Result {
    environment::install(workspace, &environments(workspace))
}

pub(crate) fn environments(workspace: &Workspace) -> Vec<Environment> {
    let environments = ORCHESTRATORS.iter();
    environments.map(|(name, package)| Environment::of_package(workspace, name, package)).collect()
}
