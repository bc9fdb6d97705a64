//! Valgrind, which counts instructions.

use std::process::{Command, Stdio};

use crate::apt;
use crate::failure::{Failure, Result};
use crate::output::print_line;

const PROGRAM: &str = "valgrind";

/// Makes sure that there is a `valgrind`. On Debian as root, installs it.
pub(crate) fn install() -> Result {
    if version().is_some() {
        return Ok(());
    }
    if !apt::is_usable() {
        return Err(missing());
    }
    print_line(&format!("Valgrind: installing {PROGRAM} with apt-get"));
    apt::update()?;
    apt::install(PROGRAM)?;
    version().map(drop).ok_or_else(missing)
}

/// The installed version, such as `valgrind-3.19.0`.
pub(crate) fn version() -> Option<String> {
    let output = Command::new(PROGRAM).arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A command that runs a program under callgrind.
pub(crate) fn callgrind() -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--tool=callgrind");
    command
}

fn missing() -> Failure {
    Failure::new(format!("no `{PROGRAM}`: it counts instructions\nhint: apt-get install {PROGRAM}"))
}
