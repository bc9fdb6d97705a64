//! `cargo xtask check`: the rules of the workspace that cargo does not check.

use crate::checks;
use crate::failure::Result;
use crate::steps::Steps;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace) -> Result {
    checks::run(&mut Steps::begin(), workspace)
}
