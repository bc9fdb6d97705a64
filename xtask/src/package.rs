//! The Python package: builds and installs the wheel as a user would, and runs all checks and tests of the package.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::environment::{self, Environment};
use crate::failure::{Failure, Result};
use crate::peers;
use crate::steps::Steps;
use crate::workspace::Workspace;

const CRATE: &str = "crates/python";

/// Returns the environment with the tools and the test dependencies; the wheel is installed in it.
pub(crate) fn environment(workspace: &Workspace) -> Result<Environment> {
    let requirements = workspace.root().join(CRATE).join("tests/requirements.txt");
    Environment::of_requirements(workspace, "python-package", &requirements)
}

/// `cargo xtask python`: checks and tests the package. With arguments, which are passed to pytest, runs only its tests.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result {
    let mut steps = Steps::begin();
    let environment = [environment(workspace)?];
    steps.step("Python: environment", "cargo xtask python", || {
        environment::install(workspace, &environment)
    })?;
    let [environment] = environment;
    if arguments.is_empty() {
        test(&mut steps, workspace, &environment)?;
        steps.end();
        return Ok(());
    }
    install_wheel(&mut steps, workspace, &environment, &environment, "dev")?;
    let mut pytest = environment.program("python");
    pytest.args(["-m", "pytest"]).args(arguments).current_dir(workspace.root().join(CRATE));
    steps.last_program("Python: tests", &mut pytest)
}

/// Builds the wheel, installs it, and checks and tests the package.
pub(crate) fn test(steps: &mut Steps, workspace: &Workspace, environment: &Environment) -> Result {
    install_wheel(steps, workspace, environment, environment, "dev")?;
    let tool = |program: &str, arguments: &[&str]| {
        let mut command = environment.program(program);
        command.args(arguments).current_dir(workspace.root().join(CRATE));
        command
    };
    steps.program("Python: lints", &mut tool("ruff", &["check", "."]))?;
    let types = ["python/avtomatika_worker", "tests/snippets/usage.py", "tests/snippets/testing.py"];
    steps.program("Python: mypy", &mut tool("mypy", &types))?;
    // By default, pyright looks for packages in the system's Python.
    let python = environment.program("python");
    let mut pyright = tool("basedpyright", &types);
    steps.program("Python: pyright", pyright.arg("--pythonpath").arg(python.get_program()))?;
    let stubs = ["-m", "mypy.stubtest", "avtomatika_worker"];
    steps.program("Python: stubs", &mut tool("python", &stubs))?;
    // Tests mostly wait, and share nothing but the installed package.
    let mut tests = tool("python", &["-m", "pytest", "--numprocesses=4"]);
    if install_peers(steps, workspace)? {
        tests.env("PEERS", environment::folder(workspace));
    }
    steps.program("Python: tests", &mut tests)
}

/// Installs what the tests compare the package with, and run it against. Returns whether all of it is installed: if it
/// cannot be, the tests that need it are skipped, but not in CI.
fn install_peers(steps: &mut Steps, workspace: &Workspace) -> Result<bool> {
    const STEP: &str = "Python: peers";
    let mut environments = peers::environments(workspace);
    environments.extend(peers::existing_packages(workspace));
    let installed = environment::install(workspace, &environments);
    match installed {
        Err(failure) if env::var_os("CI").is_none_or(|value| value.is_empty()) => {
            steps.skip(STEP, &failure.to_string());
            Ok(false)
        }
        installed => steps.step(STEP, "cargo xtask setup", || installed).map(|()| true),
    }
}

/// Tests a worker written in Python with the real orchestrators. Only the tests that depend on the Python code are run:
/// the others test the core, which they do with the Rust worker.
pub(crate) fn test_against_orchestrators(
    steps: &mut Steps,
    workspace: &Workspace,
    environment: &Environment,
) -> Result {
    const GROUPS: [&str; 5] = ["cancelling::", "deadlines::", "events::", "life::", "outcomes::"];
    let nextest = workspace.has_cargo("nextest");
    let filter = format!("package(e2e) & test(/^({})/)", GROUPS.join("|"));
    let mut tests = if nextest {
        let mut command = workspace.cargo(["nextest", "run", "-E", &filter, "--binaries-metadata"]);
        command.arg(workspace.nextest_binaries());
        command
    } else {
        // The whole workspace, as in the step that runs all tests: built alone, `e2e` would be compiled again.
        let left_out = ["--exclude", "avtomatika-worker", "--exclude", "page-tests"];
        let mut command = workspace.cargo(["test", "--workspace", "--test", "it"]);
        command.args(left_out).args(["--", "--test-threads=6"]).args(GROUPS);
        command
    };
    tests.env("CONFORMANCE_WORKER", launcher(workspace, environment)?);
    steps.program("Python: real orchestrators", &mut tests)
}

/// Writes a script that starts the conformance worker, for tests that start a program by its path. Returns its path.
fn launcher(workspace: &Workspace, environment: &Environment) -> Result<PathBuf> {
    let path = workspace.target().join("conformance_worker.sh");
    let python = environment.program("python");
    let script = workspace.root().join(CRATE).join("examples/conformance_worker.py");
    let text =
        format!("#!/bin/sh\nexec '{}' '{}'\n", python.get_program().to_string_lossy(), script.display());
    let written =
        fs::write(&path, text).and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)));
    written.map_err(|error| Failure::new(format!("cannot write `{}`: {error}", path.display())))?;
    Ok(path)
}

/// Builds the wheel with the tools of one environment, and installs it in another.
pub(crate) fn install_wheel(
    steps: &mut Steps,
    workspace: &Workspace,
    tools: &Environment,
    environment: &Environment,
    profile: &str,
) -> Result {
    let wheel = build_wheel(steps, workspace, tools, environment, profile)?;
    install(steps, workspace, environment, &wheel)
}

/// Builds the wheel with the tools of one environment, for the Python of another and all newer ones. Returns its path.
pub(crate) fn build_wheel(
    steps: &mut Steps,
    workspace: &Workspace,
    tools: &Environment,
    environment: &Environment,
    profile: &str,
) -> Result<PathBuf> {
    let folder = workspace.target().join("wheels");
    if folder.exists() {
        // The wheel of an older version would be installed, too.
        fs::remove_dir_all(&folder)
            .map_err(|error| Failure::new(format!("cannot remove `{}`: {error}", folder.display())))?;
    }
    let mut build = tools.program("maturin");
    build.args(["build", "--profile", profile, "--quiet", "--out"]).arg(&folder);
    build.arg("--interpreter").arg(environment.program("python").get_program());
    steps.program("Python: wheel", build.current_dir(workspace.root().join(CRATE)))?;
    wheel(&folder)
}

/// Installs a wheel.
pub(crate) fn install(
    steps: &mut Steps,
    workspace: &Workspace,
    environment: &Environment,
    wheel: &Path,
) -> Result {
    let mut pip = environment.program("python");
    pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--quiet"]);
    pip.args(["--force-reinstall", "--no-deps", "--no-index"]).arg(wheel);
    steps.program("Python: installation", pip.current_dir(workspace.root()))
}

fn wheel(folder: &Path) -> Result<PathBuf> {
    let failure =
        |error: std::io::Error| Failure::new(format!("cannot read `{}`: {error}", folder.display()));
    let mut files = fs::read_dir(folder).map_err(failure)?.filter_map(|entry| Some(entry.ok()?.path()));
    let wheel = files.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.ok_or_else(|| Failure::new(format!("there is no wheel in `{}`", folder.display())))
}
