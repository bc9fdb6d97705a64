//! `cargo xtask e2e`: the worker against the real orchestrators.

use std::thread;

use crate::failure::{Failure, Result};
use crate::peers;
use crate::steps::Steps;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, filters: &[String]) -> Result {
    let mut steps = Steps::begin();
    thread::scope(|scope| {
        let setup = scope.spawn(|| peers::install(workspace));
        let arguments = ["build", "--example", "conformance_worker", "--bin", "avtomatika"];
        steps.program("worker program, command line", &mut workspace.cargo(arguments))?;
        let installed = || setup.join().unwrap_or_else(|_| Err(Failure::new("the installation panicked")));
        steps.step("peers", "cargo xtask setup", installed)
    })?;
    let nextest = workspace.has_cargo("nextest");
    let runner =
        if nextest { vec!["nextest", "run", "-p", "e2e", "--"] } else { vec!["test", "-p", "e2e", "--"] };
    let filters = filters.iter().map(String::as_str);
    steps.last_program("tests", &mut workspace.cargo(runner.into_iter().chain(filters)))
}
