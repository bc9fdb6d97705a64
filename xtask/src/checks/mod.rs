//! The rules of the workspace that cargo does not check.

mod architecture;
mod backends;
mod direction;
mod lengths;
mod manifests;
mod rooms;
mod users;

use crate::failure::{Failure, Result};
use crate::steps::Steps;
use crate::vendor;
use crate::workspace::Workspace;

/// Checks all rules. Takes about a second.
pub(crate) fn run(steps: &mut Steps, workspace: &Workspace) -> Result {
    steps.step("rules of the workspace", "cargo xtask check", || {
        let mut broken = direction::broken(workspace.metadata());
        broken.extend(manifests::broken(workspace.metadata()));
        broken.extend(lengths::broken(workspace.root()));
        broken.extend(rooms::broken(workspace.root()));
        broken.extend(architecture::broken(workspace.root()));
        broken.extend(vendor::broken(workspace.root()));
        broken.extend(backends::broken(workspace)?);
        broken.extend(users::broken(workspace)?);
        if broken.is_empty() { Ok(()) } else { Err(Failure::new(broken.join("\n"))) }
    })
}
