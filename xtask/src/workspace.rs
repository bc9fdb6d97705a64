//! The workspace: its location, its crates, and the installed tools.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::failure::{Failure, Result};

#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    metadata: Value,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace");
        let mut workspace = Self { root: root.to_owned(), metadata: Value::Null };
        let mut command = workspace.cargo(["metadata", "--format-version", "1", "--no-deps"]);
        command.stderr(Stdio::inherit());
        let answer = command.output().map_err(|error| Failure::new(format!("cannot run cargo: {error}")))?;
        if !answer.status.success() {
            return Err(Failure::of_program("`cargo metadata` failed", answer.status));
        }
        workspace.metadata = serde_json::from_slice(&answer.stdout)
            .map_err(|error| Failure::new(format!("`cargo metadata` is not JSON: {error}")))?;
        Ok(workspace)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The output of `cargo metadata --no-deps`.
    pub(crate) fn metadata(&self) -> &Value {
        &self.metadata
    }

    /// The directory `target`.
    pub(crate) fn target(&self) -> PathBuf {
        self.metadata["target_directory"].as_str().map_or_else(|| self.root.join("target"), PathBuf::from)
    }

    /// The path of the list of test programs. With this list nextest runs them without cargo, which would wait until the
    /// wheel is compiled.
    pub(crate) fn nextest_binaries(&self) -> PathBuf {
        self.target().join("nextest-binaries.json")
    }

    /// A command for the cargo that runs this program, in the root of the workspace.
    pub(crate) fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.args(arguments).current_dir(&self.root);
        without_own_variables(&mut command);
        command
    }

    /// Returns whether `cargo <tool>` is installed: a minimal installation of Rust has neither rustfmt nor clippy.
    pub(crate) fn has_cargo(&self, tool: &str) -> bool {
        let mut command = self.cargo([tool, "--version"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

/// Removes the variables that describe this program, which cargo has set for it. The build script of `ring` runs again
/// whenever they change: `cargo build` and `cargo xtask` in turn would compile it, and all that depends on it, each time.
pub(crate) fn without_own_variables(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cargo_that_is_started_does_not_see_the_variables_of_this_program() {
        let mut command = Command::new("cargo");
        without_own_variables(&mut command);
        let removed: Vec<_> = command.get_envs().map(|(name, value)| (name.to_str(), value)).collect();
        assert!(removed.contains(&(Some("CARGO_PKG_NAME"), None)), "{removed:?}");
        assert!(removed.contains(&(Some("CARGO_MANIFEST_DIR"), None)), "{removed:?}");
    }
}
