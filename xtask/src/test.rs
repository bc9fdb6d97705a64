//! `cargo xtask test`: installs the needed tools, then checks and tests everything.

use std::fs::File;
use std::process::Command;
use std::thread;

use crate::browser;
use crate::checks;
use crate::counts;
use crate::environment::{self, Environment};
use crate::failure::{Failure, Result};
use crate::package;
use crate::peers;
use crate::redis;
use crate::steps::Steps;
use crate::valgrind;
use crate::verify;
use crate::workspace::Workspace;

/// The tests in a browser. They are built alone: the library that drives the browser lets `serde_json` keep the order of
/// members, also for all that is built with it, and programs of users are built without.
const BROWSER_TESTS: &str = "page-tests";

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result {
    let options = Options::parse(arguments)?;
    let mut steps = Steps::begin();
    let (options, environments) = (&options, &options.environments(workspace)?);
    // The packages are downloaded while the compiler is busy.
    thread::scope(|scope| {
        let install = || {
            // Where one of them cannot be installed, what needs it is skipped and named.
            let installed = Installed {
                redis: redis::install(),
                browser: browser::install(),
                axe: browser::install_axe(workspace),
                valgrind: valgrind::install(),
            };
            environment::install(workspace, environments).map(|()| installed)
        };
        let setup = options.e2e.then(|| scope.spawn(install));
        // A filter is used while working on one thing, so the other checks are left out.
        if options.filters.is_empty() {
            checks::run(&mut steps, workspace)?;
            verify::cargo(&mut steps, workspace)?;
        }
        build(&mut steps, workspace, options)?;
        let (mut is_without_redis, mut has_browser, mut has_axe) = (false, false, false);
        let mut valgrind = Err(Failure::new("it needs Valgrind, Python and the network: cargo xtask counts"));
        if let Some(setup) = setup {
            let joined = || setup.join().unwrap_or_else(|_| Err(Failure::new("the installation panicked")));
            let installed = steps.step("peers and Python's tools", "cargo xtask setup", joined)?;
            if let Err(problem) = installed.redis {
                steps.skip("orchestrators that share a Redis", &problem.to_string());
                is_without_redis = true;
            }
            match installed.browser {
                Ok(()) => has_browser = true,
                Err(problem) => steps.skip("the page in a browser", &problem.to_string()),
            }
            match installed.axe {
                Ok(()) => has_axe = true,
                Err(problem) => steps.skip("accessibility of the page", &problem.to_string()),
            }
            valgrind = installed.valgrind;
        }
        // Tests mostly wait, and compilers do not: running both at once takes little longer than either alone.
        let aside = steps.aside();
        let package = environments.first();
        let others = scope.spawn(move || beside_the_tests(aside, workspace, options, package));
        let tested = steps.program("tests", &mut tests(workspace, options, is_without_redis));
        let others = others.join().unwrap_or_else(|_| Err(Failure::new("a step panicked")));
        let seen = if has_browser { browser_tests(&mut steps, workspace, options, has_axe) } else { Ok(()) };
        // Not beside the tests: it keeps both cores busy, and tests have limits of time.
        let counts = instruction_counts(&mut steps, workspace, options, valgrind);
        tested.and(others).and(seen).and(counts)?;
        steps.end();
        Ok(())
    })
}

fn beside_the_tests(
    mut steps: Steps,
    workspace: &Workspace,
    options: &Options<'_>,
    package: Option<&Environment>,
) -> Result {
    python_package(&mut steps, workspace, options, package)?;
    if options.filters.is_empty() {
        let mut examples = workspace.cargo(["test", "--doc", "--workspace", "--exclude", BROWSER_TESTS]);
        steps.program("examples in the documentation", &mut examples)?;
        if options.e2e {
            verify::publication(&mut steps, workspace)?;
        } else {
            steps.skip("publication", "it needs the network: cargo xtask verify");
        }
    }
    Ok(())
}

fn instruction_counts(
    steps: &mut Steps,
    workspace: &Workspace,
    options: &Options<'_>,
    valgrind: Result,
) -> Result {
    match valgrind {
        // A filter selects tests.
        _ if !options.filters.is_empty() => Ok(()),
        Ok(()) => counts::check(steps, workspace),
        Err(problem) => {
            steps.skip("instruction counts", &problem.to_string());
            Ok(())
        }
    }
}

fn python_package(
    steps: &mut Steps,
    workspace: &Workspace,
    options: &Options<'_>,
    environment: Option<&Environment>,
) -> Result {
    match environment {
        Some(environment) if options.filters.is_empty() => {
            package::test(steps, workspace, environment)?;
            package::test_against_orchestrators(steps, workspace, environment)
        }
        // A filter selects Rust tests; `cargo xtask python FILTER` runs Python tests.
        Some(_) => Ok(()),
        None => {
            steps.skip("Python package", "it needs Python and the network: cargo xtask python");
            Ok(())
        }
    }
}

/// Builds the programs that tests start, and the tests. Builds the whole workspace at once: a package built alone would
/// get dependencies with other features, so that they would be compiled again.
fn build(steps: &mut Steps, workspace: &Workspace, options: &Options<'_>) -> Result {
    let arguments = ["build", "--workspace", "--exclude", BROWSER_TESTS, "--bins", "--examples"];
    steps.program("programs", &mut workspace.cargo(arguments))?;
    if workspace.has_cargo("nextest") {
        let list = ["--list-type", "binaries-only", "--message-format", "json"];
        let mut listing = workspace.cargo(["nextest", "list", "--workspace"]);
        listing.args(list).args(options.excluded());
        let file = workspace.nextest_binaries();
        let output = File::create(&file)
            .map_err(|error| Failure::new(format!("cannot write `{}`: {error}", file.display())))?;
        steps.program("programs of the tests", listing.stdout(output))?;
    }
    Ok(())
}

fn tests(workspace: &Workspace, options: &Options<'_>, is_without_redis: bool) -> Command {
    let with_redis = "shared::";
    if workspace.has_cargo("nextest") {
        let mut command = workspace.cargo(["nextest", "run", "--binaries-metadata"]);
        command.arg(workspace.nextest_binaries()).args(&options.filters);
        if is_without_redis {
            command.args(["-E", &format!("not (package(e2e) & test(/^{with_redis}/))")]);
        }
        return command;
    }
    let mut command =
        workspace.cargo(["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]);
    // The same number of threads as in `.config/nextest.toml`: tests mostly wait.
    command.args(options.excluded()).args(["--", "--test-threads=6"]).args(&options.filters);
    if is_without_redis {
        command.args(["--skip", with_redis]);
    }
    command
}

/// Builds and runs the tests in a browser, without those that need axe-core if it is not there.
fn browser_tests(steps: &mut Steps, workspace: &Workspace, options: &Options<'_>, has_axe: bool) -> Result {
    let with_axe = "serious_findings";
    let mut command = if workspace.has_cargo("nextest") {
        // A filter may select other tests only.
        let mut command = workspace.cargo(["nextest", "run", "--package", BROWSER_TESTS, "--no-tests=pass"]);
        if !has_axe {
            command.args(["-E", &format!("not test(/{with_axe}/)")]);
        }
        command
    } else {
        // As many browsers at once as in `.config/nextest.toml`.
        let mut command = workspace.cargo(["test", "--package", BROWSER_TESTS, "--no-fail-fast"]);
        command.args(["--lib", "--tests", "--", "--test-threads=2"]);
        if !has_axe {
            command.args(["--skip", with_axe]);
        }
        command
    };
    steps.program("the page in a browser", command.args(&options.filters))
}

/// The installations that the command can do without.
struct Installed {
    redis: Result,
    browser: Result,
    axe: Result,
    valgrind: Result,
}

#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    e2e: bool,
    filters: Vec<&'a str>,
}

impl<'a> Options<'a> {
    /// Returns the environment of the Python package, then those of the peers; no environments with `--no-e2e`.
    fn environments(&self, workspace: &Workspace) -> Result<Vec<Environment>> {
        if !self.e2e {
            return Ok(Vec::new());
        }
        let mut environments = vec![package::environment(workspace)?];
        environments.extend(peers::environments(workspace));
        Ok(environments)
    }

    /// Returns the arguments that exclude packages.
    fn excluded(&self) -> &[&'static str] {
        if self.e2e {
            &["--exclude", BROWSER_TESTS]
        } else {
            &["--exclude", "e2e", "--exclude", BROWSER_TESTS]
        }
    }

    fn parse(arguments: &'a [String]) -> Result<Self> {
        let mut options = Self { e2e: true, filters: Vec::new() };
        for argument in arguments {
            match argument.as_str() {
                "--no-e2e" => options.e2e = false,
                unknown if unknown.starts_with('-') => {
                    return Err(Failure::usage(format!("`test` has no option `{unknown}`")));
                }
                filter => options.filters.push(filter),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_options_are_distinguished() {
        let arguments = ["--no-e2e", "backoff"].map(String::from);
        let options = Options::parse(&arguments).unwrap();
        assert_eq!(options, Options { e2e: false, filters: vec!["backoff"] });
        assert_eq!(Options::parse(&["--fast".to_owned()]).unwrap_err().code(), 2);
    }
}
