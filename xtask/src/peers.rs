//! The programs in Python that the worker is tested with: the real orchestrators, the S3 server moto, and the existing
//! packages that the Python package replaces. Each is in a virtual environment of its own, because they need different
//! versions of the same packages.

use crate::environment::{self, Environment};
use crate::failure::Result;
use crate::redis;
use crate::workspace::Workspace;

/// The name of each environment, by which the fixtures of `e2e` find it, and its package.
const PEERS: [(&str, &str); 3] = [
    ("avtomatika-1.0b12", "avtomatika[redis,telemetry,s3]==1.0b12"),
    ("avtomatika-1.0b30", "avtomatika[redis,s3]==1.0b30"),
    ("moto", "moto[server]==5.2.5"),
];

/// The environments of the existing packages, by whose names the tests of the Python package find them. They have
/// pydantic, unlike that of the benchmark: imported by the existing package, it would count as its memory.
const EXISTING: [(&str, &str); 2] = [
    ("existing-1.0b4", "avtomatika-worker[pydantic]==1.0b4"),
    ("existing-1.0b20", "avtomatika-worker[pydantic,s3]==1.0b20"),
];

/// Installs the missing environments, and Redis.
pub(crate) fn install(workspace: &Workspace) -> Result {
    redis::install()?;
    environment::install(workspace, &environments(workspace))
}

pub(crate) fn environments(workspace: &Workspace) -> Vec<Environment> {
    of(workspace, &PEERS)
}

pub(crate) fn existing_packages(workspace: &Workspace) -> Vec<Environment> {
    of(workspace, &EXISTING)
}

fn of(workspace: &Workspace, environments: &[(&'static str, &str)]) -> Vec<Environment> {
    let environments = environments.iter();
    environments.map(|(name, package)| Environment::of_package(workspace, name, package)).collect()
}
