//! `avtomatika drill`, run as a user would run it.

use std::ffi::OsStr;
use std::process::Command;

use serde_json::Value;

use crate::installation;

/// A drill that has ended.
#[derive(Debug)]
pub struct Drill {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Drill {
    /// Runs a drill with `--json`, these options, and these variables, on a command.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn run(options: &[&str], variables: &[(&str, &str)], command: &[&OsStr]) -> Self {
        let mut drill = Self::command();
        drill.args(["drill", "--json"]).args(options).arg("--").args(command);
        drill.envs(variables.iter().copied());
        let output = drill.output().expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Runs a drill on the worker under test.
    pub fn of_worker(options: &[&str]) -> Self {
        Self::run(options, &[], &[installation::worker().as_os_str()])
    }

    /// The program, with nothing but `PATH` in its environment.
    pub fn command() -> Command {
        let mut command = Command::new(installation::command_line());
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }

    /// The object on standard output.
    ///
    /// # Panics
    /// When there is none.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("JSON: {self:?}"))
    }

    /// The names, verdicts and reasons of all promises, in their order.
    pub fn promises(&self) -> Vec<(String, String, String)> {
        let report = self.report();
        let promises = report["promises"].as_array().expect("a list");
        let text = |promise: &Value, name: &str| promise[name].as_str().expect("a text").to_owned();
        promises.iter().map(|one| (text(one, "name"), text(one, "verdict"), text(one, "reason"))).collect()
    }

    /// The promises with this verdict, and their reasons.
    pub fn with(&self, verdict: &str) -> Vec<(String, String)> {
        let promises = self.promises().into_iter().filter(|(_, found, _)| found == verdict);
        promises.map(|(name, _, reason)| (name, reason)).collect()
    }
}
