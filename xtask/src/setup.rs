//! `cargo xtask setup`: installs what the tests need and cargo does not bring.

use crate::failure::Result;
use crate::orchestrators;
use crate::steps::Steps;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace) -> Result {
    let mut steps = Steps::begin();
    steps.step("orchestrators", "cargo xtask setup", || orchestrators::install(workspace))
}
