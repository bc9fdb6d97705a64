//! Packages of Debian, for what tests need and neither cargo nor pip installs.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Failure, Result};

/// Whether packages can be installed: on Debian as root.
pub(crate) fn is_usable() -> bool {
    let user = Command::new("id").arg("-u").output();
    let root = user.is_ok_and(|user| user.stdout.trim_ascii() == b"0");
    root && Path::new("/etc/debian_version").exists()
}

/// Reads the lists of packages.
pub(crate) fn update() -> Result {
    apt_get(&["update"])
}

/// Installs a package.
pub(crate) fn install(package: &str) -> Result {
    apt_get(&["install", "--yes", "--no-install-recommends", package])
}

fn apt_get(arguments: &[&str]) -> Result {
    let mut command = Command::new("apt-get");
    // A service is installed, not started: with this runlevel Debian leaves it alone.
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    let ran = command.stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| Failure::new(format!("cannot run apt-get: {error}")))?;
    if ran.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&ran.stderr);
    Err(Failure::new(format!("`apt-get {}` failed: {}", arguments.join(" "), errors.trim())))
}
