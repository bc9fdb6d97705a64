//! `cargo xtask verify`: all checks that run no tests.

use crate::checks;
use crate::failure::Result;
use crate::steps::Steps;
use crate::user;
use crate::workspace::Workspace;

/// The features of the worker that are checked without cargo-hack: first no feature, then each one alone.
const WORKER_FEATURES: [&str; 4] = ["", "durable", "event-schemas", "s3"];

pub(crate) fn run(workspace: &Workspace) -> Result {
    let mut steps = Steps::begin();
    checks::run(&mut steps, workspace)?;
    cargo(&mut steps, workspace)?;
    publication(&mut steps, workspace)?;
    if workspace.has_cargo("deny") {
        steps.program("dependencies", &mut workspace.cargo(["deny", "check"]))?;
    } else {
        steps.skip("dependencies", "cargo-deny is not installed: cargo install cargo-deny");
    }
    if workspace.has_cargo("hack") {
        let arguments = ["hack", "check", "--workspace", "--each-feature", "--no-dev-deps"];
        steps.program("features", &mut workspace.cargo(arguments))?;
    } else {
        for features in WORKER_FEATURES {
            let arguments =
                ["check", "-p", "avtomatika-worker", "--no-default-features", "--features", features];
            steps.program("features of the worker", &mut workspace.cargo(arguments))?;
        }
        steps.skip("all other features", "cargo-hack is not installed: cargo install cargo-hack");
    }
    user::run(&mut steps, workspace)?;
    steps.end();
    Ok(())
}

/// Runs the checks of cargo itself: formatting, lints, documentation.
pub(crate) fn cargo(steps: &mut Steps, workspace: &Workspace) -> Result {
    if workspace.has_cargo("fmt") {
        steps.program("format", &mut workspace.cargo(["fmt", "--all", "--check"]))?;
    } else {
        steps.skip("format", "this Rust has no rustfmt: rustup component add rustfmt");
    }
    if workspace.has_cargo("clippy") {
        let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        steps.program("lints", &mut workspace.cargo(arguments))?;
    } else {
        steps.skip("lints", "this Rust has no clippy: rustup component add clippy");
    }
    let mut documentation = workspace.cargo(["doc", "--no-deps", "--workspace"]);
    steps.program("documentation", documentation.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Packs every published crate as a release would, in the order of its dependencies. Needs the network. The packed crates
/// are not compiled once more: their sources are those that every other step compiles, and `cargo xtask check` refuses
/// what only packing breaks.
pub(crate) fn publication(steps: &mut Steps, workspace: &Workspace) -> Result {
    let arguments = ["publish", "--dry-run", "--workspace", "--no-verify", "--allow-dirty", "--quiet"];
    steps.program("publication", &mut workspace.cargo(arguments))
}
