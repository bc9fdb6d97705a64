//! What the worker is tested against and cargo does not bring: the real orchestrators, and an S3 that is not ours. Each is
//! in a virtual environment of its own, because their pins exclude each other.

use crate::environment::{self, Environment};
use crate::failure::Result;
use crate::workspace::Workspace;

/// The environment's name, as the fixtures of `e2e` look for it, and what is in it.
const PEERS: [(&str, &str); 3] = [
    ("avtomatika-1.0b12", "avtomatika[telemetry,s3]==1.0b12"),
    ("avtomatika-1.0b30", "avtomatika[s3]==1.0b30"),
    ("moto", "moto[server]==5.2.5"),
];

/// Installs what is missing.
pub(crate) fn install(workspace: &Workspace) -> Result {
    environment::install(workspace, &environments(workspace))
}

pub(crate) fn environments(workspace: &Workspace) -> Vec<Environment> {
    let environments = PEERS.iter();
    environments.map(|(name, package)| Environment::of_package(workspace, name, package)).collect()
}
