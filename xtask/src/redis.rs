//! The Redis that instances of the real orchestrators share.

use std::process::{Command, Stdio};

use crate::apt;
use crate::failure::{Failure, Result};
use crate::output::print_line;

const PROGRAM: &str = "redis-server";

/// Makes sure that there is a `redis-server`. On Debian as root, installs it.
pub(crate) fn install() -> Result {
    if is_installed() {
        return Ok(());
    }
    if !apt::is_usable() {
        return Err(missing());
    }
    print_line(&format!("Redis: installing {PROGRAM} with apt-get"));
    apt::update()?;
    apt::install(PROGRAM)?;
    if is_installed() { Ok(()) } else { Err(missing()) }
}

fn is_installed() -> bool {
    let mut command = Command::new(PROGRAM);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn missing() -> Failure {
    Failure::new(format!(
        "no `{PROGRAM}`: the real orchestrators are also tested with their state in Redis\n\
         hint: apt-get install {PROGRAM}, or leave these tests out with `cargo xtask test --no-e2e`"
    ))
}
