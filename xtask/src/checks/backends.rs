//! Checks that only one cryptographic library is used. Default features of some crates bring in `aws-lc-sys`, which
//! needs a C compiler, cmake and minutes to build.

use std::process::Stdio;

use crate::failure::{Failure, Result};
use crate::workspace::Workspace;

const UNWANTED: &str = "aws-lc-sys";

/// Returns a sentence if a package of the workspace depends on the unwanted library.
pub(super) fn broken(workspace: &Workspace) -> Result<Option<String>> {
    let arguments = ["tree", "--workspace", "--all-features", "--target", "all", "--invert", UNWANTED];
    let mut command = workspace.cargo(arguments);
    let output = command.stdin(Stdio::null()).output();
    let answer = output.map_err(|error| Failure::new(format!("cannot run `cargo tree`: {error}")))?;
    let errors = String::from_utf8_lossy(&answer.stderr);
    if !answer.status.success() && !errors.contains("did not match any packages") {
        return Err(Failure::of_program(format!("`cargo tree` failed: {errors}"), answer.status));
    }
    let tree = String::from_utf8_lossy(&answer.stdout);
    Ok((!tree.trim().is_empty()).then(|| format!("something depends on `{UNWANTED}`:\n{tree}")))
}
