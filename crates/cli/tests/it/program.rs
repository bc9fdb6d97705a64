//! Starting the program.

use std::process::{Command, Output};
use std::time::Duration;

use testkit::Program;

/// How long it may take, built without optimisation and beside other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const BINARY: &str = env!("CARGO_BIN_EXE_avtomatika");

/// Watched line by line.
pub(crate) fn watched(args: &[&str]) -> Program {
    Program::new(BINARY).args(args).clean_env()
}

/// To be adapted and waited for, with nothing but `PATH` in its environment.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command
}

/// What it printed on standard output and standard error, and its exit code.
pub(crate) fn told(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> (String, String, Option<i32>) {
    told(&command(args).output().expect("started"))
}
