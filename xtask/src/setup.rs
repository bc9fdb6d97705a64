//! `cargo xtask setup`: installs the tools of the tests that cargo does not install.

use crate::browser;
use crate::environment;
use crate::failure::Result;
use crate::package;
use crate::peers;
use crate::redis;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// What only some tests need: where it cannot be installed, `cargo xtask test` leaves these tests out.
type Optional<'a> = (&'static str, &'a dyn Fn() -> Result);

pub(crate) fn run(workspace: &Workspace) -> Result {
    let mut steps = Steps::begin();
    let mut environments = peers::environments(workspace);
    environments.extend(peers::existing_packages(workspace));
    environments.push(package::environment(workspace)?);
    let optional: [Optional<'_>; 3] = [
        ("Redis", &redis::install),
        ("browser", &browser::install),
        ("axe-core", &|| browser::install_axe(workspace)),
    ];
    for (name, install) in optional {
        if let Err(problem) = install() {
            steps.skip(name, &problem.to_string());
        }
    }
    steps.step("peers and Python's tools", "cargo xtask setup", || {
        environment::install(workspace, &environments)
    })?;
    steps.end();
    Ok(())
}
