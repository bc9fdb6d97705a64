//! Starting the program.

use std::process::{Command, Output};
use std::time::Duration;

use testkit::Program;

/// The time limit of the program, built without optimisation and run beside other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const BINARY: &str = env!("CARGO_BIN_EXE_avtomatika");

/// Returns the program, to be read line by line.
pub(crate) fn watched(args: &[&str]) -> Program {
    Program::new(BINARY).args(args).clean_env()
}

/// Returns the program with nothing but `PATH` in its environment, to be adapted and waited for.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command
}

/// Returns the text on standard output, the text on standard error, and the exit code.
pub(crate) fn printed(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> (String, String, Option<i32>) {
    printed(&command(args).output().expect("started"))
}
