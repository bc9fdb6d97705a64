//! Starting the program.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use testkit::Program;

/// The time limit of the program, built without optimisation and run beside other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const BINARY: &str = env!("CARGO_BIN_EXE_avtomatika");

/// The text on standard output, the text on standard error, and the exit code.
pub(crate) type Printed = (String, String, Option<i32>);

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

/// Returns what a program printed, and its exit code.
pub(crate) fn printed(output: &Output) -> Printed {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Printed {
    printed(&command(args).output().expect("started"))
}

/// Returns the lines of JSON that a command printed, each of which fits the schema of the command.
#[track_caller]
pub(crate) fn json_lines(command: &str, stdout: &str) -> Vec<Value> {
    let (schema, _, code) = run(&["help", "json", command]);
    assert_eq!(code, Some(0), "{command}");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let lines =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("JSON: {line}")));
    let lines: Vec<Value> = lines.collect();
    for line in &lines {
        let problems: Vec<String> = validator.iter_errors(line).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{command}: {line}: {problems:?}");
    }
    lines
}

/// Calls `probe` until it returns a value: for files, processes and servers, which tell nobody when they change.
///
/// # Panics
/// After [`LIMIT`]; the message names `what` was waited for.
pub(crate) async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("not within {LIMIT:?}: {what}"))
}
