//! `cargo xtask setup`: installs what the tests need and cargo does not bring.

use crate::failure::Result;
use crate::peers;
use crate::steps::Steps;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace) -> Result {
    let mut steps = Steps::begin();
    steps.step("peers", "cargo xtask setup", || peers::install(workspace))
}
