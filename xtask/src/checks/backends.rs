//! One cryptographic library: `aws-lc-sys` needs a C compiler, cmake and minutes, and comes in by a careless
//! default feature.

use std::process::Stdio;

use crate::failure::{Failure, Result};
use crate::workspace::Workspace;

const UNWANTED: &str = "aws-lc-sys";

/// A sentence if anything of the workspace brings it in.
pub(super) fn broken(workspace: &Workspace) -> Result<Option<String>> {
    let arguments = ["tree", "--workspace", "--all-features", "--target", "all", "--invert", UNWANTED];
    let mut command = workspace.cargo(arguments);
    let asked = command.stdin(Stdio::null()).output();
    let answer = asked.map_err(|error| Failure::new(format!("cannot run `cargo tree`: {error}")))?;
    let said = String::from_utf8_lossy(&answer.stderr);
    if !answer.status.success() && !said.contains("did not match any packages") {
        return Err(Failure::of_program(format!("`cargo tree` failed: {said}"), answer.status));
    }
    let tree = String::from_utf8_lossy(&answer.stdout);
    Ok((!tree.trim().is_empty()).then(|| format!("something depends on `{UNWANTED}`:\n{tree}")))
}
