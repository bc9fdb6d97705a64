//! `cargo xtask test`: installs what is needed, then checks and tests everything.

use std::thread;

use crate::checks;
use crate::environment::{self, Environment};
use crate::failure::{Failure, Result};
use crate::package;
use crate::peers;
use crate::steps::Steps;
use crate::verify;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result {
    let options = Options::parse(arguments)?;
    let mut steps = Steps::begin();
    let environments = options.environments(workspace)?;
    // What is in them comes from the network while the compiler is busy.
    thread::scope(|scope| {
        let setup = options.e2e.then(|| scope.spawn(|| environment::install(workspace, &environments)));
        // A filter is for working on something: then the rest is left out.
        if options.filters.is_empty() {
            checks::run(&mut steps, workspace)?;
            verify::cargo(&mut steps, workspace)?;
        }
        build(&mut steps, workspace)?;
        if options.filters.is_empty() {
            let mut examples = workspace.cargo(["test", "--doc", "--workspace"]);
            steps.program("examples in the documentation", &mut examples)?;
        }
        if let Some(setup) = setup {
            let installed =
                || setup.join().unwrap_or_else(|_| Err(Failure::new("the installation panicked")));
            steps.step("peers and Python's tools", "cargo xtask setup", installed)?;
        }
        python_package(&mut steps, workspace, &options, environments.first())?;
        tests(&mut steps, workspace, &options)
    })
}

/// The first environment is the package's, if there are any.
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
        // A filter is one of Rust's tests; `cargo xtask python FILTER` is there for Python's.
        Some(_) => Ok(()),
        None => {
            steps.skip("Python package", "it needs Python and the network: cargo xtask python");
            Ok(())
        }
    }
}

/// The programs that tests start. All of the workspace at once: parts of it, built alone, would choose other
/// features for what they depend on, and everything would be compiled once more.
fn build(steps: &mut Steps, workspace: &Workspace) -> Result {
    steps.program("programs", &mut workspace.cargo(["build", "--workspace", "--bins", "--examples"]))
}

fn tests(steps: &mut Steps, workspace: &Workspace, options: &Options<'_>) -> Result {
    let nextest = workspace.has_cargo("nextest");
    let mut arguments = if nextest {
        vec!["nextest", "run", "--workspace"]
    } else {
        vec!["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]
    };
    if !options.e2e {
        arguments.extend(["--exclude", "e2e"]);
    }
    if !nextest {
        // As many as `.config/nextest.toml` has at once: tests mostly wait.
        arguments.extend(["--", "--test-threads=6"]);
    }
    arguments.extend(&options.filters);
    steps.last_program("tests", &mut workspace.cargo(arguments))
}

#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    e2e: bool,
    filters: Vec<&'a str>,
}

impl<'a> Options<'a> {
    /// The package's own, then the orchestrators'; none without Python.
    fn environments(&self, workspace: &Workspace) -> Result<Vec<Environment>> {
        if !self.e2e {
            return Ok(Vec::new());
        }
        let mut environments = vec![package::environment(workspace)?];
        environments.extend(peers::environments(workspace));
        Ok(environments)
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
    fn filters_and_options_are_told_apart() {
        let arguments = ["--no-e2e", "backoff"].map(String::from);
        let options = Options::parse(&arguments).unwrap();
        assert_eq!(options, Options { e2e: false, filters: vec!["backoff"] });
        assert_eq!(Options::parse(&["--fast".to_owned()]).unwrap_err().code(), 2);
    }
}
