//! `cargo xtask bench`: the benchmarks, in release mode.

use crate::environment::{self, Environment};
use crate::failure::Result;
use crate::package;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// The environment and the version of the existing package, which is compared with ours.
const EXISTING: (&str, &str) = ("avtomatika-worker-1.0b4", "avtomatika-worker==1.0b4");

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result {
    if let [which, options @ ..] = arguments
        && which == "python"
    {
        return python(workspace, options);
    }
    let runner = ["run", "--release", "--package", "e2e", "--example", "bench", "--"];
    let arguments = arguments.iter().map(String::as_str);
    Steps::begin().last_program("benchmark", &mut workspace.cargo(runner.into_iter().chain(arguments)))
}

/// Compares the Python package, as `pip install` builds it, with the core alone and the existing package.
fn python(workspace: &Workspace, options: &[String]) -> Result {
    const PROFILE: &str = "wheel";
    let mut steps = Steps::begin();
    let environments = [
        package::environment(workspace)?,
        // Only the package: other installed packages would count as its memory.
        Environment::empty(workspace, "python-bench"),
        Environment::of_package(workspace, EXISTING.0, EXISTING.1),
    ];
    steps.step("Python: environments", "cargo xtask bench python", || {
        environment::install(workspace, &environments)
    })?;
    let [tools, ours, existing] = environments;
    let server = ["build", "--profile", PROFILE, "--package", "e2e", "--example", "bench"];
    steps.program("scripted server", &mut workspace.cargo(server))?;
    package::install_wheel(&mut steps, workspace, &tools, &ours, PROFILE)?;
    let mut compare = ours.program("python");
    compare.arg("crates/python/bench/compare.py").current_dir(workspace.root());
    compare.arg("--server").arg(workspace.target().join(PROFILE).join("examples/bench"));
    compare.arg("--ours").arg(ours.program("python").get_program());
    compare.arg("--existing").arg(existing.program("python").get_program());
    steps.last_program("benchmark", compare.args(options))
}
