//! `cargo xtask setup`: installs the tools of the tests that cargo does not install.

use crate::browser;
use crate::environment;
use crate::failure::Result;
use crate::package;
use crate::peers;
use crate::redis;
use crate::steps::Steps;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace) -> Result {
    let mut steps = Steps::begin();
    let mut environments = peers::environments(workspace);
    environments.extend(peers::existing_packages(workspace));
    environments.push(package::environment(workspace)?);
    steps.step("peers and Python's tools", "cargo xtask setup", || {
        redis::install()?;
        browser::install(workspace)?;
        environment::install(workspace, &environments)
    })
}
