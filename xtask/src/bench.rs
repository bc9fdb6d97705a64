//! `cargo xtask bench`: the benchmark, in release mode.

use crate::failure::Result;
use crate::steps::Steps;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result {
    let runner = ["run", "--release", "--package", "e2e", "--example", "bench", "--"];
    let arguments = arguments.iter().map(String::as_str);
    Steps::begin().last_program("benchmark", &mut workspace.cargo(runner.into_iter().chain(arguments)))
}
