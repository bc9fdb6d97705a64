//! The programs in Python that the worker is tested with: the real orchestrators, and the S3 server moto. Each is in a
//! virtual environment of its own, because they need different versions of the same packages.

use crate::environment::{self, Environment};
use crate::failure::Result;
use crate::workspace::Workspace;

/// The name of each environment, by which the fixtures of `e2e` find it, and its package.
const PEERS: [(&str, &str); 3] = [
    ("avtomatika-1.0b12", "avtomatika[telemetry,s3]==1.0b12"),
    ("avtomatika-1.0b30", "avtomatika[s3]==1.0b30"),
    ("moto", "moto[server]==5.2.5"),
];

/// Installs the missing environments.
pub(crate) fn install(workspace: &Workspace) -> Result {
    environment::install(workspace, &environments(workspace))
}

pub(crate) fn environments(workspace: &Workspace) -> Vec<Environment> {
    let environments = PEERS.iter();
    environments.map(|(name, package)| Environment::of_package(workspace, name, package)).collect()
}
